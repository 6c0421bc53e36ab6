"""Best of n: draw n times and return the draw with the best score.

Choose it where a score says how good a draw is, not only whether it passes: a verifier with partial
credit, a reward model, or the generator's own log-probability. With a reward model that errs, more
draws eventually make the choice worse.

Stiennon et al. 2020, "Learning to summarize from human feedback", arXiv:2009.01325;
Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168, Section 4.
Ours: the stop at a verifier's full score, which cannot change the choice; and the expected score
where the verifier's rates of error are known (`belief.py`): P(right) + P(wrong) s, with s the score
of a draw that failed, and for any other draw the mean score of those that did.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any

from genwright.core import Budget, Generator, InvalidArgument, Outcome, Sample, Stop, Task, method
from genwright.search.belief import draws_right
from genwright.search.tally import Tally, at_least_one
from genwright.verifiers.reliability import Reliability, rates_of


@method(paper="arXiv:2110.14168")
@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """Return the draw with the highest score; of equals the one drawn first.

    Args:
        n: the most draws to make.
        score: `"verifier"` takes the score of the task's verifier, `"logprob"` the draw's
            log-probability in nats, which favours short draws; a callable maps a draw (`Sample`)
            to a number, or to None where it has no score. An undecided draw has no score, and a
            draw without one is never chosen.
        batch: draws per call of the generator; the budget is looked at between calls.
        reliability: the verifier's rates of false accepts and of false rejects, for
            `score="verifier"`: the draw of the highest expected score is then returned, an
            undecided one counting too. None trusts the verifier.

    Raises:
        InvalidArgument: n or batch below 1, an unknown score, rates out of range, or rates for a
            score that is not the verifier's.
    """

    n: int
    score: str | Callable[[Sample[Any]], float | None] = "verifier"
    batch: int = 8
    reliability: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        at_least_one("BestOfN", n=self.n, batch=self.batch)
        if rates_of("BestOfN", self.reliability) is not None and self.score != "verifier":
            raise InvalidArgument(
                f"BestOfN: reliability is the verifier's, and score={self.score!r} does not ask it."
            )
        if isinstance(self.score, str) and self.score not in ("verifier", "logprob"):
            raise InvalidArgument(
                f"BestOfN: score must be 'verifier', 'logprob' or a callable, got {self.score!r}."
            )

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task. `info["scores"]` holds the score of each draw, or None.

        Raises:
            InvalidArgument: the task has no verifier to score with, the generator gives no
                log-probabilities, or a score is not a number.
        """
        checks = self.score == "verifier"
        rates = rates_of("BestOfN", self.reliability)
        tally = Tally(generator, task, budget, seed, check=checks)
        scores: list[float | None] = []
        stop = Stop.COMPLETE
        while len(scores) < self.n:
            new = tally.draw(min(self.batch, self.n - len(scores)))
            if not len(new):
                stop = Stop.BUDGET
                break
            if checks:
                scores += [v.score for v in tally.verdicts[len(scores) :]]
            else:
                scores += [self._score(sample) for sample in new]
            if checks and rates is None and 1.0 in scores and len(scores) < self.n:
                stop = Stop.DECIDED
                break
        if rates is not None:
            scores = _expected(tally, rates)
        known = [(score, -i) for i, score in enumerate(scores) if score is not None]
        chosen = -max(known)[1] if known else None
        return tally.outcome(chosen, stop, scores=scores)

    def _score(self, sample: Sample[Any]) -> float | None:
        score = self.score(sample) if callable(self.score) else sample.logprob
        if score is None and self.score == "logprob":
            raise InvalidArgument(
                "BestOfN: score='logprob' needs a generator that gives log-probabilities; "
                "this one gives none."
            )
        if score is not None and isnan(score):
            raise InvalidArgument("BestOfN: a score is NaN; return None for a draw without one.")
        return score


def _expected(tally: Tally[Any], rates: Reliability) -> list[float | None]:
    """Return the expected score of each draw under a verifier that errs."""
    chances = draws_right([rates.weight(verdict) for verdict in tally.verdicts])
    failed = [v.score for v in tally.verdicts if v.passed is False and v.score is not None]
    usual = sum(failed) / len(failed) if failed else 0.0
    return [
        chance + (1 - chance) * (verdict.score if verdict.passed is False else usual)  # pyright: ignore
        for chance, verdict in zip(chances, tally.verdicts, strict=True)
    ]
