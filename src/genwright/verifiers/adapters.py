"""Verifiers for other libraries: as a reward function of TRL, as a scorer of inspect_ai.

Choose `as_trl_reward` to train with one of TRL's online trainers (GRPO, RLOO) against a verifier,
`as_inspect_scorer` to judge an evaluation of inspect_ai with one. Both hand the columns of a row to
a function that makes the row's verifier, as a task file does for its rows.

TRL, "Using a custom reward function" (https://huggingface.co/docs/trl/grpo_trainer): a reward that
is None is left out of the advantages. inspect_ai, "Scorers" (https://inspect.aisi.org.uk): a score
that is unscored is left out of the metrics. So an undecided verdict is None there and unscored
here, never 0.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from genwright.core import Samples, Verdict, Verifier, require

MakeVerifier = Callable[[Mapping[str, Any]], Verifier[Any]]
"""Makes the verifier of a row, given the row's columns by name."""


def as_trl_reward(make_verifier: MakeVerifier) -> Callable[..., list[float | None]]:
    """Return a reward function with TRL's signature.

    The row given to `make_verifier` holds the columns of the data set and its `prompt`. Completions
    that are chat messages are judged by the text of the last. The completions of neighbouring equal
    rows, as a group is sampled, go to one verifier in one batch.

    Args:
        make_verifier: makes the verifier of a row.

    Returns:
        a function of (prompts, completions, **columns) that gives the score of each completion in
        [0, 1], or None where the verifier could not decide.
    """

    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        n = len(completions)
        known = {
            name: cast("Sequence[Any]", column)
            for name, column in columns.items()
            if isinstance(column, list | tuple)
            and len(cast("Sequence[Any]", column)) == n
            and name != "completion_ids"
        }
        rows = [
            {name: column[i] for name, column in known.items()} | {"prompt": prompts[i]}
            for i in range(n)
        ]
        scores: list[float | None] = []
        while len(scores) < n:
            start = len(scores)
            end = start + 1
            while end < n and rows[end] == rows[start]:
                end += 1
            texts = [_text(completion) for completion in completions[start:end]]
            verdicts = make_verifier(rows[start]).check(Samples(texts))
            scores += [verdict.score for verdict in verdicts]
        return scores

    reward.__name__ = "genwright"
    return reward


def as_inspect_scorer(make_verifier: MakeVerifier) -> Any:
    """Return a scorer of inspect_ai, whose metrics are the mean score and its standard error.

    The row given to `make_verifier` holds the sample's metadata, its `input` and its `target` (a
    text, or a list where there are several). The score's metadata tell whether the draw passed, and
    the evidence.

    Args:
        make_verifier: makes the verifier of a row.

    Raises:
        MissingExtra: inspect_ai is not installed.
    """
    library: Any = require("inspect_ai.scorer", extra="friends", needed_by="as_inspect_scorer")

    @library.scorer(metrics=[library.mean(), library.stderr()], name="genwright")
    def genwright() -> Any:
        async def score(state: Any, target: Any) -> Any:
            targets = list(target)
            row: dict[str, Any] = {
                **state.metadata,
                "input": state.input,
                "target": targets[0] if len(targets) == 1 else targets,
            }
            answer: str = state.output.completion
            verifier = make_verifier(row)
            # A check blocks (a sandbox, a database): the event loop goes on with other samples.
            verdict = (await asyncio.to_thread(verifier.check, Samples([answer])))[0]
            return _score(library, answer, verdict)

        return score

    return genwright()


def _score(library: Any, answer: str, verdict: Verdict) -> Any:
    told = {"passed": verdict.passed, "evidence": verdict.evidence}
    if verdict.score is None:
        return library.Score.unscored(reason="undecided", answer=answer, metadata=told)
    return library.Score(value=verdict.score, answer=answer, metadata=told)


def _text(completion: Any) -> Any:
    """Return a completion as text; of chat messages, what the last one says."""
    if isinstance(completion, list) and completion:
        last = cast("list[Mapping[str, Any]]", completion)[-1]
        return last["content"]
    return cast("Any", completion)
