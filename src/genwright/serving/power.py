"""How many joules something took: measured where the machine tells, estimated where it does not.

Linux shows the energy counters of Intel's and AMD's packages (RAPL) under
`/sys/class/powercap/intel-rapl:*`, if they may be read. Everywhere else, and inside most virtual
machines, seconds of processor time are multiplied by what a busy core is taken to draw, and the
result is labelled "estimated".

David et al. 2010, "RAPL: Memory Power Estimation and Capping", ISLPED. Ours: the estimate and the
ranges stated with either way.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from genwright.core import Cost
from genwright.core.cost import WATTS_PER_THREAD
from genwright.serving.quantities import Given

T = TypeVar("T")

ZONES = Path("/sys/class/powercap")
WATTS_PER_CORE = Given(
    value=WATTS_PER_THREAD,
    low=2.1,
    high=8.4,
    source="a 400 W server package of 96 cores; half to double of it for other machines and loads, "
    "stated by genwright",
)
RAPL_ERROR = 0.05
"""How far RAPL's counters are taken to lie from the wall, as a share, either way."""


@dataclass(frozen=True, kw_only=True)
class Measured(Generic[T]):
    """What a call returned and took.

    Args:
        value: what it returned.
        seconds: wall time.
        core_seconds: processor time of this process, its threads and the children it waited for.
        joules: with range and source.
        by: `"measured"` or `"estimated"`, as in `Cost.joules_by`.
    """

    value: T
    seconds: float
    core_seconds: float
    joules: Given
    by: str

    @property
    def cost(self) -> Cost:
        """The time and the energy."""
        return Cost(seconds=self.seconds, joules=self.joules.value, joules_by=self.by)


def measure_call(
    call: Callable[[], T], *, watts_per_core: Given = WATTS_PER_CORE, zones: Path = ZONES
) -> Measured[T]:
    """Run `call` and say what it took.

    RAPL counts the whole package: the idle power, and whatever else runs on it meanwhile. The
    estimate counts this process alone and no idle power.

    Args:
        call: takes nothing.
        watts_per_core: for the estimate.
        zones: where the energy counters are.
    """
    counters = rapl_counters(zones)
    before = [_read(counter) for counter in counters]
    cores, began = _core_seconds(), time.perf_counter()
    value = call()
    seconds, used = time.perf_counter() - began, _core_seconds() - cores
    if counters:
        moved = (_moved(c, old) for c, old in zip(counters, before, strict=True))
        joules = sum(moved) / 1e6
        given = Given(
            value=joules,
            low=joules * (1 - RAPL_ERROR),
            high=joules * (1 + RAPL_ERROR),
            source=f"RAPL, {len(counters)} packages, everything that ran on them",
        )
        return Measured(
            value=value, seconds=seconds, core_seconds=used, joules=given, by="measured"
        )
    low, high = watts_per_core.bounds
    given = Given(
        value=used * watts_per_core.value,
        low=used * low,
        high=used * high,
        source=f"{used:.3g} core-seconds times {watts_per_core.value:g} W: {watts_per_core.source}",
    )
    return Measured(value=value, seconds=seconds, core_seconds=used, joules=given, by="estimated")


def rapl_counters(zones: Path = ZONES) -> list[Path]:
    """Return the energy counters of whole packages that may be read."""
    found: list[Path] = []
    for zone in sorted(zones.glob("intel-rapl:*")):
        if zone.name.count(":") != 1:
            continue  # a part of a package is in its package's count already
        try:
            _read(zone / "energy_uj")
        except (OSError, ValueError):
            continue
        found.append(zone / "energy_uj")
    return found


def _read(counter: Path) -> int:
    return int(counter.read_text())


def _moved(counter: Path, old: int) -> int:
    """Return the microjoules since `old`; a counter starts again at 0 after its largest value."""
    new = _read(counter)
    return new - old if new >= old else new - old + _read(counter.parent / "max_energy_range_uj")


def _core_seconds() -> float:
    children = os.times()  # to 10 ms only, so not for this process itself
    return time.process_time() + children.children_user + children.children_system
