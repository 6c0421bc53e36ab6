"""A draw (`Sample`) and a batch of draws for one prompt (`Samples`)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast, overload

from genwright.core.cost import Cost
from genwright.core.errors import InvalidArgument

T = TypeVar("T")
"""What a generator makes: a text, a tensor, a graph, a crystal."""


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One draw.

    Args:
        value: what was drawn.
        logprob: log-probability in nats under the unsteered generator, or None if unknown.
        cost: what the draw took.
        info: per-draw evidence (token ids, finish reason, mass removed by a mask, ...).
    """

    value: T
    logprob: float | None = None
    cost: Cost = Cost(draws=1)
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Samples(Generic[T]):
    """Draws for one prompt, in order. `a + b` joins two batches; a slice is `Samples` again.

    Args:
        values: a list, or an array or tensor whose first axis is the draw.
        logprobs: nats under the unsteered generator, one a draw, or None if unknown.
        costs: one a draw; each draw costs `Cost(draws=1)` where it is left out.
        info: one mapping a draw.

    Raises:
        InvalidArgument: fields of different lengths.
    """

    __slots__ = ("costs", "info", "logprobs", "values")

    def __init__(
        self,
        values: Sequence[T] | Any = (),
        logprobs: Sequence[float | None] | None = None,
        costs: Sequence[Cost] | None = None,
        info: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        column = cast("Sequence[T]", values)
        self.values: Sequence[T] = list(column) if isinstance(values, Iterator | tuple) else column
        n = len(self.values)
        self.logprobs = None if logprobs is None else list(logprobs)
        self.costs = [Cost(draws=1)] * n if costs is None else list(costs)
        self.info = [dict[str, Any]() for _ in range(n)] if info is None else list(info)
        for name, column in (
            ("logprobs", self.logprobs),
            ("costs", self.costs),
            ("info", self.info),
        ):
            if column is not None and len(column) != n:
                raise InvalidArgument(f"Samples: {n} values but {len(column)} {name}.")

    @classmethod
    def of(cls, samples: Iterable[Sample[T]]) -> "Samples[T]":
        """Gather single draws; log-probabilities are kept only if every draw has one."""
        rows = list(samples)
        known = bool(rows) and all(row.logprob is not None for row in rows)
        return cls(
            [row.value for row in rows],
            [row.logprob for row in rows] if known else None,
            [row.cost for row in rows],
            [row.info for row in rows],
        )

    @property
    def cost(self) -> Cost:
        """The sum of the costs of the draws."""
        return sum(self.costs, Cost())

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Sample[T]]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Sample[T]: ...
    @overload
    def __getitem__(self, index: slice) -> "Samples[T]": ...
    def __getitem__(self, index: int | slice) -> "Sample[T] | Samples[T]":
        logprobs = None if self.logprobs is None else self.logprobs[index]
        if isinstance(index, slice):
            return Samples(
                self.values[index],
                cast("list[float | None] | None", logprobs),
                self.costs[index],
                self.info[index],
            )
        return Sample(
            self.values[index], cast("float | None", logprobs), self.costs[index], self.info[index]
        )

    def __add__(self, other: "Samples[T]") -> "Samples[T]":
        if not len(self):
            return other
        if not len(other):
            return self
        known = self.logprobs is not None and other.logprobs is not None
        return Samples(
            _join(self.values, other.values),
            [*(self.logprobs or ()), *(other.logprobs or ())] if known else None,
            [*self.costs, *other.costs],
            [*self.info, *other.info],
        )

    def __eq__(self, other: object) -> bool:
        """Two batches are equal if their draws are; costs (time!) and evidence may differ."""
        if not isinstance(other, Samples):
            return NotImplemented
        theirs = cast("Samples[T]", other)
        if len(self) != len(theirs) or self.logprobs != theirs.logprobs:
            return False
        return all(_same(a, b) for a, b in zip(self.values, theirs.values, strict=True))

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # mutable contents

    def __repr__(self) -> str:
        return f"Samples(n={len(self)}, values={self.values!r}, cost={self.cost.as_dict()})"


def _join(first: Any, second: Any) -> Any:
    """Join two columns of values: lists by concatenation, arrays and tensors on the first axis."""
    if isinstance(first, list) or isinstance(second, list):
        return [*first, *second]
    if hasattr(first, "new_empty"):  # a torch tensor; torch itself stays out of core
        joined = first.new_empty((len(first) + len(second), *first.shape[1:]))
        joined[: len(first)], joined[len(first) :] = first, second
        return joined
    import numpy as np

    return np.concatenate([first, second])


def _same(a: Any, b: Any) -> bool:
    """Equality that also answers for arrays and tensors."""
    equal = a == b
    return bool(equal.all()) if hasattr(equal, "all") else bool(equal)
