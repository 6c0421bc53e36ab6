"""Many independent draws, each checked; the first that passes is the answer.

Choose it whenever a verifier can tell right from wrong: the share of tasks solved (coverage) keeps
growing over orders of magnitude of draws. `coverage.py` turns the counts it reports into pass@k.

Brown et al. 2024, "Large Language Monkeys: Scaling Inference Compute with Repeated Sampling",
arXiv:2407.21787, Section 2. Ours: the stop at the first draw that passes (they always make all n,
which `stop_on_pass=False` does), undecided verdicts, which are neither passes nor failures, and
the choice of the likeliest right draw where the verifier's rates of error are known (`belief.py`).
"""

from dataclasses import dataclass
from typing import Any

from genwright.core import Budget, Generator, InvalidArgument, Outcome, Stop, Task, method
from genwright.search.belief import likeliest
from genwright.search.tally import Tally, at_least_one
from genwright.verifiers.reliability import Reliability, rates_of


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
        reliability: the verifier's rates of false accepts and of false rejects. The draw that is
            likeliest right is then returned, not the first that passes. None trusts the verifier.
        sure: with `reliability`, the probability of being right at which a draw ends the drawing.

    Raises:
        InvalidArgument: n or batch below 1, rates out of range, or `sure` outside (0, 1].
    """

    n: int
    batch: int = 32
    stop_on_pass: bool = True
    reliability: tuple[float, float] | None = None
    sure: float = 0.95

    def __post_init__(self) -> None:
        at_least_one("RepeatedSampling", n=self.n, batch=self.batch)
        rates_of("RepeatedSampling", self.reliability)
        if not 0.0 < self.sure <= 1.0:
            raise InvalidArgument(f"RepeatedSampling: sure must be in (0, 1], got {self.sure}.")

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task.

        `info` counts the draws that `passed`, `failed`, were `undecided`; with `reliability`,
        `chance` is the probability that the chosen draw is right.
        """
        rates = rates_of("RepeatedSampling", self.reliability)
        tally = Tally(generator, task, budget, seed, check=True)
        chosen, chance, stop = None, 0.0, Stop.COMPLETE
        while len(tally.samples) < self.n:
            if not len(tally.draw(min(self.batch, self.n - len(tally.samples)))):
                stop = Stop.BUDGET
                break
            chosen, chance = self._bet(tally, rates)
            if self.stop_on_pass and tally.has_passed and (rates is None or chance >= self.sure):
                stop = Stop.PASSED
                break
        believed = {} if rates is None else {"chance": chance}
        return tally.outcome(chosen, stop, **tally.counts(), **believed)

    def _bet(self, tally: Tally[Any], rates: Reliability | None) -> tuple[int | None, float]:
        if rates is None:
            return tally.best_bet(), 0.0
        return likeliest(tally.samples.values, tally.verdicts, rates)
