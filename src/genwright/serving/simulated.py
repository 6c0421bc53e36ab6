"""What came of a simulation: the times of every request, and what the machines did.

The times follow Patel et al. 2023, "Splitwise", arXiv:2311.18677: time to first token (TTFT), mean
time between the tokens of a request (TBT), end to end (E2E). Ours: `gaps` holds every single time
between two tokens, whose quantiles are what a reader of a stream feels; a request's mean hides a
long pause.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genwright.core import Cost
from genwright.serving.station import Station, Work

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """All arrays are float64[requests] in the order of arrival, times in seconds.

    Args:
        arrival: when each request came.
        started: when the iteration began that first read of its prompt.
        first: when its first token came.
        finish: when its last token came.
        prompt: tokens it held.
        output: tokens it got.
        gaps: float64[gaps, 2]: times between tokens, and how many sequences each stands for.
        busy: float64[machines], the share of time that each machine computed.
        memory: float64[machines], the most of its memory that each held at once, as a share.
        beyond: the share of iterations larger than anything the profile was measured at.
        span: seconds from the first arrival to the last token.
        moved: bytes of keys and values that travelled.
        cost: tokens, time, money at the machines' price, joules at their rated power (an upper
            bound on what machines that idle or are capped use).
    """

    arrival: Numbers
    started: Numbers
    first: Numbers
    finish: Numbers
    prompt: Numbers
    output: Numbers
    gaps: Numbers
    busy: Numbers
    memory: Numbers
    beyond: float
    span: float
    moved: float
    cost: Cost

    @classmethod
    def of(
        cls,
        works: Sequence[Work],
        stations: Sequence[Station],
        *,
        span: float,
        moved: float,
        cost: Cost,
    ) -> "Simulated":
        """Gather it from the states at the end."""
        names = ("arrival", "started", "first", "finish", "prompt", "output")
        columns = {name: np.array([getattr(w, name) for w in works], float) for name in names}
        gaps = [gap for station in stations for gap in station.gaps]
        iterations = sum(station.iterations for station in stations)
        return cls(
            **columns,
            gaps=np.array(gaps, float).reshape(-1, 2),
            busy=np.array([s.busy_seconds / span if span else 0.0 for s in stations]),
            memory=np.array([s.peak / s.room for s in stations]),
            beyond=sum(s.beyond for s in stations) / max(1, iterations),
            span=span,
            moved=moved,
            cost=cost,
        )

    @property
    def ttft(self) -> Numbers:
        """Time to first token."""
        return self.first - self.arrival

    @property
    def e2e(self) -> Numbers:
        """Time from arrival to the last token."""
        return self.finish - self.arrival

    @property
    def tbt(self) -> Numbers:
        """Mean time between tokens of the requests that got more than one."""
        several = self.output > 1
        return (self.finish - self.first)[several] / (self.output - 1)[several]

    def gap_quantile(self, q: float) -> float:
        """Return a quantile of all times between two tokens; 0 where there are none."""
        if not len(self.gaps):
            return 0.0
        order = np.argsort(self.gaps[:, 0], kind="stable")
        counts = np.cumsum(self.gaps[order, 1])
        return float(self.gaps[order[np.searchsorted(counts, q * counts[-1])], 0])
