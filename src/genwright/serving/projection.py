"""Years ahead: how a footprint grows under a scenario, and which lever moves it most.

    E(year) = E(now) * (usage * calls_per_use * model_size
              / (hardware_efficiency * software_efficiency)) ^ (year - now)

with one yearly factor each; emissions multiply by `grid ^ (year - now)` too. A scenario is a TOML
file with a value, a range and a source for each factor; `low`, `medium` and `high` come with the
package.

Desroches et al. 2025, arXiv:2501.14334, whose abstract reports up to 24.4 times more electricity
for generative AI by 2030 in its high scenario. Its inputs could not be read. The formula and the
numbers of the shipped scenarios are ours: assumptions to be replaced, and no derivation of 24.4.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from genwright.core import InvalidArgument, MissingFile, nearest
from genwright.serving.quantities import Given, Quantity

GROWS = ("usage", "calls_per_use", "model_size")
SHRINKS = ("hardware_efficiency", "software_efficiency")
FACTORS = (*GROWS, *SHRINKS, "grid")
SHIPPED = ("low", "medium", "high")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Yearly factors, 1 where nothing changes.

    Args:
        name: what it is called.
        first: the year of today's footprint.
        last: the year to project to.
        factors: one `Given` for each of `FACTORS`. Efficiencies above 1 make energy shrink; `grid`
            below 1 makes a kilowatt-hour cleaner.
    """

    name: str
    first: int
    last: int
    factors: Mapping[str, Given]

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise InvalidArgument(
                f"Scenario {self.name}: last must not come before first, got {self.first} to "
                f"{self.last}."
            )
        unknown = [name for name in self.factors if name not in FACTORS]
        if unknown:
            raise InvalidArgument(
                f"Scenario {self.name}: no factor {unknown[0]!r}; they are {', '.join(FACTORS)}."
                f"{nearest(unknown[0], list(FACTORS))}"
            )
        lacking = [name for name in FACTORS if name not in self.factors]
        if lacking:
            raise InvalidArgument(f"Scenario {self.name}: {lacking[0]} is missing.")
        zero = [name for name in FACTORS if self.factors[name].bounds[0] <= 0]
        if zero:
            raise InvalidArgument(f"Scenario {self.name}: {zero[0]} must be above 0.")


def read_scenario(name: str | Path) -> Scenario:
    """Read a TOML file, or one of the package's by its name.

    Raises:
        MissingFile: no such file or name.
        InvalidArgument: what is wrong in it.
    """
    path = Path(name)
    if str(name) in SHIPPED:
        text = (files("genwright.serving") / "scenarios" / f"{name}.toml").read_text("utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise MissingFile(
            f"read_scenario: there is no file {name}, and the package has {', '.join(SHIPPED)}."
        )
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"read_scenario: {name}: {error}.") from error
    years = [data.pop(key, None) for key in ("first", "last")]
    if any(isinstance(year, bool) or not isinstance(year, int) for year in years):
        raise InvalidArgument(f"read_scenario: {name}: first and last must be years, got {years}.")
    factors = {key: Given.of(value, f"{name}: {key}") for key, value in data.items()}
    return Scenario(name=path.stem, first=years[0], last=years[1], factors=factors)


def growth(scenario: Scenario, year: int, *, grid: bool) -> Quantity:
    """Return the factor between the first year and `year`.

    Args:
        scenario: the yearly factors.
        year: within the scenario.
        grid: whether to include the grid: True for emissions, False for electricity.

    Raises:
        InvalidArgument: a year outside the scenario.
    """
    if not scenario.first <= year <= scenario.last:
        raise InvalidArgument(
            f"growth: {scenario.name} runs from {scenario.first} to {scenario.last}, got {year}."
        )
    one = Quantity.constant(1.0)
    for _ in range(year - scenario.first):
        for name in (*GROWS, *(["grid"] if grid else [])):
            one = one * Quantity.input(name, scenario.factors[name], "")
        for name in SHRINKS:
            one = one / Quantity.input(name, scenario.factors[name], "")
    above = " * ".join([*GROWS, *(["grid"] if grid else [])])
    return replace(one, formula=f"({above} / ({' * '.join(SHRINKS)}))^{year - scenario.first}")


def project(now: Quantity, scenario: Scenario) -> dict[int, Quantity]:
    """Return a footprint in every year of a scenario.

    Args:
        now: of the first year; electricity in kWh grows without the grid's factor, everything else
            with it. What is embodied in hardware is taken to grow with the rest.
        scenario: how it grows.
    """
    grid = now.unit != "kWh"
    years = range(scenario.first, scenario.last + 1)
    return {year: now * growth(scenario, year, grid=grid) for year in years}


@dataclass(frozen=True, kw_only=True)
class Lever:
    """What one factor's range does to the last year, all others at their most likely values.

    Args:
        name: of the factor.
        low: the last year's amount at the end of its range that makes it smaller.
        high: at the other end.
    """

    name: str
    low: float
    high: float


def levers(now: Quantity, scenario: Scenario) -> list[Lever]:
    """Return all levers, the widest first: a tornado plot's bars."""
    grid = now.unit != "kWh"
    found: list[Lever] = []
    for name in FACTORS:
        if name == "grid" and not grid:
            continue
        ends: list[float] = []
        for end in scenario.factors[name].bounds:
            fixed = replace(scenario.factors[name], value=end, low=None, high=None)
            changed = replace(scenario, factors={**scenario.factors, name: fixed})
            ends.append(now.value * growth(changed, scenario.last, grid=grid).value)
        found.append(Lever(name=name, low=min(ends), high=max(ends)))
    return sorted(found, key=lambda lever: lever.low - lever.high)
