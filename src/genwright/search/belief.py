"""How likely a draw, or an answer, is right, given what a verifier that errs said of the draws.

`draws_right` is for tasks with many right draws (programs, proofs): each draw is right or wrong on
its own. `answers_right` is for tasks with one right answer, on which draws can agree.

Both let the task's share of right draws p have a Beta(a, b) prior. A verdict multiplies the odds of
its draw by P(verdict | right) / P(verdict | wrong) (`verifiers/reliability.py`). For draws,

    P(r_i | verdicts) = E_p[ p R_i prod_{j != i} (p R_j + 1 - p) ] / E_p[ prod_j (p R_j + 1 - p) ]

with R_j that ratio. For answers, under the hypothesis that answer v, which c of n draws hold, is
the right one, the other n - c draws are wrong and fall into their answers as a Chinese restaurant
with concentration `variety` does, so that up to a factor all hypotheses share

    P(v) = B(a + c, b + n - c) / [variety Gamma(c) Gamma(variety + n - c)] prod_{i in v} R_i,

and with no right answer among them, B(a, b + n) / Gamma(variety + n).

The prior: Skellam 1948, JRSS B 10. The restaurant: Ewens 1972, doi:10.1016/0040-5809(72)90035-4;
Pitman 2006, "Combinatorial Stochastic Processes", Section 3.1. Ours: their use here.
"""

from collections.abc import Hashable, Sequence
from math import inf
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, roots_jacobi  # pyright: ignore

from genwright.core import InvalidArgument, Verdict, codec
from genwright.verifiers.reliability import Reliability

JEFFREYS = (0.5, 0.5)
"""The prior of a task's share of right draws where nothing is known of its kind."""

VARIETY = 2.0
"""How varied wrong answers are where nothing is known: the chance that the second wrong draw holds
another answer than the first is variety / (1 + variety)."""

_NODES = 64
"""Of the quadrature over p; exact for up to 127 draws, and past that closer than 1e-6."""


def draws_right(weights: Sequence[float], prior: tuple[float, float] = JEFFREYS) -> list[float]:
    """Return for each draw the probability that it is right.

    Args:
        weights: what is known of each draw in nats, as `Reliability.weight` gives it.
        prior: (a, b) of the Beta prior of the share of right draws.

    Raises:
        InvalidArgument: a prior not above 0.
    """
    if not weights:
        return []
    either_P, right_PN = _draws(weights, prior)
    found = np.exp(
        np.logaddexp.reduce(either_P[:, None] + right_PN) - np.logaddexp.reduce(either_P)
    )
    return cast("list[float]", np.minimum(found, 1.0).tolist())


def draws_explained(weights: Sequence[float], prior: tuple[float, float] = JEFFREYS) -> float:
    """Return the logarithm of the denominator: how well the weights explain the verdicts."""
    return float(np.logaddexp.reduce(_draws(weights, prior)[0]))


def likeliest(
    values: Sequence[Any],
    verdicts: Sequence[Verdict],
    reliability: Reliability,
    prior: tuple[float, float] = JEFFREYS,
) -> tuple[int | None, float]:
    """Return (the number of the draw that is likeliest right, that probability).

    Draws of equal values are one: its first verdict that decided counts, since asking a verifier
    again about the same value may tell nothing new. Of equals, the one drawn first. None where
    every draw failed and no right draw is ever rejected.
    """
    first, weights = candidates(values, verdicts, reliability)
    chances = draws_right(weights, prior)
    open_ = [
        (chance, -i)
        for i, chance in zip(first, chances, strict=True)
        if verdicts[i].passed is not False or reliability.false_reject > 0
    ]
    chance, number = max(open_, default=(0.0, 1))
    return (-number if open_ else None), chance


def candidates(
    values: Sequence[Any], verdicts: Sequence[Verdict], reliability: Reliability
) -> tuple[list[int], list[float]]:
    """Return for each distinct value a draw that holds it, and what its verdict weighs in nats."""
    number: dict[str, int] = {}
    for i, value in enumerate(values):
        known = number.setdefault(codec.digest(value), i)
        if not verdicts[known].decided and verdicts[i].decided:
            number[codec.digest(value)] = i
    first = sorted(number.values())
    return first, [reliability.weight(verdicts[i]) for i in first]


