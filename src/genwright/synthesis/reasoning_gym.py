"""Tasks of the library reasoning-gym: over a hundred data sets made by procedures, each checkable.

Choose it for puzzles, logic, arithmetic, algorithms, graphs and games with an endless supply of
prompts; check them with the verifier `reasoning_gym_answer`, which needs the row's `task`.

Stojanovski et al. 2025, "Reasoning Gym: Reasoning Environments for Reinforcement Learning with
Verifiable Rewards", arXiv:2505.24760, Section 2. Ours: nothing but the mapping to rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genwright.core import InvalidArgument, method, nearest, require


@method(paper="arXiv:2505.24760")
@dataclass(frozen=True, kw_only=True)
class ReasoningGym:
    """Rows with `question`, `answer`, `dataset` and `task` from one data set of reasoning-gym.

    Args:
        dataset: its name there, such as "chain_sum" or "leg_counting".
        n: how many rows.
        seed: the same seed gives the same rows.
        config: further settings of that data set.

    Raises:
        InvalidArgument: n below 1.
    """

    dataset: str
    n: int = 50
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidArgument(f"ReasoningGym: n must be 1 or more, got {self.n}.")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows; `answer` is one right answer, of perhaps many.

        Raises:
            MissingExtra: reasoning-gym is not installed.
            InvalidArgument: no such data set, or settings that it refuses.
        """
        gym: Any = require("reasoning_gym", extra="friends", needed_by="synthesis.reasoning_gym")
        known = list(require("reasoning_gym.factory", extra="friends", needed_by="it").DATASETS)
        if self.dataset not in known:
            raise InvalidArgument(
                f"ReasoningGym: there is no data set {self.dataset!r} among its {len(known)}."
                f"{nearest(self.dataset, known)}"
            )
        config = dict(self.config)
        try:
            entries = gym.create_dataset(self.dataset, size=self.n, seed=self.seed, **config)
        except (TypeError, ValueError, AssertionError) as error:
            raise InvalidArgument(
                f"ReasoningGym: {self.dataset} refuses the settings {config}: {error}."
            ) from error
        origin = {"dataset": self.dataset, "seed": self.seed, "size": self.n, "config": config}
        return [
            {
                "question": entry["question"],
                "answer": entry["answer"],
                "dataset": self.dataset,
                "task": {**origin, "index": index},
            }
            for index, entry in enumerate(entries)
        ]
