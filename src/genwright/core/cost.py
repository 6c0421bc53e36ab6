"""What a draw or a check took (`Cost`), and how much may be taken (`Budget`)."""

from dataclasses import dataclass, fields, replace
from typing import Self

from genwright.core.errors import InvalidArgument

WATTS_PER_THREAD = 4.2
"""What one busy core is taken to draw, for estimated joules: a 400 W server package of 96 cores."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What was spent. Costs add: `a + b`, `sum(costs, Cost())`.

    Args:
        draws: finished draws.
        prompt_tokens: tokens read. Draws that share a prompt share its prefill; the first pays.
        new_tokens: tokens written, forced ones included.
        network_evaluations: rows of a network's batch that were evaluated: 16 draws that make one
            step together cost 16.
        verifier_calls: draws that were checked.
        seconds: wall time attributed to the draw or check. Draws that run side by side share it.
        money: in the currency of the price that was given; 0 where no price is known.
        joules: energy of the device, where somebody measured or estimated it.
        joules_by: how `joules` was obtained: `""` (not at all), `"measured"`, `"estimated"`, or
            `"mixed"` after adding the two.
    """

    draws: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    network_evaluations: int = 0
    verifier_calls: int = 0
    seconds: float = 0.0
    money: float = 0.0
    joules: float = 0.0
    joules_by: str = ""

    def __add__(self, other: "Cost") -> "Cost":
        amounts = {name: getattr(self, name) + getattr(other, name) for name in AMOUNTS}
        ways = {self.joules_by, other.joules_by} - {""}
        return Cost(**amounts, joules_by=ways.pop() if len(ways) == 1 else "mixed" if ways else "")

    def split(self, n: int) -> "list[Cost]":
        """Share this cost evenly among n draws; whole amounts go to the first draws first."""
        shares: list[dict[str, int | float]] = [{} for _ in range(n)]
        for name in AMOUNTS:
            amount = getattr(self, name)
            for i, share in enumerate(shares):
                whole = isinstance(amount, int)
                share[name] = amount // n + (i < amount % n) if whole else amount / n
        return [Cost(**share, joules_by=self.joules_by) for share in shares]  # pyright: ignore

    def as_dict(self) -> dict[str, int | float | str]:
        """Return the fields that are not zero or empty."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in pairs if value}


AMOUNTS = tuple(f.name for f in fields(Cost) if f.name != "joules_by")
"""The fields of `Cost` that are amounts, and so the fields a `Budget` can limit."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit on any field of `Cost`; None is no limit. `Budget()` limits nothing.

    A budget is looked at between calls, so a strategy may overshoot it by what one call costs;
    `room` keeps the number of draws exact.

    Raises:
        InvalidArgument: a limit below 0.
    """

    draws: int | None = None
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    network_evaluations: int | None = None
    verifier_calls: int | None = None
    seconds: float | None = None
    money: float | None = None
    joules: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits().items():
            if not limit >= 0:
                raise InvalidArgument(f"Budget: {name} must be 0 or more, got {limit}.")

    def limits(self) -> dict[str, int | float]:
        """Return the limits that are set, by field of `Cost`."""
        pairs = ((name, getattr(self, name)) for name in AMOUNTS)
        return {name: limit for name, limit in pairs if limit is not None}

    def is_spent(self, cost: Cost) -> bool:
        """Tell whether any limit is reached. A limit of 0 is spent before the first draw."""
        return any(getattr(cost, name) >= limit for name, limit in self.limits().items())

    def room(self, cost: Cost, wanted: int) -> int:
        """Return how many of the wanted draws may still be made: 0 when the budget is spent."""
        if self.is_spent(cost):
            return 0
        return wanted if self.draws is None else min(wanted, self.draws - cost.draws)

    def after(self, cost: Cost) -> Self:
        """Return what is left once `cost` is spent; no limit goes below 0."""
        left = {n: max(0, limit - getattr(cost, n)) for n, limit in self.limits().items()}
        return replace(self, **left)

    def __and__(self, other: "Budget") -> "Budget":
        """Return the tighter of two budgets, field by field."""
        mine, theirs = self.limits(), other.limits()
        both = {n: min(b[n] for b in (mine, theirs) if n in b) for n in mine.keys() | theirs.keys()}
        return Budget(**both)  # pyright: ignore[reportArgumentType]  # int fields stay int
