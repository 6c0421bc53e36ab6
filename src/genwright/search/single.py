"""One draw: what every other strategy is measured against.

Choose it to measure a generator as it comes, or where one call is all that can be afforded.
No paper: this is plain sampling, pass@1.
"""

from dataclasses import dataclass
from typing import Any

from genwright.core import Budget, Generator, Outcome, Stop, Task, method
from genwright.search.tally import Tally


@method()
@dataclass(frozen=True, kw_only=True)
class Single:
    """Return the first draw, unchecked."""

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Make one draw for one task; none, and `Stop.BUDGET`, if the budget has no room."""
        tally = Tally(generator, task, budget, seed)
        if not len(tally.draw(1)):
            return tally.outcome(None, Stop.BUDGET)
        return tally.outcome(0, Stop.COMPLETE)
