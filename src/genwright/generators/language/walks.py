"""Ways through a trie that keep a model's own proportions under a constraint.

A mask alone lets the constraint decide as if every allowed prefix could be finished equally well. A
walk goes from the root of a `Trie` to the end of a string with what is known, and says which prefix
the network must be asked about next; the engine asks, for many walks at once.

`Asap` is Park et al. 2024, "Grammar-Aligned Decoding", arXiv:2405.21047, Algorithm 1: each token in
proportion to its probability times the bound of what follows. Its draws come from what the trie
knows at the time: they depend on the draws before them, and approach the exact conditional only in
the long run.

`Race` is exact from the first draw on. Imagine every string of the model as the arrival of a
Poisson process whose rate is the string's probability: the first *allowed* string to arrive is a
draw of the model conditioned on the constraint. A prefix's first arrival is followed down to one of
its children, the waits of the others are added as they are needed, and what the mask forbids is
never followed, so that the search meets prefixes in the order of arrival and stops at the first
finished string (top-down sampling of Gumbel variables: Maddison, Tarlow and Minka 2014, "A*
Sampling", arXiv:1411.0030, Section 4; over the prefixes of a sequence model: Kool, van Hoof and
Welling 2019, arXiv:1903.06059, Section 4.1).

Ours: the use of either for constraints. Rejecting and learning by tilting would be exact too, but
then a draw depends on what was learnt before it. The race's times depend on the seed of its draw
and on the model alone, so the trie decides what a draw costs and never what it is. Where nothing is
forbidden a race takes the very tokens that a mask takes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from genwright.core import child_seed, uniform
from genwright.generators.language.sampling import race
from genwright.generators.language.trie import Node, Row, Trie

PATIENCE = 10_000
"""Prefixes that one exact draw asks the network about before it gives up."""


class Step(Enum):
    """Where a walk stands; the value is what a draw's `finish_reason` says of it."""

    ASK = "ask"  # the network about `node`
    END = "stop"
    DEAD = "constraint"
    TIRED = "exhausted"


@dataclass(frozen=True)
class Choice:
    """One token that was chosen from a row, with what is told of it later.

    Args:
        token: its id.
        logprob: in nats, under the unsteered model.
        logp: in nats, at the draw's temperature.
        mass: what the row allowed.
        only: whether nothing else was allowed.
    """

    token: int
    logprob: float
    logp: float
    mass: float
    only: bool

    @classmethod
    def of(cls, row: Row, index: int) -> "Choice":
        """Take one entry of a row."""
        return cls(
            int(row.tokens[index]),
            float(row.logprobs[index]),
            math.log(row.p[index]),
            row.mass,
            len(row.tokens) == 1,
        )


class Walk(Protocol):
    """One draw on its way through a trie."""

    node: Node
    """The prefix to ask about."""
    choices: list[Choice]
    """What was drawn, its end token last, once the walk has ended."""

    def proceed(self) -> Step:
        """Go on with what the trie knows."""
        ...

    def info(self) -> dict[str, Any]:
        """Return evidence on a finished draw."""
        ...


class Asap:
    """Choose each token by its probability times the bound of what follows it.

    Args:
        trie: what is known, shared with other draws.
        seed: of the draw.
    """

    def __init__(self, trie: Trie, seed: int) -> None:
        self.node, self.choices = trie.root, list[Choice]()
        self._trie, self._seed, self._logp = trie, seed, 0.0

    def proceed(self) -> Step:
        """Go on with what the trie knows."""
        while (row := self._trie.row(self.node)) is not None:
            weights = row.p * self._trie.bounds(self.node, row)
            total = weights.sum()
            if not total > 0:
                return Step.DEAD
            index = winner(row.tokens, weights, uniform(self._seed, len(self.choices)))
            self._logp += math.log(weights[index] / total)
            self.choices.append(Choice.of(row, index))
            if row.ends[index]:
                return Step.END
            self.node = self._trie.child(self.node, int(row.tokens[index]), float(row.p[index]))
        return Step.ASK

    def info(self) -> dict[str, Any]:
        """Return the log-probability with which the draw was made, and the bound at the root."""
        return {"steered_logprob": self._logp, "legal_mass_bound": self._trie.root.bound}


@dataclass(eq=False)
class _Place:
    """A prefix in one race. `logp` is its log-probability, temperature inside."""

    node: Node
    seed: int
    depth: int = 0
    logp: float = 0.0
    before: "_Place | None" = None
    choice: Choice | None = None  # that led here
    gone: list[int] = field(default_factory=list[int])  # children that set out already


_ARRIVED = -1


