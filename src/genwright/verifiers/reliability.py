"""How often a verifier errs, and what a verdict of one that errs is worth.

Choose `estimate` where the truth of some draws is known (labelled by hand, or by a dearer check):
it tells how often a wrong draw is accepted and a right one rejected. Strategies take the two rates
as `reliability` and weigh verdicts by them; `Repeat` (`repeat.py`) asks a flaky verifier again.

Rates of error of a test from known truth: Yerushalmy 1947, "Statistical Problems in Assessing
Methods of Medical Diagnosis", Public Health Reports 62; a verdict as a likelihood ratio: Good 1950,
"Probability and the Weighing of Evidence", Chapter 6. What a faulty verifier does to repeated
sampling: Brown et al. 2024, arXiv:2407.21787, Section 4.2. Ours: undecided verdicts count as
neither and weigh nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple, cast

from genwright.core import InvalidArgument, Verdict
from genwright.core.statistics import Interval, clopper_pearson

LEAST = 1e-9
"""A rate below this weighs as this much: a verdict is then all but certain, and still a number."""


class Reliability(NamedTuple):
    """How often a verifier errs where it decides.

    Args:
        false_accept: the chance that it passes a wrong draw.
        false_reject: the chance that it fails a right one.
    """

    false_accept: float = 0.0
    false_reject: float = 0.0

    def weight(self, verdict: Verdict) -> float:
        """Return what a verdict says for a draw: log P(verdict | right) / P(verdict | wrong).

        In nats: above 0 where it passed, below 0 where it failed, 0 where it is undecided. A
        verdict of `Repeat` weighs what all its checks weigh together.
        """
        passed, failed = checks(verdict)
        return passed * self.passed + failed * self.failed

    @property
    def passed(self) -> float:
        """What one check that passed weighs."""
        accept, reject = self._kept()
        return log((1 - reject) / accept)

    @property
    def failed(self) -> float:
        """What one check that failed weighs."""
        accept, reject = self._kept()
        return log(reject / (1 - accept))

    def _kept(self) -> tuple[float, float]:
        accept, reject = (min(max(rate, LEAST), 1 - LEAST) for rate in self)
        return accept, reject


def checks(verdict: Verdict) -> tuple[int, int]:
    """Return how many checks of a draw passed and failed; `Repeat` makes several."""
    evidence: Any = verdict.evidence
    if isinstance(evidence, Mapping):
        made = cast("Mapping[str, Any]", evidence).get("checks")
        if made is not None:
            return int(made["passed"]), int(made["failed"])
    return int(verdict.passed is True), int(verdict.passed is False)


def rates_of(owner: str, reliability: tuple[float, float] | None) -> Reliability | None:
    """Return the rates that a setting holds.

    Raises:
        InvalidArgument: not two rates in [0, 1), or rates that sum to 1 or more: such a verifier
            says nothing, or the opposite of what is true.
    """
    if reliability is None:
        return None
    if len(reliability) != 2 or not all(0.0 <= rate < 1.0 for rate in reliability):
        raise InvalidArgument(
            f"{owner}: reliability must be two rates in [0, 1), of false accepts and of false "
            f"rejects, got {reliability!r}."
        )
    if sum(reliability) >= 1.0:
        raise InvalidArgument(
            f"{owner}: with false accepts of {reliability[0]} and false rejects of "
            f"{reliability[1]} a verdict says nothing (they must sum to less than 1)."
        )
    return Reliability(*reliability)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The rates of error found on labelled draws, with exact (Clopper-Pearson) intervals.

    Args:
        false_accept: of the wrong draws that were decided, the share that passed.
        false_reject: of the right draws that were decided, the share that failed.
        undecided: draws the verifier could not decide; in neither rate.
    """

    false_accept: Interval
    false_reject: Interval
    undecided: int

    @property
    def reliability(self) -> Reliability:
        """The rates to hand to a strategy: (errors + 1/2) / (draws + 1), never 0 from few draws."""
        rates = (
            (found.estimate * found.n + 0.5) / (found.n + 1)
            for found in (self.false_accept, self.false_reject)
        )
        return Reliability(*rates)


def estimate(labelled: Iterable[tuple[bool, bool | None]], level: float = 0.95) -> Estimate:
    """Estimate a verifier's rates of error.

    Args:
        labelled: (truth, verdict) of each draw; a verdict of None is undecided.
        level: of confidence.

    Raises:
        InvalidArgument: no right or no wrong draw was decided, so that a rate cannot be told.
    """
    pairs = list(labelled)
    by_truth = {
        truth: [v for t, v in pairs if t is truth and v is not None] for truth in (False, True)
    }
    for truth, verdicts in by_truth.items():
        if not verdicts:
            raise InvalidArgument(
                f"estimate: needs {'right' if truth else 'wrong'} draws that were decided, got "
                f"none among {len(pairs)} labelled ones."
            )
    wrong, right = by_truth[False], by_truth[True]
    return Estimate(
        false_accept=clopper_pearson(wrong.count(True), len(wrong), level),
        false_reject=clopper_pearson(right.count(False), len(right), level),
        undecided=sum(verdict is None for _, verdict in pairs),
    )
