"""Functions to approximate, to more digits than a float64 holds.

A target is a name of `TARGETS`, or any function of one mpmath number that returns one. Its values
are computed to 50 digits and kept as the sum of two float64s, so that an error near 1e-15 is the
program's and not the table's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from genwright.core import InvalidArgument, nearest, require
from genwright.search.symbolic import Array

Target = str | Callable[[Any], Any]

TARGETS = (
    *("exp2", "exp", "log2", "log", "sin", "cos", "tan", "atan", "sinh", "tanh"),
    *("erf", "erfc", "gamma", "airyai", "besselj0", "sqrt", "cbrt"),
)
"""Names of targets: base-2 and natural exponentials and logarithms, and what mpmath calls so."""

Points = Literal["equal", "between", "chebyshev"]
"""Equally spaced with both ends; the middles between those; Chebyshev's with both ends."""

DIGITS = 50


@dataclass(frozen=True, eq=False)
class Table:
    """Points of an interval, and a function's values there.

    Args:
        x: float64[P].
        high: float64[P], the values rounded.
        low: float64[P], what rounding left.
    """

    x: Array
    high: Array
    low: Array


def exact(target: Target) -> Callable[[Any], Any]:
    """Return the target as a function of mpmath numbers.

    Raises:
        InvalidArgument: an unknown name.
        MissingExtra: mpmath is not installed.
    """
    mp: Any = require("mpmath", extra="search", needed_by="search.targets")
    if callable(target):
        return target
    if target not in TARGETS:
        raise InvalidArgument(
            f"target must be a function of mpmath numbers or one of {', '.join(TARGETS)}, got "
            f"{target!r}.{nearest(target, list(TARGETS))}"
        )
    own: dict[str, Callable[[Any], Any]] = {
        "exp2": lambda x: mp.power(2, x),
        "log2": lambda x: mp.log(x, 2),
        "besselj0": lambda x: mp.besselj(0, x),
    }
    return own.get(target) or getattr(mp, target)


@lru_cache(maxsize=64)
def tabulate(target: Target, interval: tuple[float, float], n: int, kind: Points) -> Table:
    """Return the target's values at n points of an interval.

    Args:
        target: see `TARGETS`.
        interval: its two ends.
        n: points; at least 2.
        kind: where they lie.

    Raises:
        InvalidArgument: an unknown target, no interval, or a target that is 0 or no real number at
            a point, where no relative error exists.
        MissingExtra: mpmath is not installed.
    """
    low, high = interval
    if not (np.isfinite(low) and np.isfinite(high) and low < high and n >= 2):
        raise InvalidArgument(f"tabulate: needs a < b and 2 or more points, got {interval}, {n}.")
    mp: Any = require("mpmath", extra="search", needed_by="search.targets")
    if kind == "chebyshev":
        share = (1 - np.cos(np.pi * np.arange(n) / (n - 1))) / 2
    elif kind == "equal":
        share = np.arange(n) / (n - 1)
    else:
        share = (np.arange(n) + 0.5) / n
    x = np.clip(low + (high - low) * share, low, high)
    function = exact(target)
    rows: list[tuple[float, float]] = []
    with mp.workdps(DIGITS):
        for point in x.tolist():
            value: Any = function(mp.mpf(point))
            rounded = _real(mp, target, point, value)
            rows.append((rounded, float(value - mp.mpf(rounded))))
    values = np.array(rows)
    return Table(x, values[:, 0], values[:, 1])


def _real(mp: Any, target: Target, point: float, value: Any) -> float:
    if isinstance(value, mp.mpf | int | float) and mp.isfinite(value) and float(value) != 0.0:
        return float(value)
    name = target if isinstance(target, str) else getattr(target, "__qualname__", str(target))
    raise InvalidArgument(
        f"{name} is {value} at {point}: a relative error needs real values other than 0; choose "
        "an interval without that point, or a multiple such as f(x) / x."
    )
