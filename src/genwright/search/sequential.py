"""One draw at a time until one passes, giving up on a task when success has become too unlikely.

Choose it where draws or checks are dear and tasks differ in difficulty: no draw is made beyond the
first that passes, and hopeless tasks stop eating the budget. `RepeatedSampling` draws in batches,
which is faster where draws are cheap side by side.

Repeated sampling until success: Brown et al. 2024, arXiv:2407.21787, Section 2. Ours: giving up.
The task's own pass rate p has a Beta(a, b) prior; after f failures and no pass it is
Beta(a, b + f), and the chance that one of m further draws passes is

    1 - E[(1 - p)^m] = 1 - prod_{i=0}^{m-1} (b + f + i) / (a + b + f + i).

When it falls below `price`, the task is given up, and that chance is reported: over many tasks, the
mean of what was forgone is the coverage that giving up has cost.
"""

from dataclasses import dataclass
from math import ceil, expm1, inf, lgamma
from typing import Any

from genwright.core import Budget, Cost, Generator, InvalidArgument, Outcome, Stop, Task, method
from genwright.search.tally import Tally, at_least_one


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

    Raises:
        InvalidArgument: n below 1, a price outside [0, 1], or a prior not above 0.
    """

    n: int
    price: float = 0.0
    prior: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        at_least_one("Sequential", n=self.n)
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
        chance of success that was given up, 0 unless the stop is `Stop.GAVE_UP`.
        """
        tally = Tally(generator, task, budget, seed, check=True)
        stop, forgone = Stop.COMPLETE, 0.0
        while len(tally.samples) < self.n:
            if not tally.room(1):
                stop = Stop.BUDGET
                break
            left = min(self.n - len(tally.samples), _draws_left(budget, tally.cost))
            chance = chance_of_success(self.prior, tally.counts()["failed"], left)
            if chance < self.price:
                stop, forgone = Stop.GAVE_UP, chance
                break
            tally.draw(1)
            if tally.has_passed:
                stop = Stop.PASSED
                break
        return tally.outcome(tally.best_bet(), stop, **tally.counts(), forgone=forgone)


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
