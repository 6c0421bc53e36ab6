"""Training rows from what a verifier accepted: rejection-sampling fine-tuning, expert iteration.

Choose it when a checker exists and the model already passes now and then: draw several times for
each prompt, keep the draws that pass, train on them. Repeated, this is expert iteration.

Yuan et al. 2023, "Scaling Relationship on Learning Mathematical Reasoning with Large Language
Models", arXiv:2308.01825, Section 3.3 (distinct accepted draws of a prompt are all kept, joined
with the original rows); Anthony et al. 2017, "Thinking Fast and Slow with Deep Learning and Tree
Search", arXiv:1705.08439, Algorithm 1. Ours: a round trains on from the current weights, where both
papers start again from the first ones, because minutes count on two cores.
"""

from collections.abc import Iterator
from typing import Any

from genwright.core import InvalidArgument, codec
from genwright.core.run import Run


def accepted(run: Run, *, per_task: int = 4) -> list[dict[str, Any]]:
    """Return rows `{"prompt", "completion", "task"}` of the draws that passed in a recorded run.

    Args:
        run: a run of a ledger.
        per_task: the most distinct draws kept of one task, earliest first, so that easy prompts
            do not crowd out hard ones.

    Raises:
        InvalidArgument: per_task below 1.
    """
    if per_task < 1:
        raise InvalidArgument(f"accepted: per_task must be 1 or more, got {per_task}.")
    prompts = run.prompts()
    kept: dict[str, dict[str, Any]] = {}
    for task, value in _passed(run):
        values = kept.setdefault(task, {})
        if len(values) < per_task and (found := _completion(value)) is not None:
            values.setdefault(codec.digest(found), found)
    return [
        {"prompt": prompts[task], "completion": value, "task": task}
        for task, values in kept.items()
        if task in prompts
        for value in values.values()
    ]


def _completion(value: Any) -> Any:
    """Return a text without blanks around it, an array as lists of numbers; None for all else."""
    if isinstance(value, str):
        return value.strip()
    return value.tolist() if hasattr(value, "tolist") else None


def _passed(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield (task key, value) of every draw whose verdict is a pass, in the order of drawing."""
    passed = {(v.task, v.digest) for v in run.verdicts() if v.verdict.passed}
    for draw in run.draws():
        if (draw.task, draw.digest) in passed:
            yield draw.task, draw.sample.value
