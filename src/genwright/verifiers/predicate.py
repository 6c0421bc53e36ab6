"""A Python function as verifier.

Choose it for quick checks of your own: it runs in this process, trusted and without limits. For
programs use `UnitTests`, for other tools `Command`.

Ours throughout.
"""

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic

from genwright.core import Cost, InvalidArgument, Samples, T, Verdict, method


@method()
@dataclass(frozen=True, kw_only=True)
class Predicate(Generic[T]):
    """A draw passes when a function of its value says so.

    Args:
        function: value -> `bool`, a score in [0, 1], or a `Verdict`. What it raises, or an answer
            that is none of these, leaves the draw undecided.
        threshold: a score at least this high passes.

    Raises:
        InvalidArgument: a threshold out of [0, 1].
    """

    function: Callable[[T], Any]
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise InvalidArgument(f"Predicate: threshold must be in [0, 1], got {self.threshold}.")

    def check(self, samples: Samples[T]) -> list[Verdict]:
        """Ask the function about every draw, in order."""
        return [self._check(value) for value in samples.values]

    def _check(self, value: T) -> Verdict:
        started = time.perf_counter()
        try:
            verdict = self._verdict(self.function(value))
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            last = traceback.format_exception_only(error)[-1].strip()
            verdict = Verdict.undecided(
                {"error": last, "where": f"{frames[-1].name}, line {frames[-1].lineno}"}
            )
        if verdict.cost != Cost(verifier_calls=1):  # the function measured for itself
            return verdict
        return replace(verdict, cost=Cost(verifier_calls=1, seconds=time.perf_counter() - started))

    def _verdict(self, answer: Any) -> Verdict:
        if isinstance(answer, Verdict):
            return answer
        try:
            score = float(answer)  # NumPy's numbers and booleans too
        except (TypeError, ValueError):
            return Verdict.undecided({"error": f"the function returned {answer!r:.200}"})
        if math.isnan(score) or not 0.0 <= score <= 1.0:
            return Verdict.undecided({"error": f"the function returned {score}, not in [0, 1]"})
        if isinstance(answer, str):
            return Verdict.undecided({"error": f"the function returned {answer!r:.200}"})
        return Verdict(passed=score >= self.threshold, score=score)
