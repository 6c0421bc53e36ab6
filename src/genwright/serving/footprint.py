"""What a portfolio of uses of AI takes from the environment in a year.

Choose it to compare uses by electricity, greenhouse gases and whatever other criteria you have
factors for, with the formula, the inputs and the uncertainty of every number. `measure_call` and
the ledger's joules give energies that were measured here, `projection` looks years ahead.

Desroches et al. 2025, "Exploring the sustainable scaling of AI dilemma: A projective study of
corporations' AI environmental impacts", arXiv:2501.14334. Only its abstract was read: a portfolio
of use cases, energy and life-cycle impacts of each without the vendors' data, projections to 2030.
Everything below is a reconstruction from common practice in life-cycle assessment (ISO 14044; the
embodied share by time, as in Boavizta's and EcoLogits' methods), not the paper's formulas:

    energy  = (calls * (device + server_watts * seconds) + training / training_years) * pue
            + reserved * idle_watts * idle time * pue
    impact  = energy * grid factor + embodied share of the hardware
    share   = calls * seconds / (lifetime * utilisation), or reserved * year / lifetime

Ours: no embodied value, grid factor or efficiency has a default; each input carries its source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genwright.core import Cost, InvalidArgument
from genwright.serving.grid import GridMix
from genwright.serving.quantities import Given, Quantity

YEAR = 365.25 * 24 * 3600
"""Seconds."""
JOULES_PER_KWH = 3.6e6
UNITS: Mapping[str, str] = {
    "gwp": "g CO2e",
    "primary_energy": "MJ",
    "water": "l",
    "adpe": "g Sb-e",
}
"""Unit of each criterion; one that is not here has the unit `"units"`."""
KINDS = ("traditional", "vision", "small-language-model", "large-language-model", "agent", "other")
SPREAD_BY = {"measured": 0.05, "estimated": 0.5, "mixed": 0.5}
"""How far below the true energy may lie; above it lies as far as one over what is left."""

NO_OVERHEAD = Given(value=1.0, source="no overhead of the site is counted")
"""A power usage effectiveness for where the site is not known."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A kind of device, with its share of the server around it.

    Args:
        name: what it is called.
        lifetime_years: how long it is used.
        utilisation: the share of that time in which it computes, in (0, 1].
        server_watts: what the rest of the server draws while the device works: memory, fans, disks,
            network. Leave out what the device's joules hold already.
        idle_watts: what a reserved device draws while it does not work.
        embodied: criterion -> amount for making and ending one device with its share of the server.
    """

    name: str
    lifetime_years: Given
    utilisation: Given
    server_watts: Given
    idle_watts: Given
    embodied: Mapping[str, Given]

    def __post_init__(self) -> None:
        low, high = self.utilisation.bounds
        if not 0 < low <= high <= 1 or not self.lifetime_years.bounds[0] > 0:
            raise InvalidArgument(
                f"Hardware {self.name}: utilisation must be in (0, 1] and lifetime_years above 0."
            )


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """One use of AI.

    Args:
        name: what it is called.
        kind: one of `KINDS`.
        calls: a year.
        joules: of the device, for one call.
        seconds: that one call keeps the device busy.
        hardware: the device.
        grid: where it stands.
        pue: power usage effectiveness of the site, 1 or more.
        training: joules of the device for training or fine-tuning, once.
        training_years: over how many years of calls the training is spread.
        reserved: devices kept for this use all year; their whole making counts, used or not.
    """

    name: str
    kind: str
    calls: Given
    joules: Given
    seconds: Given
    hardware: Hardware
    grid: GridMix
    pue: Given
    training: Given = field(default_factory=lambda: Given(value=0, source="no training"))
    training_years: Given = field(default_factory=lambda: Given(value=1, source="no training"))
    reserved: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            allowed = ", ".join(KINDS)
            raise InvalidArgument(f"UseCase {self.name}: kind must be one of {allowed}.")
        if self.pue.bounds[0] < 1 or self.reserved < 0 or self.training_years.bounds[0] <= 0:
            raise InvalidArgument(
                f"UseCase {self.name}: pue must be 1 or more, reserved 0 or more, training_years "
                f"above 0."
            )

    def _in(self, name: str, given: Given, unit: str) -> Quantity:
        return Quantity.input(f"{self.name}.{name}", given, unit)

    def _device(self, name: str, unit: str) -> Quantity:
        given: Given = getattr(self.hardware, name)
        return Quantity.input(f"{self.hardware.name}.{name}", given, unit)

    def energy(self) -> Quantity:
        """Return kWh a year."""
        calls, seconds = self._in("calls", self.calls, ""), self._in("seconds", self.seconds, "s")
        server = (self._device("server_watts", "W") * seconds).named("J")
        total = calls * (self._in("joules", self.joules, "J") + server)
        if self.training.bounds[1]:
            years = self._in("training_years", self.training_years, "")
            total = total + self._in("training", self.training, "J") / years
        if self.reserved and self.hardware.idle_watts.bounds[1]:
            busy = self.calls.value * self.seconds.value
            idle = Quantity.constant(max(0.0, self.reserved * YEAR - busy))
            total = total + (idle * self._device("idle_watts", "J"))
        pue = self._in("pue", self.pue, "")
        return (total * pue / Quantity.constant(JOULES_PER_KWH)).named("kWh")

    def embodied(self, criterion: str) -> Quantity | None:
        """Return the share of the hardware's making, or None where it is not known."""
        given = self.hardware.embodied.get(criterion)
        if given is None:
            return None
        whole = Quantity.input(f"{self.hardware.name}.embodied_{criterion}", given, "")
        lifetime = self._device("lifetime_years", "") * Quantity.constant(YEAR)
        if self.reserved:
            share = Quantity.constant(self.reserved * YEAR) / lifetime
        else:
            used = self._in("calls", self.calls, "") * self._in("seconds", self.seconds, "")
            share = used / (lifetime * self._device("utilisation", ""))
        return (whole * share).named(UNITS.get(criterion, "units"))

    def impact(self, criterion: str) -> Quantity:
        """Return what a year of it stands for under one criterion.

        Raises:
            InvalidArgument: no grid factor or no embodied value is known for it: half a sum would
                be read as a whole one.
        """
        factor, making = self.grid.per_kwh.get(criterion), self.embodied(criterion)
        if factor is None or making is None:
            lacks = f"grid {self.grid.region}" if factor is None else f"{self.hardware.name}"
            raise InvalidArgument(
                f"UseCase {self.name}: {lacks} has no value for {criterion!r}; give it one, with "
                "its source."
            )
        per_kwh = Quantity.input(f"{self.grid.region}.{criterion}", factor, "")
        used = (self.energy() * per_kwh).named(UNITS.get(criterion, "units"))
        return used + making


