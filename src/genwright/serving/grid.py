"""How much CO2 equivalent a kilowatt-hour of electricity stands for, by country.

`grid_mix("FRA")` looks a country up in the table that comes with the package; a contract, a region
of a cloud or another year is a `GridMix` of its own.

The table is CodeCarbon's (MIT), yearly averages by country after Ember and the Energy Institute.
Averages say what a year's kilowatt-hours stood for together; what one more kilowatt-hour would
cause (the marginal mix) may be far from it. Ours: the range of 25% either way that is stated for
every value of the table, for the hours of the day and the year since.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from genwright.core import InvalidArgument, nearest
from genwright.serving.quantities import Given

SPREAD = 0.25
"""How far either way a yearly average is taken to lie from the mix of the hours of use."""


@dataclass(frozen=True, kw_only=True)
class GridMix:
    """What one kilowatt-hour stands for.

    Args:
        region: where.
        year: when.
        per_kwh: criterion -> amount per kWh: `gwp` in g CO2 equivalent, `primary_energy` in MJ,
            `water` in l, `adpe` in g Sb equivalent. Only `gwp` comes with the package.
    """

    region: str
    year: int
    per_kwh: Mapping[str, Given]

    def __post_init__(self) -> None:
        if "gwp" not in self.per_kwh:
            raise InvalidArgument(f"GridMix {self.region}: per_kwh needs at least 'gwp'.")


@cache
def _table() -> Mapping[str, tuple[str, int, float]]:
    text = (files("genwright.serving") / "tables" / "grid.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = csv.DictReader(lines)
    return {r["region"]: (r["name"], int(r["year"]), float(r["grams"])) for r in rows}


def grid_mix(region: str, year: int | None = None) -> GridMix:
    """Return a country's mix, or the world's.

    Args:
        region: three letters (ISO 3166), a country's name, or `"WORLD"`.
        year: the year that is wanted; None takes the table's.

    Raises:
        InvalidArgument: a region or a year that the table lacks; the message names the nearest.
    """
    table = _table()
    names = {name.casefold(): code for code, (name, _, _) in table.items()}
    code = region.upper() if region.upper() in table else names.get(region.casefold())
    if code is None:
        close = nearest(region.upper(), list(table)) or nearest(region.casefold(), list(names))
        raise InvalidArgument(
            f"grid_mix: no region {region!r}; give three letters (FRA), a country's name or WORLD."
            f"{close}"
        )
    name, known, grams = table[code]
    if year is not None and year != known:
        raise InvalidArgument(f"grid_mix: {name} is known for {known}, not {year}; use {known}.")
    source = (
        f"{name} {known}, yearly average (CodeCarbon's table); {SPREAD:.0%} either way for the "
        "hours of use, stated by genwright"
    )
    gwp = Given(value=grams, low=grams * (1 - SPREAD), high=grams * (1 + SPREAD), source=source)
    return GridMix(region=code, year=known, per_kwh={"gwp": gwp})
