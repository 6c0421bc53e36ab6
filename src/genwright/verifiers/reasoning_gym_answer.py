"""The answer to a task of reasoning-gym, scored by reasoning-gym's own check.

Choose it with the source `reasoning_gym`, whose rows hold the `task` that it needs: the entry is
made again from the data set's name, seed and index, and handed to its `score_answer`.

Stojanovski et al. 2025, "Reasoning Gym: Reasoning Environments for Reinforcement Learning with
Verifiable Rewards", arXiv:2505.24760, Section 2. Ours: a draw passes at the full score, partial
scores are kept; a check runs in a process that is killed at the time limit, and is then undecided,
as it is where the check itself fails.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, Samples, Verdict, method, require
from genwright.core.processes import NoAnswer, Processes, side_by_side

FULL = 1.0 - 1e-9
"""The score from which a draw passes; a check may reach 1 by adding fractions."""

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_PARTS = {"dataset", "seed", "size", "index", "config"}


@method(paper="arXiv:2505.24760")
@dataclass(frozen=True, kw_only=True)
class ReasoningGymAnswer:
    """Passes a draw to which reasoning-gym gives the full score.

    The answer is what stands in the last `<answer>...</answer>`, else the whole draw.

    Args:
        task: `dataset`, `seed`, `size`, `index` and `config`, as the source's rows hold them.
        seconds: time limit of one check; beyond it the draw is undecided.

    Raises:
        InvalidArgument: a part is missing from `task`.
    """

    task: Mapping[str, Any]
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if missing := _PARTS - self.task.keys():
            raise InvalidArgument(
                f"ReasoningGymAnswer: task lacks {', '.join(sorted(missing))}; take it from a row "
                "of the source reasoning_gym."
            )

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Score each draw; what is not text fails.

        Raises:
            MissingExtra: reasoning-gym is not installed.
        """
        require("reasoning_gym", extra="friends", needed_by="verifiers.reasoning_gym_answer")
        return side_by_side(self._judge, list(samples.values))

    def _judge(self, value: Any) -> Verdict:
        if not isinstance(value, str):
            return Verdict.fail({"reason": f"a text was wanted, got {type(value).__name__}"})
        tagged = _TAGGED.findall(value)
        answer = (tagged[-1] if tagged else value).strip()
        told = {name: self.task[name] for name in ("dataset", "size", "seed", "config")}
        evidence = {"answer": answer[:200]}
        try:
            score, reason = _workers.ask(
                (json.dumps(told, sort_keys=True), int(self.task["index"]), answer), self.seconds
            )
        except NoAnswer as error:
            return Verdict.undecided(evidence | {"reason": str(error)})
        if score is None:
            return Verdict.undecided(evidence | {"reason": reason})
        score = min(1.0, max(0.0, score))
        if score >= FULL:
            return Verdict.ok(evidence)
        return Verdict.fail(evidence, score=score)


_workers = Processes(Path(__file__).with_name("_gym_worker.py"), mebibytes=4096)
