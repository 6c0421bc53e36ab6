"""What the server counts and times, in Prometheus' text format.

Times follow the vocabulary of LLM serving: time to first token (TTFT) from the arrival of a request
to its first token, time between tokens (TBT) within one draw. Tokens that a constraint forces are
written together, so their times between tokens are near 0.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FIRST = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
_BETWEEN = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
_WHOLE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)


class Metrics:
    """The metrics of one server, in a registry of their own.

    Args:
        slots: how many draws run together.
        running: returns how many draws hold a slot.
        waiting: returns how many draws wait for one.
    """

    def __init__(
        self, *, slots: int, running: Callable[[], float], waiting: Callable[[], float]
    ) -> None:
        self.registry = made = CollectorRegistry()
        self.requests = Counter(
            "genwright_requests", "Answered requests.", ["path", "status"], registry=made
        )
        self.errors = Counter("genwright_errors", "Failed requests.", ["status"], registry=made)
        self.cancelled = Counter(
            "genwright_cancelled", "Requests whose client went away.", registry=made
        )
        self.tokens = Counter("genwright_tokens", "Tokens.", ["kind"], registry=made)
        self.first = Histogram(
            "genwright_time_to_first_token_seconds",
            "From the arrival of a request to its first token.",
            buckets=_FIRST,
            registry=made,
        )
        self.between = Histogram(
            "genwright_time_between_tokens_seconds",
            "Between two tokens of one draw.",
            buckets=_BETWEEN,
            registry=made,
        )
        self.whole = Histogram(
            "genwright_request_seconds",
            "From the arrival of a request to the end of its answer.",
            ["path"],
            buckets=_WHOLE,
            registry=made,
        )
        gauges = {
            "genwright_slots": ("Draws that can run together.", lambda: float(slots)),
            "genwright_slots_used": ("Draws that hold a slot.", running),
            "genwright_queue_length": ("Draws that wait for a slot.", waiting),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=made).set_function(value)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(path, str(status)).inc()
        self.whole.labels(path).observe(seconds)
        if status == 499:
            self.cancelled.inc()
        elif status >= 400:
            self.errors.labels(str(status)).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass
class Clock:
    """Times the tokens of one request."""

    metrics: Metrics
    began: float = field(default_factory=time.perf_counter)
    last: dict[int, float] = field(default_factory=dict[int, float])

    def token(self, draw: int) -> None:
        """Note a token of a draw."""
        now = time.perf_counter()
        if not self.last:
            self.metrics.first.observe(now - self.began)
        if draw in self.last:
            self.metrics.between.observe(now - self.last[draw])
        self.last[draw] = now
