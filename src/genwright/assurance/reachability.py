"""Which outputs can a prompt reach? Exactly for small models, by search for large ones.

`reachable_set` tries every prompt. `controllability` runs a search over (state, target) pairs and
returns the k-epsilon curve: the share reached with at most k tokens, each with an exact interval.
What a search reaches is reached for certain; so the shares are lower bounds of what can be reached,
and their intervals speak of the pairs drawn, not of better searches.

Bhargava et al. 2023, arXiv:2310.04444, Definitions 3 and 4 (reachable set, k-epsilon
controllability) and Section 5.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import log
from typing import Protocol

import numpy as np

from genwright.assurance.controlled import ControlledModel, wins
from genwright.assurance.prompt_search import Found
from genwright.core import InvalidArgument, child_seed
from genwright.core.statistics import Interval, clopper_pearson

MOST = 2_000_000
"""Prompts that `reachable_set` tries at most."""


class PromptSearch(Protocol):
    """Looks for a prompt that makes a target the likeliest next token after a state."""

    def find(
        self, model: ControlledModel, state: Sequence[int], target: int, *, seed: int
    ) -> Found:
        """Search."""
        ...


@dataclass(frozen=True)
class Curve:
    """The share of pairs reached with at most k control tokens.

    Args:
        ks: prompt lengths.
        reached: for each the share, with Clopper and Pearson's interval.
        found: what the search came to, pair by pair; empty for a curve of lengths alone.
    """

    ks: tuple[int, ...]
    reached: tuple[Interval, ...]
    found: tuple[Found, ...] = ()

    @classmethod
    def of_lengths(
        cls,
        lengths: Sequence[int | None],
        ks: Sequence[int],
        *,
        level: float = 0.95,
        found: Sequence[Found] = (),
    ) -> "Curve":
        """Make it from the shortest length found for each pair, None where none was.

        Raises:
            InvalidArgument: no pair, or ks that do not ascend from 0 or more.
        """
        if not ks or list(ks) != sorted(set(ks)) or ks[0] < 0:
            raise InvalidArgument(f"controllability: ks must ascend from 0 or more, got {ks}.")
        counts = [sum(n is not None and n <= k for n in lengths) for k in ks]
        shares = tuple(clopper_pearson(count, len(lengths), level) for count in counts)
        return cls(tuple(ks), shares, tuple(found))

    @property
    def epsilons(self) -> tuple[float, ...]:
        """The shares not reached: the model is k-epsilon controllable on these pairs."""
        return tuple(1.0 - interval.estimate for interval in self.reached)

    @property
    def slope(self) -> float:
        """How log epsilon changes with a token more: the least-squares slope where epsilon > 0.

        Raises:
            InvalidArgument: fewer than two such points.
        """
        points = [(k, log(e)) for k, e in zip(self.ks, self.epsilons, strict=True) if e > 0]
        if len(points) < 2:
            raise InvalidArgument(
                "Curve: a slope needs two lengths that leave some pair unreached."
            )
        x, y = np.array(points).T
        return float(np.polyfit(x, y, 1)[0])


def controllability(
    model: ControlledModel,
    pairs: Iterable[tuple[Sequence[int], int]],
    ks: Sequence[int],
    *,
    search: PromptSearch,
    seed: int,
    level: float = 0.95,
) -> Curve:
    """Search for every (state, target) pair and return the curve.

    Args:
        model: what is controlled.
        pairs: token ids of a state, and the token wanted after it.
        ks: lengths at which the curve is read.
        search: finds prompts.
        seed: a pair's own depends on it and on the pair alone.
        level: of the intervals.

    Raises:
        InvalidArgument: no pair, or bad ks.
    """
    found = [
        search.find(model, state, target, seed=child_seed(seed, target, *state))
        for state, target in pairs
    ]
    return Curve.of_lengths([f.length for f in found], ks, level=level, found=found)


def reachable_set(
    model: ControlledModel, state: Sequence[int], k: int
) -> dict[int, tuple[int, ...]]:
    """Try every prompt of at most k allowed tokens before a state.

    Returns:
        every token that is the likeliest one after some prompt -> the first of its shortest such
        prompts. Computed in the numbers of `model.module`.

    Raises:
        InvalidArgument: k below 0, or more than two million prompts.
    """
    import torch

    allowed = model.allowed.tolist()
    if k < 0 or sum(len(allowed) ** n for n in range(k + 1)) > MOST:
        raise InvalidArgument(
            f"reachable_set: k must be 0 or more and |allowed|^k at most {MOST}, got k = {k} with "
            f"{len(allowed)} allowed tokens; use a search instead."
        )
    reached: dict[int, tuple[int, ...]] = {}
    for length in range(k + 1):
        rows = list(product(allowed, repeat=length))
        prompts = torch.tensor(rows, dtype=torch.long).view(len(rows), length)
        for part in prompts.split(model.together):
            logits = model.logits(part, state)
            for i, token in enumerate(logits.argmax(1).tolist()):
                if token not in reached and bool(wins(logits[i : i + 1], token)[0]):
                    reached[token] = tuple(part[i].tolist())
    return reached
