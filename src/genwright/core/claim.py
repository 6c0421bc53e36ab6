"""A claim of a paper, put to the test here: one sentence with a number, and a run that decides it.

A test asks whether the code is right; a claim asks whether the paper's sentence holds with this
code, on this machine, with models and data that can be had here. It may fail, and is then reported
as failing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Literal, Protocol, get_args

from genwright.core.cost import Cost
from genwright.core.errors import InvalidArgument
from genwright.core.ledger import Ledger

Scale = Literal["smoke", "full"]
"""How much is run: `smoke` takes about 20 s on two idle cores, `full` 10 minutes at most."""

SCALES: tuple[Scale, ...] = get_args(Scale)

_BOUND = re.compile(r"(?P<name>[\w@.-]+) (?P<order>>=|<=) (?P<value>-?\d+(?:\.\d+)?)")
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": lambda measured, bound: measured >= bound,
    "<=": lambda measured, bound: measured <= bound,
}


class ClaimState(Enum):
    """Where a system's claim stands; the value is what a user reads."""

    NOT_BUILT = "not built"
    NOT_RUN = "not run"
    HOLDS = "holds"
    FAILS = "fails"


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """What one run of a claim measured.

    Args:
        metrics: the numbers, by name.
        bounds: what decides the claim, each as `"name >= number"` or `"name <= number"`, where the
            name is that of a metric. The claim holds when all of them do.
        notes: what a reader of the numbers should know: what was left out, what a run could not do.
        cost: what the run took.

    Raises:
        InvalidArgument: no bound, one that cannot be read or names no metric, or a metric that is
            not a finite number.
    """

    metrics: Mapping[str, float]
    bounds: tuple[str, ...]
    notes: tuple[str, ...] = ()
    cost: Cost = Cost()

    def __post_init__(self) -> None:
        for name, value in self.metrics.items():
            if not isfinite(value):
                raise InvalidArgument(f"ClaimResult: metric {name!r} must be finite, got {value}.")
        if not self.bounds:
            raise InvalidArgument("ClaimResult: a claim without a bound would always hold.")
        for bound in self.bounds:
            self._met(bound)

    @property
    def holds(self) -> bool:
        """Whether every bound is met."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """The bounds that are not met."""
        return tuple(bound for bound in self.bounds if not self._met(bound))

    def _met(self, bound: str) -> bool:
        found = _BOUND.fullmatch(bound)
        if found is None or found["name"] not in self.metrics:
            raise InvalidArgument(
                f"ClaimResult: a bound must read 'name >= number' or 'name <= number' with the "
                f"name of a metric ({', '.join(self.metrics)}), got {bound!r}."
            )
        return _ORDERS[found["order"]](self.metrics[found["name"]], float(found["value"]))


class ClaimRun(Protocol):
    """The part of a claim that runs."""

    def __call__(self, scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
        """Measure, recording draws in the ledger where one is given.

        Raises:
            UserError: data or an optional dependency is missing. It is never read as an answer.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One system's claim; a file of `genwright.claims` holds one as `CLAIM`.

    Args:
        slug: the system's name, as in the list of systems.
        reference: authors, year, title, arXiv number or DOI.
        statement: one sentence with a number.
        run: decides it.
        needs: for each scale the names of the data files it reads, below `GENWRIGHT_DATA`.
    """

    slug: str
    reference: str
    statement: str
    run: ClaimRun
    needs: Mapping[Scale, tuple[str, ...]] = field(default_factory=dict[Scale, tuple[str, ...]])
