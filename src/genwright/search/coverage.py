"""Coverage: the share of tasks that k draws solve, as a curve, a law, and a comparison of costs.

Choose `coverage` to report what repeated sampling with a verifier reaches, `fit_power_law` to ask
what a larger budget would bring, and `equal_cost` to compare a cheap generator that draws often
with a dear one that draws seldom.

Brown et al. 2024, "Large Language Monkeys: Scaling Inference Compute with Repeated Sampling",
arXiv:2407.21787, Sections 2 and 3.1 (coverage is about exp(a k^b)). Ours: here the law
is exp(a k^-b), so that b is positive; the interval of each point; undecided draws, which are left
out and counted; and `fit_prior`, a beta-binomial fit of how tasks differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize  # pyright: ignore
from scipy.special import betaln  # pyright: ignore

from genwright.core import InvalidArgument
from genwright.core.statistics import pass_at_k, wilson


class Counts(NamedTuple):
    """What became of the draws of one task.

    `RepeatedSampling(stop_on_pass=False)` reports exactly these: `Counts(**outcome.info)`. Counts
    of a run that stopped at its first pass would make pass@k too high.
    """

    passed: int
    failed: int
    undecided: int = 0

    @classmethod
    def of(cls, flags: Iterable[bool | None]) -> "Counts":
        """Count the `passed` of verdicts."""
        found = list(flags)
        return cls(found.count(True), found.count(False), found.count(None))


@dataclass(frozen=True)
class Coverage:
    """A coverage curve.

    Args:
        ks: numbers of draws, ascending.
        values: coverage at each.
        low: lower ends of the intervals.
        high: upper ends.
        tasks: at each k, how many tasks had k decided draws and so count.
        left_out: at each k, how many tasks had fewer.
        undecided: draws that nobody could judge, over all tasks; they count for nothing.
        level: of confidence.
    """

    ks: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    tasks: tuple[int, ...]
    left_out: tuple[int, ...]
    undecided: int
    level: float

    def at(self, k: int) -> float:
        """Return the coverage at one of `ks`."""
        if k not in self.ks:
            raise InvalidArgument(f"Coverage: k must be one of {self.ks}, got {k}.")
        return self.values[self.ks.index(k)]


def coverage(results: Sequence[Counts], ks: Sequence[int], ci: float = 0.95) -> Coverage:
    """Estimate coverage: the mean over tasks of the unbiased pass@k.

    A task whose undecided draws leave it fewer than k decided ones is left out at that k.

    Args:
        results: one a task.
        ks: numbers of draws.
        ci: level of the interval, which says what other tasks of the same kind would give. It is
            Wilson's, too wide rather than too narrow since pass@k varies less than a coin.

    Raises:
        InvalidArgument: no task, or a k for which no task has enough draws.
    """
    if not results or not ks:
        raise InvalidArgument(
            f"coverage: needs a task and a k, got {len(results)} tasks and {len(ks)} ks."
        )
    ks = sorted(set(ks))
    most = max(r.passed + r.failed for r in results)
    if ks[0] < 1 or ks[-1] > most:
        raise InvalidArgument(
            f"coverage: every k must be in 1..{most} (the most decided draws of a task), "
            f"got {ks[0] if ks[0] < 1 else ks[-1]}."
        )
    points = [
        [pass_at_k(r.passed + r.failed, r.passed, k) for r in results if r.passed + r.failed >= k]
        for k in ks
    ]
    found = [wilson(sum(shares), len(shares), ci) for shares in points]
    return Coverage(
        ks=tuple(ks),
        values=tuple(f.estimate for f in found),
        low=tuple(f.low for f in found),
        high=tuple(f.high for f in found),
        tasks=tuple(f.n for f in found),
        left_out=tuple(len(results) - f.n for f in found),
        undecided=sum(r.undecided for r in results),
        level=ci,
    )


@dataclass(frozen=True)
class PowerLaw:
    """Coverage as exp(a k^-b).

    Args:
        a: below 0; exp(a) is the coverage of one draw.
        b: above 0; how fast coverage grows.
        r2: share of the variance of coverage that the law explains on the points it was fitted to.
        dropped: numbers of draws that could not be used, their coverage being 0 or 1.
    """

    a: float
    b: float
    r2: float
    dropped: tuple[int, ...] = ()

    def predict(self, k: float) -> float:
        """Return the coverage of k draws, k > 0."""
        if not k > 0:
            raise InvalidArgument(f"PowerLaw: k must be above 0, got {k}.")
        return exp(self.a * k**-self.b)

    def budget_for(self, target: float) -> float:
        """Return the draws a task that reach a coverage between 0 and 1; round up to spend."""
        if not 0 < target < 1:
            raise InvalidArgument(f"PowerLaw: target must be in (0, 1), got {target}.")
        return (self.a / log(target)) ** (1 / self.b)


def fit_power_law(ks: Sequence[float], cov: Sequence[float]) -> PowerLaw:
    """Fit exp(a k^-b): a line through log(-log coverage) to start, then least squares on coverage.

    Fit on small k and keep the larger ones to judge the prediction by. Points at 0 or 1 have no
    place on the law (log of log diverges); they are dropped and named.

    Raises:
        InvalidArgument: fewer than two usable points, or coverage that does not grow with k.
    """
    points = [(float(k), c) for k, c in zip(ks, cov, strict=True) if 0 < c < 1]
    dropped = tuple(int(k) for k, c in zip(ks, cov, strict=True) if not 0 < c < 1)
    if len({k for k, _ in points}) < 2 or min(k for k, _ in points) <= 0:
        raise InvalidArgument(
            "fit_power_law: needs coverage strictly between 0 and 1 at two or more different "
            f"k above 0, got {points}."
        )
    k_K, cov_K = np.array(points).T
    slope, intercept = cast("Any", np.polyfit(np.log(k_K), np.log(-np.log(cov_K)), 1))

    def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-np.exp(x[0] - x[1] * np.log(k_K))) - cov_K

    start = [intercept, -slope]
    fit = cast("Any", least_squares(residuals, start, xtol=1e-15, ftol=1e-15, gtol=1e-15))
    log_minus_a, b = float(fit.x[0]), float(fit.x[1])
    if not b > 1e-9:
        raise InvalidArgument(
            f"fit_power_law: coverage must grow with k, but {cov_K.tolist()} at {k_K.tolist()} "
            "does not."
        )
    spread = float(((cov_K - cov_K.mean()) ** 2).sum())
    r2 = 1.0 - float((fit.fun**2).sum()) / spread
    return PowerLaw(-exp(log_minus_a), b, r2, dropped)


def equal_cost(
    curves: Mapping[str, Coverage], price: Mapping[str, float]
) -> list[dict[str, float | None]]:
    """Compare coverage at equal cost a task.

    Args:
        curves: one a generator.
        price: what one draw of each costs, in one unit (joules, money, tokens, operations).

    Returns:
        A row for every cost at which some curve has a point, cheapest first: `cost`, and for each
        generator its coverage at the most draws on its curve that this buys. That is 0 where it
        buys less than one draw, None beyond the draws (or before the first k) that were measured.

    Raises:
        InvalidArgument: a curve without a price above 0.
    """
    for name in curves:
        if not price.get(name, 0.0) > 0:
            raise InvalidArgument(
                f"equal_cost: {name!r} needs a price above 0, got {price.get(name)}."
            )
    costs = sorted({k * price[name] for name, curve in curves.items() for k in curve.ks})
    return [
        {"cost": cost}
        | {name: _bought(curve, cost / price[name]) for name, curve in curves.items()}
        for cost in costs
    ]


def _bought(curve: Coverage, draws: float) -> float | None:
    k = int(draws * (1 + 1e-12))  # k * price / price may fall just short of k
    if k < 1:
        return 0.0
    below = [i for i, measured in enumerate(curve.ks) if measured <= k]
    return curve.values[below[-1]] if below and k <= curve.ks[-1] else None


def fit_prior(results: Sequence[Counts]) -> tuple[float, float]:
    """Fit Beta(a, b) to how the pass rate differs between tasks, by maximum likelihood.

    The counts of each task are beta-binomial. `Sequential(prior=...)` uses it to judge when a task
    is hopeless. Skellam 1948, JRSS B 10. Both are kept within 1e-3 and 1e3, which are reached when
    tasks are all alike, or all settled.

    Raises:
        InvalidArgument: fewer than two tasks with a decided draw.
    """
    decided = [(r.passed, r.failed) for r in results if r.passed + r.failed]
    if len(decided) < 2:
        raise InvalidArgument(
            f"fit_prior: needs two or more tasks with a decided draw, got {len(decided)}."
        )
    passed_I, failed_I = np.array(decided, dtype=np.float64).T

    def loss(x: NDArray[np.float64]) -> float:
        a, b = np.exp(x)
        return -float((betaln(a + passed_I, b + failed_I) - betaln(a, b)).sum())

    fit = cast("Any", minimize(loss, np.zeros(2), bounds=[(log(1e-3), log(1e3))] * 2))
    return exp(float(fit.x[0])), exp(float(fit.x[1]))
