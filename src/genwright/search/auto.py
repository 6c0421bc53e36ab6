"""Let the first draws of a prompt decide how the rest of its budget is spent.

Choose it where tasks differ and no one strategy fits them all: some prompts are settled by their
first draws, some need many, and on some the verifier, the vote, or neither can be trusted.

A stated share of the budget is the pilot: draws that are checked where there is a verifier. From
them follow the prompt's own coverage law (its share of right draws has a Beta posterior,
`belief.py`) and the verifier's rates of error (over a grid, each point weighed by how well it
explains the verdicts). Then the rest is played out on paper (`forecast.py`), and of `stop`, `vote`
and `check`, each with 1, 2, 4, ... further draws, the cheapest plan is taken whose predicted
accuracy is within `slack` of the best. Whatever the plan, the draw that is likeliest right is
returned.

Ours throughout. What it rests on: adaptive numbers of draws, Aggarwal et al. 2023, "Let's Sample
Step by Step", arXiv:2305.11860; the coverage law, Brown et al. 2024, arXiv:2407.21787.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np

from genwright.core import (
    Budget,
    Generator,
    InvalidArgument,
    Outcome,
    Stop,
    Task,
    child_seed,
    codec,
    method,
)
from genwright.search.belief import JEFFREYS, VARIETY, answers_right
from genwright.search.forecast import Checks, Forecast, ManyRight, OneAnswer
from genwright.search.tally import Tally, at_least_one
from genwright.search.voting import answer_of
from genwright.verifiers.reliability import Reliability, checks, rates_of

PLAYED = 64
"""Continuations played on paper for every plan."""


class Plan(NamedTuple):
    """What to do after the pilot, and the accuracy that it promises."""

    strategy: Literal["stop", "vote", "check"]
    draws: int
    accuracy: float


@method()
@dataclass(frozen=True, kw_only=True)
class Auto:
    """Spend a share of the budget to learn how to spend the rest.

    Args:
        n: the most draws to make.
        key: maps a value to its answer in canonical form, or to None. None takes the value itself.
        right: `"one"` where a task has one right answer, on which draws can agree; `"many"` where
            different values may all be right, as programs are.
        pilot: the share of the draws that is spent to learn, in (0, 1]; at least two draws.
        prior: (a, b) of the Beta prior of a task's share of right draws; `coverage.fit_prior`
            learns it from earlier results.
        variety: of wrong answers (`belief.py`).
        reliability: the verifier's rates of false accepts and of false rejects. None learns them
            for each prompt, from how verdicts and agreement fit together.
        sure: the probability of being right at which no further draw is made.
        slack: how much predicted accuracy may be given up for fewer draws, or for no checks.
        batch: draws per call of the generator; the budget is looked at between calls.

    Raises:
        InvalidArgument: counts below 1, shares, rates or priors out of range, or an unknown
            `right`.
    """

    n: int = 16
    key: Callable[[Any], Hashable | None] | None = None
    right: Literal["one", "many"] = "one"
    pilot: float = 0.25
    prior: tuple[float, float] = JEFFREYS
    variety: float = VARIETY
    reliability: tuple[float, float] | None = None
    sure: float = 0.99
    slack: float = 0.005
    batch: int = 8

    def __post_init__(self) -> None:
        at_least_one("Auto", n=self.n, batch=self.batch)
        rates_of("Auto", self.reliability)
        if self.right not in ("one", "many"):
            raise InvalidArgument(f"Auto: right must be 'one' or 'many', got {self.right!r}.")
        for name, value in (("pilot", self.pilot), ("sure", self.sure)):
            if not 0.0 < value <= 1.0:
                raise InvalidArgument(f"Auto: {name} must be in (0, 1], got {value}.")
        if not 0.0 <= self.slack < 1.0:
            raise InvalidArgument(f"Auto: slack must be in [0, 1), got {self.slack}.")
        answers_right([], None, self.prior, self.variety)  # refuses what is out of range

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task.

        `info` holds the `plan` (a strategy and its further draws), `predicted` (the accuracy of
        every plan), `pilot` (its draws), `rates` (the verifier's, given or learnt), and `chance`,
        the probability that the chosen draw is right.
        """
        tally = Tally(generator, task, budget, seed, check=task.verifier is not None)
        most = self.n if budget.draws is None else min(self.n, budget.draws)
        self._draw(tally, min(most, max(2, ceil(self.pilot * most))))
        pilot = len(tally.samples)
        if not pilot:
            return tally.outcome(None, Stop.BUDGET)
        plans = self._plans(tally, self.n - pilot, child_seed(seed, "plans"))
        best = max(plan.accuracy for plan in plans)
        good = (plan for plan in plans if plan.accuracy >= best - self.slack)
        plan = min(good, key=lambda p: (p.draws, p.strategy == "check"))
        if plan.strategy == "vote":
            tally.stop_checking()
        self._draw(tally, pilot + plan.draws, until_sure=True)
        view = self._view(tally)
        chosen, chance = view.choose()
        stop = Stop.COMPLETE if len(tally.samples) == self.n else Stop.GAVE_UP
        if stop is Stop.GAVE_UP and chance >= self.sure:
            stop = Stop.DECIDED
        if stop is Stop.GAVE_UP and not tally.room(1):
            stop = Stop.BUDGET
        return tally.outcome(
            chosen,
            stop,
            plan=[plan.strategy, plan.draws],
            predicted={f"{p.strategy} {p.draws}": round(p.accuracy, 4) for p in plans},
            pilot=pilot,
            rates=list(view.rates),
            chance=chance,
        )

    def _draw(self, tally: Tally[Any], wanted: int, *, until_sure: bool = False) -> None:
        """Draw up to `wanted` in all."""
        while (left := wanted - len(tally.samples)) > 0:
            if until_sure and self._view(tally).choose()[1] >= self.sure:
                return
            if not len(tally.draw(min(self.batch, left))):
                return

    def _plans(self, tally: Tally[Any], left: int, seed: int) -> list[Plan]:
        """Return every plan that the budget allows, with its predicted accuracy."""
        view = self._view(tally)
        plans = [Plan("stop", 0, view.choose()[1])]
        if plans[0].accuracy >= self.sure:
            return plans
        ways: list[tuple[Literal["vote", "check"], int]] = []
        if self.right == "one" or not tally.verdicts:
            ways.append(("vote", tally.room(left, checks=False)))
        if tally.verdicts:
            ways.append(("check", tally.room(left)))
        for way, room in ways:
            ks = sorted({min(2**i, room) for i in range(room.bit_length() + 1)} - {0})
            if not ks:
                continue
            rng = np.random.default_rng(seed)
            found = view.play(ks, PLAYED, rng, checked=way == "check")
            plans += [Plan(way, k, accuracy) for k, accuracy in found.items()]
        return plans

    def _view(self, tally: Tally[Any]) -> Forecast:
        """Return what the draws so far show."""
        values = list(tally.samples.values)
        digests = [codec.digest(value) for value in values]
        said: list[Checks] = [checks(verdict) for verdict in tally.verdicts]
        said += [(0, 0)] * (len(values) - len(said))
        first = [i for i, digest in enumerate(digests) if digests.index(digest) == i]
        rates = rates_of("Auto", self.reliability) or Reliability()
        if self.right == "many":
            view: OneAnswer | ManyRight = ManyRight(
                draws=first, said=[said[i] for i in first], rates=rates, prior=self.prior
            )
        else:
            view = OneAnswer(
                answers=[answer_of(value, self.key) for value in values],
                said=[s if i in set(first) else (0, 0) for i, s in enumerate(said)],
                rates=rates,
                prior=self.prior,
                variety=self.variety,
            )
        unchecked = not any(sum(s) for s in said)
        return Forecast(view, known=self.reliability is not None or unchecked)
