"""One draw at a time until one passes, giving up on a task when success has become too unlikely.

Choose it where draws or checks are dear and tasks differ in difficulty: no draw is made beyond the
first that passes, and hopeless tasks stop eating the budget. `RepeatedSampling` draws in batches,
which is faster where draws are cheap side by side.

Repeated sampling until success: Brown et al. 2024, arXiv:2407.21787, Section 2. Ours: giving up.
The task's own pass rate p has a Beta(a, b) prior; after f failures and no pass it is
Beta(a, b + f), and the chance that one of m further draws passes is

    1 - E[(1 - p)^m] = 1 - prod_{i=0}^{m-1} (b + f + i) / (a + b + f + i).

When it falls below `price`, the task is given up, and that chance is reported: over many tasks, the
mean of what was forgone is the coverage that giving up has cost. With a verifier whose rates of
error are known, a pass ends the search only where it leaves little doubt, and failures weigh less
(`belief.py`).
"""

from dataclasses import dataclass
from math import ceil, expm1, inf, lgamma
from typing import Any

from genwright.core import Budget, Cost, Generator, InvalidArgument, Outcome, Stop, Task, method
from genwright.search.belief import candidates, chance_of_another, likeliest
from genwright.search.tally import Tally, at_least_one
from genwright.verifiers.reliability import Reliability, rates_of


@method(paper="arXiv:2407.21787")
@dataclass(frozen=True, kw_only=True)
class Sequential:
    """Draw and check one at a time; return the first draw that passes.

    Where none passes, the first undecided draw is returned (it may be right), else None.

    Args:
        n: the most draws to make.
        price: the chance of success within the draws that are left, in [0, 1], below which they are
            not worth making. 0, the default, never gives up.
        prior: (a, b) of the Beta prior of a task's pass rate. The default is Jeffreys' prior;
            `coverage.fit_prior` learns it from earlier results, and gives up sooner.
        reliability: the verifier's rates of false accepts and of false rejects. The draw that is
            likeliest right is then returned, not the first that passes. None trusts the verifier.
        sure: with `reliability`, the probability of being right at which a draw ends the search.

    Raises:
        InvalidArgument: n below 1, a price outside [0, 1], a prior not above 0, rates out of range,
            or `sure` outside (0, 1].
    """

    n: int
    price: float = 0.0
    prior: tuple[float, float] = (0.5, 0.5)
    reliability: tuple[float, float] | None = None
    sure: float = 0.95

    def __post_init__(self) -> None:
        at_least_one("Sequential", n=self.n)
        rates_of("Sequential", self.reliability)
        if not 0.0 < self.sure <= 1.0:
            raise InvalidArgument(f"Sequential: sure must be in (0, 1], got {self.sure}.")
        if not 0.0 <= self.price <= 1.0:
            raise InvalidArgument(f"Sequential: price must be in [0, 1], got {self.price}.")
        if len(self.prior) != 2 or not all(0.0 < x < inf for x in self.prior):
            raise InvalidArgument(
                f"Sequential: prior must be two numbers above 0, got {self.prior}."
            )

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task.

        `info` counts the draws that `passed`, `failed`, were `undecided`; `forgone` is the
        chance of success that was given up, 0 unless the stop is `Stop.GAVE_UP`. With
        `reliability`, `chance` is the probability that the chosen draw is right.
        """
        rates = rates_of("Sequential", self.reliability)
        tally = Tally(generator, task, budget, seed, check=True)
        stop, forgone, chance = Stop.COMPLETE, 0.0, 0.0
        chosen: int | None = None
        while len(tally.samples) < self.n:
            if not tally.room(1):
                stop = Stop.BUDGET
                break
            left = min(self.n - len(tally.samples), _draws_left(budget, tally.cost))
            hope = self._hope(tally, rates, left)
            if hope < self.price:
                stop, forgone = Stop.GAVE_UP, hope
                break
            tally.draw(1)
            chosen = tally.best_bet()
            if rates is not None:
                chosen, chance = likeliest(tally.samples.values, tally.verdicts, rates, self.prior)
            if tally.has_passed and (rates is None or chance >= self.sure):
                stop = Stop.PASSED
                break
        believed = {} if rates is None else {"chance": chance}
        return tally.outcome(chosen, stop, **tally.counts(), forgone=forgone, **believed)

    def _hope(self, tally: Tally[Any], rates: Reliability | None, left: float) -> float:
        """Return the chance that one of the draws that are left would be right and accepted."""
        if rates is None:
            return chance_of_success(self.prior, tally.counts()["failed"], left)
        _, weights = candidates(tally.samples.values, tally.verdicts, rates)
        return chance_of_another(weights, left, 1 - rates.false_reject, self.prior)


def chance_of_success(prior: tuple[float, float], failures: int, left: float) -> float:
    """Return the posterior chance that one of `left` further draws passes."""
    a, b = prior[0], prior[1] + failures
    none_passes = lgamma(b + left) - lgamma(a + b + left) + lgamma(a + b) - lgamma(b)
    return -expm1(none_passes)


def _draws_left(budget: Budget, spent: Cost) -> float:
    """Return how many further draws a budget allows if they cost what past ones did on average.

    Infinite where no limit is set, or before the first draw, when no cost is known (a limit on
    draws is exact even then).
    """
    allowed: float = inf
    for name, limit in budget.limits().items():
        used = getattr(spent, name)
        each = 1.0 if name in ("draws", "verifier_calls") else used / max(spent.draws, 1)
        if each > 0:
            allowed = min(allowed, ceil((limit - used) / each))
    return allowed
