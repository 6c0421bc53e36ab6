"""Estimates, intervals and paired tests: every number that is claimed goes through here.

Choose `wilson` for a rate in a table, `clopper_pearson` where a guarantee must hold at any sample
size, `mean_interval` for a mean of costs or scores, `bootstrap` for any other statistic; to compare
two methods on the same tasks, `mcnemar` for pass or fail and `paired_bootstrap` for scores.

Undecided results (None) say nothing of either side: they are left out, and `excluded` counts them.

Sources stand at each function. What resamples takes a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, ndtri, stdtrit  # pyright: ignore

from genwright.core.errors import InvalidArgument
from genwright.core.seeding import child_seed


@dataclass(frozen=True)
class Interval:
    """An estimate and the confidence interval around it.

    Args:
        estimate: the value found.
        low: lower end.
        high: upper end.
        level: of confidence, in (0, 1).
        n: observations it rests on.
        excluded: undecided observations that were left out.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    excluded: int = 0


@dataclass(frozen=True)
class McNemar:
    """The result of McNemar's test.

    Args:
        first_only: tasks that only the first method passed.
        second_only: tasks that only the second method passed.
        p_value: two-sided and exact; 1 where the methods never differ.
        n: tasks compared.
        excluded: tasks left out because either side was undecided.
    """

    first_only: int
    second_only: int
    p_value: float
    n: int
    excluded: int


def pass_at_k(n: int, passed: int, k: int) -> float:
    """Return the unbiased estimate of the chance that one of k draws passes.

    1 - C(n - c, k) / C(n, k), as a product so that nothing overflows. It is the share of all
    k-subsets of the n draws that hold a pass. Chen et al. 2021, "Evaluating Large Language Models
    Trained on Code", arXiv:2107.03374, Equation 1.

    Args:
        n: decided draws. Leave undecided ones out of both counts, and report them.
        passed: draws that passed.
        k: draws that are allowed, 1 to n.

    Raises:
        InvalidArgument: counts that contradict each other, or k above n.
    """
    if not 0 <= passed <= n:
        raise InvalidArgument(f"pass_at_k: passed must be in 0..{n} (n), got {passed}.")
    if not 1 <= k <= n:
        raise InvalidArgument(
            f"pass_at_k: k must be in 1..{n} (the decided draws), got {k}; draw more or ask less."
        )
    none_passes = 1.0
    for i in range(k):
        none_passes *= max(0, n - passed - i) / (n - i)
    return 1.0 - none_passes


def wilson(passed: float, n: int, level: float = 0.95) -> Interval:
    """Return the score interval of a rate: near its level at every n, and inside [0, 1].

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22;
    recommended over the normal interval by Brown, Cai and DasGupta 2001, "Interval Estimation for a
    Binomial Proportion", Statistical Science 16. Ours: `passed` may be a sum of n numbers in
    [0, 1]. Their variance is at most that of n Bernoulli trials of the same mean, so that the
    interval of their mean is then too wide rather than too narrow.

    Raises:
        InvalidArgument: n below 1, passed outside 0..n, or a level outside (0, 1).
    """
    _check_rate("wilson", passed, n, level)
    z = float(ndtri((1 + level) / 2))
    rate = passed / n
    scale = 1 + z * z / n
    middle = (rate + z * z / (2 * n)) / scale
    half = z / scale * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if passed == 0 else max(0.0, middle - half)
    high = 1.0 if passed == n else min(1.0, middle + half)
    return Interval(rate, low, high, level, n)


def clopper_pearson(passed: int, n: int, level: float = 0.95) -> Interval:
    """Return the exact interval of a rate: it covers with at least its level, whatever the rate.

    Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case of
    the Binomial", Biometrika 26.

    Raises:
        InvalidArgument: n below 1, passed outside 0..n, or a level outside (0, 1).
    """
    _check_rate("clopper_pearson", passed, n, level)
    tail = (1 - level) / 2
    low = 0.0 if passed == 0 else float(betaincinv(passed, n - passed + 1, tail))
    high = 1.0 if passed == n else float(betaincinv(passed + 1, n - passed, 1 - tail))
    return Interval(passed / n, low, high, level, n)


def mean_interval(values: Sequence[float | None], level: float = 0.95) -> Interval:
    """Return Student's interval of a mean. "Student" 1908, "The Probable Error of a Mean".

    Args:
        values: observations; None is left out.
        level: of confidence.

    Raises:
        InvalidArgument: fewer than two observations, one that is not finite, or a bad level.
    """
    known = _known("mean_interval", values, least=2)
    _check_level("mean_interval", level)
    n = len(known)
    mean = float(known.mean())
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(known.std(ddof=1)) / sqrt(n)
    return Interval(mean, mean - half, mean + half, level, n, len(values) - n)


