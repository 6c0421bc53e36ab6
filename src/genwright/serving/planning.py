"""Which machines, and how many of each for prompts and for tokens.

`most_rate` finds the highest request rate at which a cluster meets an objective; `plan` compares
candidates by it, or by the power or price they need at a rate; `splits` lists the candidates that a
power or price allows.

Patel et al. 2023, "Splitwise", arXiv:2311.18677, Sections 5 and 6: the nine service levels
(slow-down of TTFT, TBT and E2E at p50, p90 and p99 against the same request alone on a DGX-A100),
and the search for the best split at equal power, price or throughput. Ours: the search over rates
is a bisection on a ratio; a candidate that fails at the best rate found so far is not searched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from genwright.core import InvalidArgument
from genwright.serving.cluster import Cluster
from genwright.serving.profile import Profile
from genwright.serving.simulated import Simulated
from genwright.serving.station import Work
from genwright.serving.traffic import Arrival, at_rate

LEVELS: Mapping[str, Mapping[float, float]] = {
    "ttft": {0.5: 2.0, 0.9: 3.0, 0.99: 6.0},
    "tbt": {0.5: 1.25, 0.9: 1.5, 0.99: 5.0},
    "e2e": {0.5: 1.25, 0.9: 1.5, 0.99: 5.0},
}
"""The paper's nine: name -> quantile -> the most slow-down."""


@dataclass(frozen=True, kw_only=True)
class Slo:
    """Service levels as slow-downs against a request alone on a machine of reference.

    Args:
        reference: how fast that machine is.
        levels: name (`ttft`, `tbt`, `e2e`) -> quantile -> the most slow-down.
    """

    reference: Profile
    levels: Mapping[str, Mapping[float, float]] = field(default_factory=lambda: LEVELS)

    def slowdowns(self, found: Simulated) -> dict[str, float]:
        """Return every level's slow-down as a share of what it allows, such as `"ttft@0.9"`."""
        profile = self.reference
        first = np.array([profile.prompt_seconds(size) for size in found.prompt])
        held = found.prompt + found.output / 2
        between = np.array([profile.token_seconds(1, size) for size in held])
        several = found.output > 1
        alone = first + between * (found.output - 1)
        ratios = {"ttft": found.ttft / first, "e2e": found.e2e / alone}
        if several.any():
            ratios["tbt"] = found.tbt / between[several]
        return {
            f"{name}@{q:g}": float(np.quantile(ratios[name], q)) / most
            for name, limits in self.levels.items()
            if name in ratios
            for q, most in limits.items()
        }

    def met(self, found: Simulated) -> bool:
        """Tell whether every level is kept."""
        return max(self.slowdowns(found).values(), default=0.0) <= 1.0

    def kept_by(self, cluster: Cluster, trace: Sequence[Arrival]) -> bool:
        """Tell whether a cluster keeps every level, giving up once it no longer can."""
        found = cluster.run_while(trace, _Tally(self, trace).add)
        return found is not None and self.met(found)


class _Tally:
    """Counts requests beyond each level while a simulation runs.

    More of them than a quantile leaves above it decide the matter before the end. One is left to
    spare, since a quantile lies between two values.
    """

    def __init__(self, slo: Slo, trace: Sequence[Arrival]) -> None:
        self.profile = slo.reference
        several = sum(arrival.output > 1 for arrival in trace)
        n = {"ttft": len(trace), "e2e": len(trace), "tbt": several}
        self.levels = {
            name: [[most, (1 - q) * n[name] + 1.0] for q, most in limits.items()]
            for name, limits in slo.levels.items()
        }

    def add(self, work: Work) -> bool:
        """Count a request after its first token, and again after its last."""
        first = self.profile.prompt_seconds(work.prompt)
        if not work.finish:
            return self._count("ttft", (work.first - work.arrival) / first)
        between = self.profile.token_seconds(1, work.prompt + work.output / 2)
        good = True
        if work.output > 1:
            mean = (work.finish - work.first) / (work.output - 1)
            good = self._count("tbt", mean / between)
        alone = first + between * (work.output - 1)
        return self._count("e2e", (work.finish - work.arrival) / alone) and good

    def _count(self, name: str, ratio: float) -> bool:
        good = True
        for level in self.levels.get(name, ()):
            if ratio > level[0]:
                level[1] -= 1
                good = good and level[1] >= 0
        return good


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One candidate and what it sustains.

    Args:
        name: the candidate's.
        rate: the highest request rate at which it meets the levels; 0 where it meets them at none
            that was tried, or was given up because another sustains more.
        watts: of all its machines.
        price: an hour of all its machines.
    """

    name: str
    rate: float
    watts: float
    price: float


def most_rate(
    cluster: Cluster,
    trace: Sequence[Arrival],
    slo: Slo,
    *,
    low: float,
    high: float,
    within: float = 0.02,
) -> float:
    """Return the highest rate that meets the levels: 0 where `low` does not.

    Args:
        cluster: the machines.
        trace: brought to each rate by compressing time.
        slo: the levels.
        low: requests a second to begin with.
        high: the most to try.
        within: the answer is at most so much below the true limit, as a share.
    """
    if not 0 < low <= high:
        raise InvalidArgument(f"most_rate: needs 0 < low <= high, got {low} and {high}.")

    def good(rate: float) -> bool:
        return slo.kept_by(cluster, at_rate(trace, rate))

    if not good(low):
        return 0.0
    while low < high:
        rate = min(high, low * 2)
        if not good(rate):
            high = rate
            break
        low = rate
    while high / low > 1 + within:
        middle = (low * high) ** 0.5
        if good(middle):
            low = middle
        else:
            high = middle
    return low


def plan(
    trace: Sequence[Arrival],
    slo: Slo,
    objective: Literal["rate", "watts", "price"],
    candidates: Mapping[str, Cluster],
    *,
    rate: float,
    high: float = 1e4,
    within: float = 0.02,
) -> list[Planned]:
    """Compare candidates, the best first.

    Args:
        trace: of requests.
        slo: what has to be met.
        objective: `"rate"`: the highest rate; `"watts"` or `"price"`: the least of it among those
            that meet the levels at `rate`.
        candidates: clusters by name.
        rate: where the search for the highest rate begins, or the rate that must be met.
        high: the highest rate to try.
        within: how closely the highest rate is found, as a share.

    Returns:
        One `Planned` a candidate. With `"rate"`, one that fails just above the best rate found
        before it is not searched further and has rate 0.
    """
    found: list[Planned] = []
    best = rate
    for name, cluster in candidates.items():
        if objective == "rate":
            reached = most_rate(cluster, trace, slo, low=best, high=high, within=within)
            best = max(best, reached * (1 + within / 2))
        else:
            reached = rate if slo.kept_by(cluster, at_rate(trace, rate)) else 0.0
        found.append(Planned(name=name, rate=reached, watts=cluster.watts, price=cluster.price))
    order: Callable[[Planned], tuple[float, ...]] = {
        "rate": lambda p: (-p.rate, p.watts),
        "watts": lambda p: (p.rate == 0, p.watts),
        "price": lambda p: (p.rate == 0, p.price),
    }[objective]
    return sorted(found, key=order)