def chance_of_another(
    weights: Sequence[float], left: float, accepted: float, prior: tuple[float, float] = JEFFREYS
) -> float:
    """Return the probability that one of `left` further draws is right and accepted.

    Args:
        weights: what is known of the draws made, in nats.
        left: further draws; may be infinite.
        accepted: the chance that a right draw is accepted.
        prior: as in `draws_right`.
    """
    p_P, log_P = _share(prior)
    for weight in weights:
        log_P = log_P + np.logaddexp(np.log(p_P) + weight, np.log1p(-p_P))
    chance_P = np.exp(log_P - np.logaddexp.reduce(log_P))
    none_P = (1 - p_P * accepted) ** left if left < inf else np.zeros_like(p_P)
    return float(chance_P @ (1 - none_P))


def answers_right(
    answers: Sequence[Hashable | None],
    weights: Sequence[float] | None = None,
    prior: tuple[float, float] = JEFFREYS,
    variety: float = VARIETY,
) -> dict[Hashable, float]:
    """Return for each answer the probability that it is the right one, in the order first drawn.

    What is missing to 1 is the probability that none of them is.

    Args:
        answers: of each draw; None for a draw without one, which is wrong.
        weights: what a verifier said of each draw, in nats; nothing where it is left out.
        prior: (a, b) of the Beta prior of the share of right draws.
        variety: of wrong answers, above 0.

    Raises:
        InvalidArgument: a prior or variety not above 0.
    """
    logs = _answers(answers, weights, prior, variety)
    total = np.logaddexp.reduce(list(logs.values()))
    return {v: float(np.exp(log - total)) for v, log in logs.items() if v is not None}


def answers_explained(
    answers: Sequence[Hashable | None],
    weights: Sequence[float] | None = None,
    prior: tuple[float, float] = JEFFREYS,
    variety: float = VARIETY,
) -> float:
    """Return the logarithm of the sum that `answers_right` divides by."""
    return float(np.logaddexp.reduce(list(_answers(answers, weights, prior, variety).values())))


def _draws(
    weights: Sequence[float], prior: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at each point p: the log weight of p and the verdicts, and log P(right) of each."""
    p_P, log_P = _share(prior)
    right_PN = np.log(p_P)[:, None] + np.asarray(weights, dtype=np.float64)
    either_PN = np.logaddexp(right_PN, np.log1p(-p_P)[:, None])
    return log_P + either_PN.sum(axis=1), right_PN - either_PN


def _answers(
    answers: Sequence[Hashable | None],
    weights: Sequence[float] | None,
    prior: tuple[float, float],
    variety: float,
) -> dict[Hashable | None, float]:
    """Return for each answer the logarithm of its P(v), and under None that of no right one."""
    _above_zero(prior)
    if not 0 < variety < inf:
        raise InvalidArgument(f"belief: variety must be above 0 and finite, got {variety}.")
    a, b = prior
    n = len(answers)
    votes: dict[Hashable, int] = {}
    said: dict[Hashable, float] = {}
    for answer, weight in zip(answers, weights or [0.0] * n, strict=True):
        if answer is not None:
            votes[answer] = votes.get(answer, 0) + 1
            said[answer] = said.get(answer, 0.0) + weight
    blank = n - sum(votes.values())  # wrong draws that sit at no table
    logs: dict[Hashable | None, float] = {}
    for answer, c in votes.items():
        log = betaln(a + c, b + n - c) - np.log(variety) - gammaln(c)
        logs[answer] = float(log - gammaln(variety + n - blank - c) + said[answer])
    logs[None] = float(betaln(a, b + n) - gammaln(variety + n - blank))
    return logs


def _share(prior: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points p and the logarithm of their weight under a Beta prior."""
    _above_zero(prior)
    a, b = prior
    x_P, weight_P = cast("Any", roots_jacobi(_NODES, b - 1, a - 1))
    p_P = np.clip((1 + x_P) / 2, 1e-300, 1 - 1e-16)
    return p_P, np.log(weight_P / weight_P.sum())


def _above_zero(prior: tuple[float, float]) -> None:
    if len(prior) != 2 or not all(0.0 < x < inf for x in prior):
        raise InvalidArgument(f"belief: prior must be two numbers above 0, got {prior}.")
