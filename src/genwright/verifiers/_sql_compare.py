"""When two query results count as the same table; used by `sql.py`."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import islice, permutations
from typing import Any

import sqlglot
from sqlglot import expressions as exp

from genwright.verifiers.sql_query import Value

Row = tuple[Value, ...]

TOLERANCE = 1e-6
"""Relative; two integers must be equal, or counts beyond a million would blur."""

NEAR_ZERO = 1e-9
"""Absolute: what remains of a sum that should cancel."""

PAIRED = 500
"""Rows left after equal ones are paired; beyond it rows are paired by sorting, not by matching."""

ORDERS = 5_000
"""Orders of columns that are tried."""


def difference(gold: Sequence[Row], rows: Sequence[Row], order: Sequence[int] = ()) -> str:
    """Say how `rows` differ from `gold`, or return `""` where they are the same table.

    Args:
        gold: rows of the gold query.
        rows: rows of the drawn query.
        order: columns whose values must agree position by position, because the gold query orders
            by them. The rest of a row may move among rows that tie.
    """
    if gold and rows and len(gold[0]) != len(rows[0]):
        return f"rows have {len(rows[0])} columns instead of {len(gold[0])}"
    if len(gold) != len(rows):
        return f"{len(rows)} rows instead of {len(gold)}"
    for place, (wanted, got) in enumerate(zip(gold, rows, strict=True), start=1):
        if not all(same(wanted[i], got[i]) for i in order):
            return f"row {place} is out of order"
    missing = _unpaired(gold, rows)
    return "" if missing is None else f"no row like {missing!r}"


def same(a: Value, b: Value) -> bool:
    """NULL is NULL, 3 is 3.0, floats agree within the tolerance, text and blobs exactly."""
    if isinstance(a, str | bytes | None) or isinstance(b, str | bytes | None):
        return a == b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return a == b or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=NEAR_ZERO)


def reordered(gold: Sequence[Row], rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield `rows` with their columns in every order that could make them equal to `gold`."""
    if not rows or not gold or len(rows[0]) != len(gold[0]):
        yield list(rows)
        return
    theirs = list(zip(*rows, strict=True))
    fits = [
        {i for i, column in enumerate(theirs) if not difference(_tall(wanted), _tall(column))}
        for wanted in zip(*gold, strict=True)
    ]
    for columns in islice(permutations(range(len(theirs))), ORDERS):
        if all(i in fit for i, fit in zip(columns, fits, strict=True)):
            yield [tuple(row[i] for i in columns) for row in rows]


def order_columns(gold: str, dialect: str, width: int) -> tuple[int, ...]:
    """Return the columns by which a query orders its rows at the top level.

    Empty where it does not order. All columns where it orders by something that it does not show:
    then nothing says which rows tie, and every row must stand in its place.
    """
    try:
        tree = sqlglot.parse_one(gold, read=dialect)
    except sqlglot.ParseError:  # the engine understood it: be strict if it may be ordered
        ordered = re.search(r"\border\s+by\b(?![^()]*\))", gold, flags=re.IGNORECASE)
        return tuple(range(width)) if ordered else ()
    order = tree.args.get("order")
    if order is None or not isinstance(tree, exp.Query):
        return ()
    places = [_place(item.this, tree.selects) for item in order.expressions]
    shown = [place for place in places if place is not None and place < width]
    return tuple(shown) if len(shown) == len(places) else tuple(range(width))


def _place(key: exp.Expr, selects: Sequence[exp.Expr]) -> int | None:
    """Return which selected column an ordering key is, by position, name or expression."""
    if any(item.is_star for item in selects):
        return None
    if isinstance(key, exp.Literal) and key.is_int:
        return int(key.this) - 1
    for place, item in enumerate(selects):
        if item.unalias() == key:
            return place
        if isinstance(key, exp.Column) and not key.table and item.alias_or_name == key.name:
            return place
    return None


def _tall(column: Sequence[Value]) -> list[Row]:
    return [(value,) for value in column]


def _unpaired(gold: Sequence[Row], rows: Sequence[Row]) -> Row | None:
    """Pair rows one to one, equal ones first; return a gold row that has no partner, or None."""
    wanted, got = Counter(gold), Counter(rows)
    left, spare = list((wanted - got).elements()), list((got - wanted).elements())
    groups: dict[Row, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for side, some in enumerate((left, spare)):
        for row in some:
            groups[_exact_part(row)][side].append(row)
    for ours, theirs in groups.values():
        if len(ours) > len(theirs):
            return ours[0]
        if ours and not _match(ours, theirs):
            return ours[0]
    return None


def _exact_part(row: Row) -> Row:
    """Return a row with its numbers blanked: rows that may be close share it."""
    return tuple("#" if isinstance(v, int | float) else ("=", v) for v in row)  # pyright: ignore


def _match(ours: list[Row], theirs: list[Row]) -> bool:
    """Tell whether every row of ours can have a partner of its own in theirs."""
    if len(ours) > PAIRED:
        pairs = zip(sorted(ours, key=_numbers), sorted(theirs, key=_numbers), strict=True)
        return all(_same_row(a, b) for a, b in pairs)
    sparse: Any = import_module("scipy.sparse")  # untyped
    graphs: Any = import_module("scipy.sparse.csgraph")
    close = sparse.csr_array([[int(_same_row(a, b)) for b in theirs] for a in ours])
    return bool((graphs.maximum_bipartite_matching(close, perm_type="column") >= 0).all())


def _numbers(row: Row) -> tuple[int | float, ...]:
    return tuple(v for v in row if isinstance(v, int | float))


def _same_row(a: Row, b: Row) -> bool:
    return all(same(x, y) for x, y in zip(a, b, strict=True))
