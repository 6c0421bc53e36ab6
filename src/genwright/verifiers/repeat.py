"""A flaky verifier asked again, until its verdicts leave little doubt.

Choose it where the errors of a verifier differ from check to check (races, time-outs, judges that
are sampled). Where it errs the same way every time (a wrong reference answer), asking again tells
nothing. A runner keeps one verdict a value, so that asking again has to happen in here.

The sequential probability ratio test: Wald 1945, "Sequential Tests of Statistical Hypotheses",
Annals of Mathematical Statistics 16, Section 3: go on while the likelihood ratio of right to wrong
stands between doubt / (1 - doubt) and its inverse. Ours: a limit on checks, after which the larger
hypothesis wins; undecided checks weigh nothing, and a draw none of whose checks decided, or that
stands at even odds, is undecided.
"""

from dataclasses import dataclass, replace
from math import log
from typing import Any

from genwright.core import Cost, InvalidArgument, Samples, Verdict, Verifier, method
from genwright.verifiers.reliability import rates_of


@method(paper="doi:10.1214/aoms/1177731118")
@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Ask a verifier again and again about each draw.

    Args:
        verifier: whose errors are independent from check to check.
        reliability: its rates of false accepts and of false rejects.
        doubt: the chance of error that ends the asking, at even odds before the first check.
        most: the most checks of a draw.

    Raises:
        InvalidArgument: rates or doubt out of range, or `most` below 1.
    """

    verifier: Verifier[Any]
    reliability: tuple[float, float] = (0.05, 0.05)
    doubt: float = 0.005
    most: int = 7

    def __post_init__(self) -> None:
        rates_of("Repeat", self.reliability)
        if not 0.0 < self.doubt < 0.5:
            raise InvalidArgument(f"Repeat: doubt must be in (0, 0.5), got {self.doubt}.")
        if self.most < 1:
            raise InvalidArgument(f"Repeat: most must be 1 or more, got {self.most}.")

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Check every draw once, and those in doubt again, side by side.

        A verdict's evidence holds `checks`, how many of them `passed`, `failed` and were
        `undecided`, and `last`, what the last one showed. Its cost is that of all of them.
        """
        made: list[list[Verdict]] = [[] for _ in samples]
        open_ = list(range(len(samples)))
        for _ in range(self.most):
            asked = Samples[Any].of(samples[i] for i in open_)
            for i, verdict in zip(open_, self.verifier.check(asked), strict=True):
                made[i].append(verdict)
            open_ = [i for i in open_ if self._doubtful(made[i])]
            if not open_:
                break
        return [self._verdict(verdicts) for verdicts in made]

    def _weight(self, verdicts: list[Verdict]) -> float:
        rates = rates_of("Repeat", self.reliability)
        assert rates is not None
        return sum(rates.weight(verdict) for verdict in verdicts)

    def _doubtful(self, verdicts: list[Verdict]) -> bool:
        bound = log((1 - self.doubt) / self.doubt)
        return abs(self._weight(verdicts)) < bound

    def _verdict(self, verdicts: list[Verdict]) -> Verdict:
        passed = [verdict.passed for verdict in verdicts]
        counts = {
            "passed": passed.count(True),
            "failed": passed.count(False),
            "undecided": passed.count(None),
        }
        evidence = {"checks": counts, "last": verdicts[-1].evidence}
        weight = self._weight(verdicts)
        cost = sum((verdict.cost for verdict in verdicts), Cost())
        if weight == 0:
            return replace(Verdict.undecided(evidence), cost=cost)
        scores = [v.score for v in verdicts if v.passed is (weight > 0) and v.score is not None]
        score = max(scores, default=float(weight > 0))
        return Verdict(passed=weight > 0, score=score, evidence=evidence, cost=cost)
