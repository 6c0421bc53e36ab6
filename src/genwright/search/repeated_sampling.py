"""Many independent draws, each checked; the first that passes is the answer.

Choose it whenever a verifier can tell right from wrong: the share of tasks solved (coverage) keeps
growing over orders of magnitude of draws. `coverage.py` turns the counts it reports into pass@k.

Brown et al. 2024, "Large Language Monkeys: Scaling Inference Compute with Repeated Sampling",
arXiv:2407.21787, Section 2. Ours: the stop at the first draw that passes (they always make all n,
which `stop_on_pass=False` does), and undecided verdicts, which are neither passes nor failures.
"""

from dataclasses import dataclass
from typing import Any

from genwright.core import Budget, Generator, Outcome, Stop, Task, method
from genwright.search.tally import Tally, at_least_one


@method(paper="arXiv:2407.21787")
@dataclass(frozen=True, kw_only=True)
class RepeatedSampling:
    """Draw up to n times and check each draw; return the first that passes.

    Where none passes, the first undecided draw is returned (it may be right), else None.

    Args:
        n: the most draws to make.
        batch: draws per call of the generator; the budget is looked at between calls.
        stop_on_pass: end with the batch that holds the first pass. Leave it off to measure
            coverage: pass@k needs every draw of the plan.

    Raises:
        InvalidArgument: n or batch below 1.
    """

    n: int
    batch: int = 32
    stop_on_pass: bool = True

    def __post_init__(self) -> None:
        at_least_one("RepeatedSampling", n=self.n, batch=self.batch)

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task. `info` counts the draws that `passed`, `failed`, were `undecided`."""
        tally = Tally(generator, task, budget, seed, check=True)
        stop = Stop.COMPLETE
        while len(tally.samples) < self.n:
            if not len(tally.draw(min(self.batch, self.n - len(tally.samples)))):
                stop = Stop.BUDGET
                break
            if self.stop_on_pass and tally.has_passed:
                stop = Stop.PASSED
                break
        return tally.outcome(tally.best_bet(), stop, **tally.counts())
