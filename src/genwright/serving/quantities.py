"""Numbers that know their unit, their formula, their inputs and how uncertain they are.

An input is a `Given`: a most likely value, the range it is believed to lie in, and where it comes
from. Adding, multiplying and dividing makes a `Quantity`, which can be evaluated at the most likely
values, over the ranges (interval arithmetic: bounds that hold whatever the inputs do within
theirs), or by Monte Carlo (each input from a triangular distribution, the same number wherever it
occurs).

Ours; interval arithmetic after Moore 1966, "Interval Analysis". All inputs must be 0 or more, and
a divisor's range must not reach 0.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, child_seed

DRAWS = 10_000
"""Monte Carlo draws of `Quantity.interval95`."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """An input.

    Args:
        value: the most likely value, 0 or more.
        low: the least it is believed to be; `value` where it is taken to be exact.
        high: the most.
        source: where value and range come from. Never empty.
    """

    value: float
    source: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not (0 <= low <= self.value <= high < math.inf):
            raise InvalidArgument(
                "Given: needs 0 <= low <= value <= high, got "
                f"low {low}, value {self.value}, high {high}."
            )
        if not self.source.strip():
            raise InvalidArgument(f"Given: {self.value} needs a source: say where it comes from.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Return (low, high)."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high

    @classmethod
    def of(cls, thing: Any, where: str) -> "Given":
        """Read one from a table `{value, low, high, source}`, as in a scenario file.

        Raises:
            InvalidArgument: another shape; `where` names it.
        """
        known = {"value", "low", "high", "source"}
        if not isinstance(thing, Mapping) or not {"value", "source"} <= set(thing) <= known:
            raise InvalidArgument(
                f"{where}: must be a table with value and source, and perhaps low and high, got "
                f"{thing!r}."
            )
        numbers = {name: thing[name] for name in known - {"source"} if name in thing}
        bad = [
            n for n, v in numbers.items() if isinstance(v, bool) or not isinstance(v, int | float)
        ]
        if bad:
            raise InvalidArgument(f"{where}: {bad[0]} must be a number, got {thing[bad[0]]!r}.")
        return cls(source=str(thing["source"]), **numbers)


@dataclass(frozen=True)
class Bounds:
    """An interval of numbers of 0 or more."""

    low: float
    high: float

    def __add__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low / other.high, self.high / other.low)


@dataclass(frozen=True)
class Quantity:
    """A number with a unit, made from inputs.

    Args:
        unit: such as `"kWh"`.
        formula: how it is computed, in the names of its inputs.
        inputs: by name.
        compute: the formula over numbers, arrays or `Bounds`, by name.
    """

    unit: str
    formula: str
    inputs: Mapping[str, Given]
    compute: Callable[[Mapping[str, Any]], Any]

    @classmethod
    def input(cls, name: str, given: Given, unit: str) -> "Quantity":
        """Return an input as a quantity."""
        return cls(unit, name, {name: given}, lambda at: at[name])

    @classmethod
    def constant(cls, number: float, unit: str = "") -> "Quantity":
        """Return an exact number; it appears in formulas as it is."""
        return cls(unit, f"{number:g}", {}, lambda at: at[""] * _same(number, at[""]))

    def named(self, unit: str) -> "Quantity":
        """Return this quantity in words of another unit; its number stays as it is."""
        return Quantity(unit, self.formula, self.inputs, self.compute)

    @property
    def value(self) -> float:
        """At the most likely inputs."""
        return float(self.compute({"": 1.0} | {n: g.value for n, g in self.inputs.items()}))

    @property
    def bounds(self) -> tuple[float, float]:
        """Return (least, most) over the ranges of all inputs."""
        found = self.compute(
            {"": Bounds(1, 1)} | {n: Bounds(*g.bounds) for n, g in self.inputs.items()}
        )
        return found.low, found.high

    def sample(self, n: int, seed: int) -> NDArray[np.float64]:
        """Return float64[n]: Monte Carlo over the inputs, which share numbers by name and seed."""
        at: dict[str, Any] = {"": np.ones(n)}
        for name, given in self.inputs.items():
            low, high = given.bounds
            rng = np.random.default_rng(child_seed(seed, name))
            at[name] = rng.triangular(low, given.value, high, n) if high > low else np.full(n, low)
        return np.asarray(self.compute(at), float)

    def interval95(self, seed: int = 0, n: int = DRAWS) -> tuple[float, float]:
        """Return the range that holds 95% of the Monte Carlo draws."""
        low, high = np.quantile(self.sample(n, seed), [0.025, 0.975])
        return float(low), float(high)

    def told(self) -> dict[str, Any]:
        """Return everything about it, for a table or a file."""
        low, high = self.interval95()
        inputs = {
            name: {"value": g.value, "low": g.bounds[0], "high": g.bounds[1], "source": g.source}
            for name, g in self.inputs.items()
        }
        return {
            "value": self.value,
            "unit": self.unit,
            "interval95": [low, high],
            "bounds": list(self.bounds),
            "formula": self.formula,
            "inputs": inputs,
        }

    def __add__(self, other: "Quantity") -> "Quantity":
        if self.unit != other.unit:
            raise InvalidArgument(f"Quantity: cannot add {other.unit!r} to {self.unit!r}.")
        formula = f"{self.formula} + {other.formula}"
        return self._with(other, self.unit, formula, lambda a, b: a + b)

    def __mul__(self, other: "Quantity") -> "Quantity":
        unit = " ".join(u for u in (self.unit, other.unit) if u)
        formula = f"{_factor(self.formula)} * {_factor(other.formula)}"
        return self._with(other, unit, formula, lambda a, b: a * b)

    def __truediv__(self, other: "Quantity") -> "Quantity":
        if other.bounds[0] <= 0:
            raise InvalidArgument(f"Quantity: cannot divide by {other.formula}: it may be 0.")
        unit = f"{self.unit or '1'}/{other.unit}" if other.unit else self.unit
        formula = f"{_factor(self.formula)} / {_factor(other.formula, divisor=True)}"
        return self._with(other, unit, formula, lambda a, b: a / b)

    def _with(
        self, other: "Quantity", unit: str, formula: str, merge: Callable[[Any, Any], Any]
    ) -> "Quantity":
        for name in self.inputs.keys() & other.inputs.keys():
            if self.inputs[name] != other.inputs[name]:
                raise InvalidArgument(f"Quantity: two different inputs are both called {name!r}.")
        mine, theirs = self.compute, other.compute
        return Quantity(
            unit,
            formula,
            {**self.inputs, **other.inputs},
            lambda at: merge(mine(at), theirs(at)),
        )


def _factor(formula: str, *, divisor: bool = False) -> str:
    """Put brackets around what would be read otherwise."""
    outside, depth = "", 0
    for letter in formula:
        depth += (letter == "(") - (letter == ")")
        outside += letter if depth == 0 else ""
    needs = " + " in outside or (divisor and (" * " in outside or " / " in outside))
    return f"({formula})" if needs else formula


def _same(number: float, like: Any) -> Any:
    """Return a number of the kind of another."""
    return Bounds(number, number) if isinstance(like, Bounds) else number
