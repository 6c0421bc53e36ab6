"""Draws and checks of one task, and what they have cost.

Every strategy keeps one `Tally`: the one place that asks a generator for draws, a verifier for
verdicts, and a budget whether there is room for more. A verifier that raises is not caught: a
hostile draw is a verdict by contract, so that an exception is a fault to be seen, not an answer.
"""

from typing import Any, Generic

from genwright.core import (
    Budget,
    Cost,
    Generator,
    GenwrightError,
    InvalidArgument,
    Outcome,
    Samples,
    Stop,
    T,
    Task,
    Verdict,
)


class Tally(Generic[T]):
    """What one run of a strategy has drawn, checked and spent.

    Args:
        generator: where draws come from. Draw k is asked for under the task's own seed with
            `first=k`, so that batching does not change it.
        task: what is worked on.
        budget: what may be spent; checks count as well as draws.
        seed: the task's seed.
        check: also check every draw, as soon as its batch is made. A limit on `verifier_calls`
            then also limits how many draws are made.

    Raises:
        InvalidArgument: draws are to be checked, and the task has no verifier.
    """

    def __init__(
        self,
        generator: Generator[T],
        task: Task[T],
        budget: Budget,
        seed: int,
        *,
        check: bool = False,
    ) -> None:
        if check and task.verifier is None:
            raise InvalidArgument(
                f"task {task.key or task.prompt!r}: this strategy checks draws, but the task has "
                "no verifier; give it one, or choose by majority_vote."
            )
        self.samples: Samples[T] = Samples()
        self.verdicts: list[Verdict] = []
        """One a draw, until checking stops; none where draws are not checked."""
        self.cost = Cost()
        """Draws and checks together."""
        self.task = task
        self._generator, self._budget, self._seed = generator, budget, seed
        self._verifier = task.verifier if check else None

    def draw(self, wanted: int) -> Samples[T]:
        """Make (and check) up to `wanted` draws: none when the budget is spent.

        Raises:
            GenwrightError: the generator or the verifier returned another number than asked for.
        """
        n = self.room(wanted)
        if not n:
            return Samples()
        start = len(self.samples)
        new = self._generator.sample(self.task.prompt, n, seed=self._seed, first=start)
        self._same_length("generator", self._generator, len(new), n)
        self.samples += new
        self.cost += new.cost
        if self._verifier is not None:
            verdicts = self._verifier.check(new)
            self._same_length("verifier", self._verifier, len(verdicts), n)
            self.verdicts += verdicts
            self.cost += sum((v.cost for v in verdicts), Cost())
        return new

    def stop_checking(self) -> None:
        """Leave the draws to come unchecked."""
        self._verifier = None

    def room(self, wanted: int, *, checks: bool = True) -> int:
        """Return how many of the wanted draws the budget allows.

        Args:
            wanted: further draws.
            checks: whether they are to be checked, where draws are.
        """
        n = self._budget.room(self.cost, wanted)
        calls = self._budget.verifier_calls
        if self._verifier is None or calls is None or not checks:
            return n
        return min(n, max(0, calls - self.cost.verifier_calls))

    def outcome(self, chosen: int | None, stop: Stop, **info: Any) -> Outcome[T]:
        """Bring back draw number `chosen`, with its verdict if it was checked."""
        if chosen is None:
            return Outcome(None, self.samples, stop, info, None, self.cost)
        verdict = self.verdicts[chosen] if chosen < len(self.verdicts) else None
        return Outcome(self.samples[chosen], self.samples, stop, info, verdict, self.cost)

    @property
    def has_passed(self) -> bool:
        """Whether a draw has passed."""
        return any(v.passed for v in self.verdicts)

    def best_bet(self) -> int | None:
        """Return the first draw that passed, else the first undecided one (it may be right)."""
        passed = [v.passed for v in self.verdicts]
        wanted = True if True in passed else None
        return passed.index(wanted) if wanted in passed else None

    def counts(self) -> dict[str, int]:
        """Return how many checked draws passed, failed and stayed undecided."""
        passed = [v.passed for v in self.verdicts]
        return {
            "passed": passed.count(True),
            "failed": passed.count(False),
            "undecided": passed.count(None),
        }

    @staticmethod
    def _same_length(role: str, thing: object, came: int, asked: int) -> None:
        if came != asked:
            raise GenwrightError(
                f"{role} {type(thing).__name__} returned {came} results where {asked} were asked "
                "for; a draw or verdict must come back for each, in order."
            )


def at_least_one(owner: str, **counts: int) -> None:
    """Refuse counts below 1.

    Raises:
        InvalidArgument: names the owner and the count.
    """
    for name, count in counts.items():
        if count < 1:
            raise InvalidArgument(f"{owner}: {name} must be 1 or more, got {count}.")
