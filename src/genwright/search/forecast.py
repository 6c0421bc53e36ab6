"""What further draws of a prompt would bring, played out from what its draws so far have shown.

`auto.py` chooses by it. `OneAnswer` is for tasks with one right answer, `ManyRight` for tasks where
different draws may all be right; both are the models of `belief.py`. A continuation is played by
drawing the truth from the posterior, then draws and verdicts from the truth. The predicted accuracy
is the mean over continuations of the probability that the choice is then right, which has the same
expectation as the share in which it is, and varies less.

Ours throughout.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np

from genwright.search.belief import (
    answers_explained,
    answers_right,
    draws_explained,
    draws_right,
)
from genwright.verifiers.reliability import Reliability

Checks = tuple[int, int]
"""How many checks of a draw passed and failed."""

GRID = (0.002, 0.02, 0.06, 0.15, 0.35)
MASS = (0.45, 0.25, 0.15, 0.1, 0.05)
"""Rates of error that are thought possible where none are known, and the prior of each."""

NEGLIGIBLE = 0.01
"""Rates that explain the verdicts this much worse than the best are left out."""


@dataclass(frozen=True, kw_only=True)
class OneAnswer:
    """Draws that hold answers, one of which is right at most.

    Args:
        answers: of each draw; None for a draw without one.
        said: what checks said of each draw; (0, 0) where it was not checked.
        rates: of the verifier's errors.
        prior: of the share of right draws.
        variety: of wrong answers.
    """

    answers: Sequence[Hashable | None]
    said: Sequence[Checks]
    rates: Reliability
    prior: tuple[float, float]
    variety: float

    def explained(self) -> float:
        """Return the log likelihood of the verdicts, up to what the rates leave alone."""
        found = answers_explained(self.answers, self._weights(), self.prior, self.variety)
        return found + _if_wrong(self.said, self.rates)

    def chances(self) -> dict[int, float]:
        """Return the probability of being right of the first draw that holds each answer."""
        found = answers_right(self.answers, self._weights(), self.prior, self.variety)
        answers = list(self.answers)
        return {answers.index(answer): chance for answer, chance in found.items()}

    def play(
        self, ks: Sequence[int], times: int, rng: np.random.Generator, *, checked: bool
    ) -> dict[int, float]:
        """Return for each k the predicted accuracy of the choice after k further draws.

        Args:
            ks: numbers of further draws.
            times: continuations to play.
            rng: plays them.
            checked: whether further draws are checked.
        """
        chances = answers_right(self.answers, self._weights(), self.prior, self.variety)
        options: list[Hashable | None] = [*chances, None]
        odds = np.append(list(chances.values()), max(0.0, 1 - sum(chances.values())))
        total = dict.fromkeys(ks, 0.0)
        luck = rng.spawn(1)[0]  # of verdicts: the draws are then the same, checked or not
        for _ in range(times):
            right = options[rng.choice(len(options), p=odds / odds.sum())]
            for k, found in self._continue(right, ks, rng, luck if checked else None).items():
                total[k] += found
        return {k: chance / times for k, chance in total.items()}

    def _continue(
        self,
        right: Hashable | None,
        ks: Sequence[int],
        rng: np.random.Generator,
        luck: np.random.Generator | None,
    ) -> dict[int, float]:
        answers, said = list(self.answers), list(self.said)
        held = 0 if right is None else answers.count(right)
        p = rng.beta(self.prior[0] + held, self.prior[1] + len(answers) - held)
        wrong = [x for x in answers if x is not None and x != right]
        right = object() if right is None else right
        found: dict[int, float] = {}
        for k in range(1, max(ks) + 1):
            good = rng.random() < p
            if good:
                answers.append(right)
            else:
                seat = rng.random() * (self.variety + len(wrong))
                wrong.append(object() if seat < self.variety else wrong[int(seat - self.variety)])
                answers.append(wrong[-1])
            said.append((0, 0) if luck is None else _verdict(good, self.rates, luck))
            if k in ks:
                found[k] = max(replace(self, answers=answers, said=said).chances().values())
        return found

    def _weights(self) -> list[float]:
        return [_weight(s, self.rates) for s in self.said]


@dataclass(frozen=True, kw_only=True)
class ManyRight:
    """Draws of which each may be right. Draws of equal values are one.

    Args:
        draws: the numbers of the first draw of each value.
        said: what checks said of each of these.
        rates: of the verifier's errors.
        prior: of the share of right draws.
    """

    draws: Sequence[int]
    said: Sequence[Checks]
    rates: Reliability
    prior: tuple[float, float]

    def explained(self) -> float:
        """Return the log likelihood of the verdicts."""
        return draws_explained(self._weights(), self.prior) + _if_wrong(self.said, self.rates)

    def chances(self) -> dict[int, float]:
        """Return the probability of being right of each draw."""
        return dict(zip(self.draws, draws_right(self._weights(), self.prior), strict=True))

    def play(
        self, ks: Sequence[int], times: int, rng: np.random.Generator, *, checked: bool
    ) -> dict[int, float]:
        """Return the predicted accuracy for each k, as `OneAnswer.play`."""
        total = dict.fromkeys(ks, 0.0)
        weights = self._weights()
        chances = np.array(draws_right(weights, self.prior))
        for _ in range(times):
            held = int((rng.random(len(chances)) < chances).sum())
            p = rng.beta(self.prior[0] + held, self.prior[1] + len(chances) - held)
            right = rng.random(max(ks)) < p
            accepted = np.where(right, 1 - self.rates.false_reject, self.rates.false_accept)
            passes = rng.random(max(ks)) < accepted
            said = np.where(passes, self.rates.passed, self.rates.failed) * checked
            for k in ks:
                total[k] += max(draws_right([*weights, *said[:k].tolist()], self.prior))
        return {k: chance / times for k, chance in total.items()}

    def _weights(self) -> list[float]:
        return [_weight(s, self.rates) for s in self.said]


class Forecast:
    """What the draws of a prompt show, over every rate of error that is thought possible.

    Args:
        view: the draws and their verdicts.
        known: whether the rates of the view are known; they are learnt otherwise.
    """

    def __init__(self, view: OneAnswer | ManyRight, *, known: bool) -> None:
        self._views = [view]
        self._weights = np.ones(1)
        if known:
            return
        pairs = [
            (Reliability(accept, reject), log(mass_a * mass_r))
            for accept, mass_a in zip(GRID, MASS, strict=True)
            for reject, mass_r in zip(GRID, MASS, strict=True)
        ]
        views = [replace(view, rates=rates) for rates, _ in pairs]
        logs = np.array([v.explained() + log_p for v, (_, log_p) in zip(views, pairs, strict=True)])
        weights = np.exp(logs - np.logaddexp.reduce(logs))
        kept = np.flatnonzero(weights >= NEGLIGIBLE * weights.max())
        self._views = [views[i] for i in kept]
        self._weights = weights[kept] / weights[kept].sum()

    @property
    def rates(self) -> Reliability:
        """The verifier's rates of error, on average."""
        rates = np.array([view.rates for view in self._views])
        return Reliability(*(self._weights @ rates).tolist())

    def choose(self) -> tuple[int | None, float]:
        """Return (the draw that is likeliest right, that probability)."""
        total: dict[int, float] = {}
        for view, weight in zip(self._views, self._weights.tolist(), strict=True):
            for draw, chance in view.chances().items():
                total[draw] = total.get(draw, 0.0) + weight * chance
        best = max(total, key=lambda draw: (total[draw], -draw), default=None)
        return (None, 0.0) if best is None else (best, total[best])

    def play(
        self, ks: Sequence[int], times: int, rng: np.random.Generator, *, checked: bool
    ) -> dict[int, float]:
        """Return the predicted accuracy for each k, as `OneAnswer.play`."""
        total = dict.fromkeys(ks, 0.0)
        shares = rng.multinomial(times, self._weights)
        for view, share in zip(self._views, shares.tolist(), strict=True):
            if share:
                for k, chance in view.play(ks, share, rng, checked=checked).items():
                    total[k] += share * chance
        return {k: chance / times for k, chance in total.items()}


def _weight(said: Checks, rates: Reliability) -> float:
    return said[0] * rates.passed + said[1] * rates.failed


def _if_wrong(said: Sequence[Checks], rates: Reliability) -> float:
    """Return the log likelihood of all verdicts were every draw wrong."""
    passed, failed = sum(s[0] for s in said), sum(s[1] for s in said)
    accept = min(max(rates.false_accept, 1e-9), 1 - 1e-9)
    return passed * log(accept) + failed * log(1 - accept)


def _verdict(right: bool, rates: Reliability, rng: np.random.Generator) -> Checks:
    chance = 1 - rates.false_reject if right else rates.false_accept
    return (1, 0) if rng.random() < chance else (0, 1)
