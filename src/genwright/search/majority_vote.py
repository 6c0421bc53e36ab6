"""Majority voting over repeated draws, also called self-consistency or maj@k.

Draw up to k answers and return the commonest. Choose it where nothing can check a draw, or where a
check is too dear to spend on every one: the verifier has no say in the choice. With a key that runs
a query and returns its result (`SqlResult`), this is execution voting.

Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
arXiv:2203.11171, Section 2; execution results as answers: Shi et al. 2022, "Natural Language to
Code Translation with Execution", arXiv:2204.11454. Ours: the early stop, which cannot change the
answer, 16 draws where the first paper makes 40, and the vote with a verifier that errs: verdicts
then add to what agreement says, and the answer that is likeliest right wins (`belief.py`).
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from genwright.core import Budget, Generator, Outcome, Stop, Task, codec, method
from genwright.search.belief import answers_right
from genwright.search.tally import Tally, at_least_one
from genwright.search.voting import answer_of, count
from genwright.verifiers.reliability import Reliability, rates_of


@method(paper="arXiv:2203.11171")
@dataclass(frozen=True, kw_only=True)
class MajorityVote:
    """Return a draw that holds the commonest of k answers; ties go to the answer drawn first.

    Args:
        key: maps a value to its answer in canonical form, or to None, which casts no vote. It is
            called once a draw. None takes the value itself as the answer.
        k: the most draws to make.
        batch: draws per call of the generator. The budget and the lead are looked at between calls.
        reliability: the rates of false accepts and of false rejects of the task's verifier. Every
            draw is then checked, and the answer that is likeliest right is returned. None asks no
            verifier.

    Raises:
        InvalidArgument: k or batch below 1, or rates out of range.
    """

    key: Callable[[Any], Hashable | None] | None = None
    k: int = 16
    batch: int = 8
    reliability: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        at_least_one("MajorityVote", k=self.k, batch=self.batch)
        rates_of("MajorityVote", self.reliability)

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Vote on one task.

        `info` holds `votes` (a count for each answer, in the order they were first drawn), `groups`
        (for each draw the index of its answer, or None) and `agreement` (the winner's share of the
        votes cast); with `reliability` also `chances`, each answer's probability of being right.

        Raises:
            InvalidArgument: an answer that cannot be hashed, or `reliability` for a task without a
                verifier.
        """
        rates = rates_of("MajorityVote", self.reliability)
        tally = Tally(generator, task, budget, seed, check=rates is not None)
        answers: list[Hashable | None] = []
        while (stop := self._stop(answers)) is None:
            new = tally.draw(min(self.batch, self.k - len(answers)))
            if not len(new):
                stop = Stop.BUDGET
                break
            answers += [answer_of(value, self.key) for value in new.values]

        ballot = count(answers, [1.0] * len(answers), ties="first")
        chosen, believed = ballot.representative, dict[str, Any]()
        if rates is not None:
            chances = answers_right(answers, _weights(tally, rates))
            believed = {"chances": list(chances.values())}
            winner = max(chances, key=chances.__getitem__, default=None)  # the first of equals
            chosen = None if winner is None else answers.index(winner)
        return tally.outcome(
            chosen,
            stop,
            **believed,
            votes=[int(weight) for weight in ballot.weights],
            groups=list(ballot.groups),
            agreement=ballot.agreement,
        )

    def _stop(self, answers: list[Hashable | None]) -> Stop | None:
        """Return the reason to end now, or None to go on drawing."""
        left = self.k - len(answers)
        if left == 0:
            return Stop.COMPLETE
        if self.reliability is not None:  # verdicts to come may outweigh any lead
            return None
        votes = Counter(answer for answer in answers if answer is not None)
        first, second = ([n for _, n in votes.most_common(2)] + [0, 0])[:2]
        if first - second > left:  # strictly: at equality a rival drawn earlier could win the tie
            return Stop.DECIDED
        return None


def _weights(tally: Tally[Any], rates: Reliability) -> list[float]:
    """Return what the verdict on each draw weighs; of equal draws only the first was judged."""
    seen: set[str] = set()
    weights: list[float] = []
    for value, verdict in zip(tally.samples.values, tally.verdicts, strict=True):
        digest = codec.digest(value)
        weights.append(0.0 if digest in seen else rates.weight(verdict))
        seen.add(digest)
    return weights