class Race:
    """Follow arrivals in their order until an allowed string arrives.

    Args:
        trie: what is known, shared with other draws.
        seed: of the draw.
    """

    def __init__(self, trie: Trie, seed: int) -> None:
        self.node, self.choices = trie.root, list[Choice]()
        self._trie, self._patience = trie, PATIENCE
        self._places, self._serial = 0, count()
        self._events: list[tuple[float, int, int, _Place]] = []
        self._time = _log_wait(uniform(seed, "arrival"))
        self._expect(self._time, _ARRIVED, _Place(trie.root, seed))

    def proceed(self) -> Step:
        """Go on with what the trie knows."""
        while self._events:
            self._time, _, rank, place = self._events[0]
            row = self._trie.row(place.node)
            if row is None:
                if self._patience == 0:
                    return Step.TIRED
                self.node = place.node
                return Step.ASK
            if place.node is self.node:  # it was asked about, by this draw or another
                self._patience -= 1
            heappop(self._events)
            if rank == _ARRIVED:
                self._arrive(place, row)
            elif self._send(place, row, rank):
                return Step.END
        return Step.DEAD

    def _arrive(self, place: _Place, row: Row) -> None:
        """Find when the first allowed child of a place arrives: now, if the first one is allowed.

        The arrivals of all children are one Poisson process, thinned by chance; what is forbidden
        tells nothing of the others, so their wait starts afresh.
        """
        self._places += 1
        if row.mass > 0:
            time = self._time
            if uniform(place.seed, place.depth, "allowed") >= row.mass:
                time = _later(time, place, 0, row.mass)
            self._expect(time, 0, place)

    def _send(self, place: _Place, row: Row, rank: int) -> bool:
        """Let the child that arrives now go its way; tell whether it is the end of a string."""
        weights = row.p
        if rank:
            weights = weights.copy()
            weights[place.gone] = 0.0
        names = (place.depth, rank) if rank else (place.depth,)  # the first's number is a mask's
        index = winner(row.tokens, weights, uniform(place.seed, *names))
        choice = Choice.of(row, index)
        if row.ends[index]:
            self._finish(place, choice)
            return True
        place.gone.append(index)
        rest = float(np.delete(row.p, place.gone).sum())
        if rest > 0:
            self._expect(_later(self._time, place, rank + 1, rest), rank + 1, place)
        child = _Place(
            self._trie.child(place.node, choice.token, float(row.p[index])),
            child_seed(place.seed, "after", *names) if rank else place.seed,
            place.depth + 1,
            place.logp + choice.logp,
            place,
            choice,
        )
        self._expect(self._time, _ARRIVED, child)
        return False

    def _expect(self, time: float, rank: int, place: _Place) -> None:
        heappush(self._events, (time, next(self._serial), rank, place))

    def _finish(self, place: _Place, last: Choice) -> None:
        self.choices = [last]
        at: _Place | None = place
        while at is not None and at.choice is not None:
            self.choices.append(at.choice)
            at = at.before
        self.choices.reverse()

    def info(self) -> dict[str, Any]:
        """Return the prefixes met, the log-time of arrival, and the bound at the root.

        The time is exponential with the probability that the unsteered model satisfies the
        constraint as its rate. Once every prefix was visited that probability is known, and with it
        the log-probability of the draw under the exact conditional.
        """
        root = self._trie.root
        found = {
            "prefixes": self._places,
            "log_arrival": self._time,
            "legal_mass_bound": root.bound,
        }
        if root.closed and self.choices:
            found["steered_logprob"] = sum(c.logp for c in self.choices) - math.log(root.bound)
        return found


class Survey:
    """Visit one prefix of `trie.wanted`, and leave it at that.

    Args:
        trie: says what to visit.
        seed: plays no part.
    """

    def __init__(self, trie: Trie, seed: int) -> None:
        del seed
        self.node, self.choices = trie.wanted.popleft(), list[Choice]()

    def proceed(self) -> Step:
        """Ask once."""
        return Step.DEAD if self.node.visited else Step.ASK

    def info(self) -> dict[str, Any]:
        """Nothing was drawn."""
        return {}


WALKS: Mapping[str, Callable[[Trie, int], Walk]] = {"asap": Asap, "exact": Race, "survey": Survey}
"""By mode."""


def winner(tokens: NDArray[np.int64], weights: NDArray[np.float64], number: float) -> int:
    """Return the index of the token that wins the race of `sampling.race`, as under a mask.

    Args:
        tokens: ids.
        weights: of each, one above 0.
        number: in [0, 1).
    """
    table = torch.zeros(1, int(tokens.max()) + 1)
    table[0, torch.from_numpy(tokens)] = torch.from_numpy(weights / weights.max()).float()
    (won,) = race(table, torch.tensor([number], dtype=torch.float64))
    return int(np.flatnonzero(tokens == won)[0])


def _log_wait(number: float) -> float:
    """Return the logarithm of an exponential variable of rate 1, from a number in [0, 1)."""
    return math.log(-math.log1p(-number)) if number else -math.inf


def _later(time: float, place: _Place, rank: int, mass: float) -> float:
    """Return the log-time of the next arrival at rate `mass` times the place's probability."""
    wait = _log_wait(uniform(place.seed, place.depth, "wait", rank)) - place.logp - math.log(mass)
    return float(np.logaddexp(time, wait))