def bootstrap(
    values: Sequence[float | None],
    statistic: Callable[[NDArray[np.float64]], float] | None = None,
    *,
    seed: int,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic.

    Efron 1979, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7. The
    interval is too narrow below some twenty observations; use `mean_interval` for means there.

    Args:
        values: independent observations; None is left out.
        statistic: maps float64[n] to a number; the mean where it is left out.
        seed: of the resampling.
        resamples: how many samples of n are taken with replacement.
        level: of confidence.

    Raises:
        InvalidArgument: no observation, one that is not finite, no resamples, or a bad level.
    """
    known = _known("bootstrap", values, least=1)
    _check_level("bootstrap", level)
    if resamples < 1:
        raise InvalidArgument(f"bootstrap: resamples must be 1 or more, got {resamples}.")
    n = len(known)
    rng = np.random.default_rng(child_seed(seed, "bootstrap"))
    found = np.empty(resamples)
    for i in range(resamples):
        again = known[rng.integers(0, n, n)]
        found[i] = again.mean() if statistic is None else statistic(again)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    estimate = float(known.mean() if statistic is None else statistic(known))
    return Interval(estimate, float(low), float(high), level, n, len(values) - n)


def paired_bootstrap(
    first: Sequence[float | None],
    second: Sequence[float | None],
    *,
    seed: int,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Return the interval of mean(first) - mean(second), resampling tasks, not sides.

    Both sides of a task stay together, so that what makes a task hard for both cancels. Koehn 2004,
    "Statistical Significance Tests for Machine Translation Evaluation", EMNLP.

    Args:
        first: results of one method (numbers, or True and False), a task each.
        second: results of the other on the same tasks, in the same order. A task with None on
            either side is left out.
        seed: of the resampling.
        resamples: how many times the tasks are drawn anew.
        level: of confidence.

    Raises:
        InvalidArgument: sides of different lengths, or what `bootstrap` refuses.
    """
    pairs = _paired("paired_bootstrap", first, second)
    differences = [None if a is None or b is None else float(a) - float(b) for a, b in pairs]
    return bootstrap(differences, seed=seed, resamples=resamples, level=level)


def mcnemar(first: Sequence[bool | None], second: Sequence[bool | None]) -> McNemar:
    """Test whether two methods pass the same tasks equally often; exact and two-sided.

    Only tasks where they differ count: under the null hypothesis each is a fair coin. McNemar 1947,
    "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages",
    Psychometrika 12; the exact binomial form.

    Args:
        first: whether the first method passed each task; None where undecided.
        second: the same of the second method, in the same order.

    Raises:
        InvalidArgument: sides of different lengths.
    """
    pairs = _paired("mcnemar", first, second)
    decided = [(bool(a), bool(b)) for a, b in pairs if a is not None and b is not None]
    first_only = sum(a and not b for a, b in decided)
    second_only = sum(b and not a for a, b in decided)
    tail = float(bdtr(min(first_only, second_only), first_only + second_only, 0.5))
    return McNemar(
        first_only, second_only, min(1.0, 2 * tail), len(decided), len(pairs) - len(decided)
    )


def k_max(n: int, epsilon: float, delta: float) -> int:
    """Return the most misses among n calibration examples that still prove a miss rate.

    The largest k with P(Binomial(n, epsilon) <= k) <= delta: a rate above epsilon would show k or
    fewer misses with a chance of at most delta. Vovk 2013, "Conditional validity of inductive
    conformal predictors", Machine Learning 92; Park et al. 2020, "PAC Confidence
    Sets for Deep Neural Networks via Calibrated Prediction", arXiv:2001.00106, Theorem 1.

    Args:
        n: calibration examples.
        epsilon: the miss rate to be proved, in (0, 1).
        delta: the allowed chance that the statement is wrong, in (0, 1).

    Raises:
        InvalidArgument: values out of range, or so few examples that not even 0 misses prove it.
    """
    if not (0 < epsilon < 1 and 0 < delta < 1):
        raise InvalidArgument(
            f"k_max: epsilon and delta must be in (0, 1), got {epsilon} and {delta}."
        )
    proved: NDArray[np.float64] = bdtr(np.arange(n + 1), n, epsilon) if n > 0 else np.ones(1)
    k = int(np.searchsorted(proved, delta, side="right")) - 1
    if k < 0:
        needed = ceil(log(delta) / log(1 - epsilon))
        raise InvalidArgument(
            f"k_max: {n} examples cannot prove a miss rate of {epsilon} at delta {delta}, "
            f"even with no miss; give at least {needed}."
        )
    return k


def _check_level(owner: str, level: float) -> None:
    if not 0 < level < 1:
        raise InvalidArgument(f"{owner}: level must be in (0, 1), got {level}; 0.95 is usual.")


def _check_rate(owner: str, passed: float, n: int, level: float) -> None:
    if n < 1:
        raise InvalidArgument(f"{owner}: n must be 1 or more, got {n}: no rate without a trial.")
    if not 0 <= passed <= n:
        raise InvalidArgument(f"{owner}: passed must be in 0..{n} (n), got {passed}.")
    _check_level(owner, level)


def _known(owner: str, values: Sequence[float | None], least: int) -> NDArray[np.float64]:
    known = [float(v) for v in values if v is not None]
    if len(known) < least:
        raise InvalidArgument(f"{owner}: needs {least} or more known values, got {len(known)}.")
    if not all(isfinite(v) for v in known):
        raise InvalidArgument(f"{owner}: every value must be finite; pass None for an unknown one.")
    return np.array(known)


def _paired(
    owner: str, first: Sequence[float | None], second: Sequence[float | None]
) -> list[tuple[float | None, float | None]]:
    if len(first) != len(second):
        raise InvalidArgument(
            f"{owner}: both sides need the same tasks in the same order, "
            f"got {len(first)} and {len(second)} results."
        )
    return list(zip(first, second, strict=True))
