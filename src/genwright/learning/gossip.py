"""Average the parameters of several workers pair by pair, to the same bits on every machine.

Workers that train on their own meet in random pairs, and both leave with the mean of the two; after
some rounds all hold nearly the mean of all. Choose it where there is no one server that everybody
trusts to average; who meets whom follows from the seed, so that anybody can check the result.

Boyd, Ghosh, Prabhakar and Shah 2006, "Randomized Gossip Algorithms", IEEE Transactions on
Information Theory 52. Kim et al. 2023, arXiv:2307.01898, propose gossip for training that can be
verified. Ours: every round is a random matching of all workers, and the worker with the lower
number stands first in every sum, so that the order of arrival changes no bit.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument, child_seed


@dataclass(frozen=True, kw_only=True)
class GossipAverage:
    """Let workers meet in pairs and average.

    Args:
        rounds: in each of them every worker meets one other; with an odd number one sits out.

    Raises:
        InvalidArgument: rounds below 1.
    """

    rounds: int = 10

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InvalidArgument(f"GossipAverage: rounds must be 1 or more, got {self.rounds}.")

    def pairs(self, workers: int, *, seed: int) -> list[list[tuple[int, int]]]:
        """Return who meets whom in each round, the lower number first."""
        met: list[list[tuple[int, int]]] = []
        for index in range(self.rounds):
            order = list(range(workers))
            random.Random(child_seed(seed, "gossip", index)).shuffle(order)
            ends = zip(order[::2], order[1::2], strict=False)
            met.append(sorted((min(pair), max(pair)) for pair in ends))
        return met

    def mix(self, parameters: Sequence[Mapping[str, Any]], *, seed: int) -> list[dict[str, Any]]:
        """Return every worker's parameters after all rounds; what came in is left as it was.

        Args:
            parameters: one mapping a worker, from names to arrays or tensors of floating point.
            seed: says who meets whom.

        Raises:
            InvalidArgument: fewer than two workers, or workers with different names.
        """
        if len(parameters) < 2:
            raise InvalidArgument(
                f"GossipAverage: needs two workers or more, got {len(parameters)}."
            )
        names = sorted(parameters[0])
        if any(sorted(worker) != names for worker in parameters):
            raise InvalidArgument("GossipAverage: every worker needs the same parameter names.")
        held = [dict(worker) for worker in parameters]
        for meetings in self.pairs(len(held), seed=seed):
            for first, second in meetings:
                for name in names:
                    mean = (held[first][name] + held[second][name]) / 2
                    held[first][name] = held[second][name] = mean
        return held