@dataclass(frozen=True, kw_only=True)
class Impacts:
    """What `impact` found.

    Args:
        energy: use case -> kWh a year.
        impacts: criterion -> use case -> amount a year.
    """

    energy: Mapping[str, Quantity]
    impacts: Mapping[str, Mapping[str, Quantity]]

    def total(self, criterion: str) -> Quantity:
        """Return the sum over all use cases; `"energy"` is a criterion too."""
        parts = list((self.energy if criterion == "energy" else self.impacts[criterion]).values())
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        return whole


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """All uses of a company."""

    use_cases: tuple[UseCase, ...]

    def __post_init__(self) -> None:
        names = [case.name for case in self.use_cases]
        if not names or len(set(names)) < len(names):
            raise InvalidArgument(f"Portfolio: needs use cases with different names, got {names}.")


def impact(portfolio: Portfolio, criteria: Sequence[str] = ("gwp",)) -> Impacts:
    """Return a year's electricity and impacts.

    Args:
        portfolio: the uses.
        criteria: such as `"gwp"`, `"water"`; every grid and device must have a value for each.
    """
    return Impacts(
        energy={case.name: case.energy() for case in portfolio.use_cases},
        impacts={
            name: {case.name: case.impact(name) for case in portfolio.use_cases}
            for name in criteria
        },
    )


def emissions(cost: Cost, grid: GridMix, pue: Given) -> Quantity:
    """Return grams of CO2 equivalent for the electricity of what was spent.

    The making of the hardware is left out: it depends on what the machine is. Joules that were
    measured are taken as within 5%, estimated ones as within half to double.

    Raises:
        InvalidArgument: nobody measured or estimated the energy of this cost.
    """
    if not cost.joules_by:
        raise InvalidArgument("emissions: this cost says nothing about its joules.")
    spread = SPREAD_BY[cost.joules_by]
    joules = Given(
        value=cost.joules,
        low=cost.joules * (1 - spread),
        high=cost.joules / (1 - spread),
        source=f"{cost.joules_by}; {1 - spread:g} to {1 / (1 - spread):.3g} times the value, "
        "stated by genwright",
    )
    kwh = (Quantity.input("joules", joules, "J") * Quantity.input("pue", pue, "")) / (
        Quantity.constant(JOULES_PER_KWH)
    )
    factor = Quantity.input(f"{grid.region}.gwp", grid.per_kwh["gwp"], "")
    return (kwh.named("kWh") * factor).named("g CO2e")
