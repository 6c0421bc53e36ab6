"""What a SQL grammar must know of a database: tables, typed columns, values, and what joins what.

Everything is read through a read-only connection. Two tables join where a foreign key says so, or
where they share the name of a column that is part of a key of one of them; a database that declares
no key at all joins wherever two tables share a column's name.
"""

import re
import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from genwright.core import ConstraintError, MissingFile

NUMERIC = re.compile(r"INT|REAL|FLOA|DOUB|NUM|DEC|BOOL", re.IGNORECASE)
BLOB = re.compile(r"BLOB|BINARY|IMAGE|BYTEA", re.IGNORECASE)
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONSTANTS = {"current_date", "current_time", "current_timestamp", "null", "true", "false"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its name as SQL writes it, its type, and its values where they are few."""

    table: str
    name: str
    kind: Literal["number", "text", "blob"]
    in_key: bool
    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Tables with their columns, and the equalities that join two tables.

    Args:
        columns: by table; names are quoted where SQL needs it.
        joins: (first table, second table) in alphabetical order -> (column of the first, column of
            the second) pairs.
        declared: the pairs of tables that a foreign key joins.
    """

    columns: Mapping[str, tuple[Column, ...]]
    joins: Mapping[tuple[str, str], tuple[tuple[Column, Column], ...]] = field(
        default_factory=dict[tuple[str, str], tuple[tuple[Column, Column], ...]]
    )
    declared: frozenset[tuple[str, str]] = frozenset()

    def scopes(self, max_joins: int) -> list[tuple[str, ...]]:
        """Return the sets of tables a query may be about: connected, of at most max_joins + 1.

        Single tables come first, then sets that foreign keys connect, then the others; within each
        kind the smaller sets first.
        """
        found: list[tuple[str, ...]] = []
        for size in range(1, max_joins + 2):
            for tables in combinations(sorted(self.columns), size):
                if any(True for _ in self.orders(tables)):
                    found.append(tables)
        return sorted(found, key=lambda t: (len(t) > 1 and not self._is_declared(t), len(t)))

    def _is_declared(self, tables: tuple[str, ...]) -> bool:
        """Whether foreign keys alone connect the tables."""
        reached = {tables[0]}
        for _ in tables:
            reached |= {t for pair in self.declared if reached & {*pair} for t in pair} & {*tables}
        return len(reached) == len(tables)

    def orders(self, tables: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the orders in which the tables can be joined one after the other."""

        def grow(chosen: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
            if len(chosen) == len(tables):
                yield chosen
            for table in tables:
                if table not in chosen and (not chosen or self.pairs(chosen, table)):
                    yield from grow((*chosen, table))

        return grow(())

    def pairs(self, tables: tuple[str, ...], new: str) -> list[tuple[Column, Column]]:
        """Return the equalities between a new table and the tables before it."""
        keys = [(a, b) for a, b in self.joins if (a == new) != (b == new)]
        near = [k for k in keys if (k[0] if k[1] == new else k[1]) in tables]
        return [pair for key in near for pair in self.joins[key]]


def read_schema(database: str, max_values: int) -> Schema:
    """Read the schema of a SQLite file.

    Args:
        database: path of the file.
        max_values: text columns with at most this many distinct values get them listed.

    Raises:
        MissingFile: no such file.
        ConstraintError: not a database, or one without tables.
    """
    with opened(database) as connection:
        try:
            return _read(connection, database, max_values)
        except sqlite3.DatabaseError as error:
            raise ConstraintError(f"SqlGrammar: cannot read {database}: {error}.") from error


@contextmanager
def opened(database: str) -> Generator[sqlite3.Connection]:
    """Open a SQLite file read-only."""
    path = Path(database)
    if not path.is_file():
        raise MissingFile(f"SqlGrammar: there is no database {database}; give the path of a file.")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def _read(connection: sqlite3.Connection, database: str, max_values: int) -> Schema:
    query = (
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    tables = [str(row[0]) for row in connection.execute(query)]
    if not tables:
        raise ConstraintError(f"SqlGrammar: {database} has no tables.")
    columns: dict[str, tuple[Column, ...]] = {}
    raw: dict[str, dict[str, Column]] = {}
    for table in tables:
        try:
            rows = connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
        except sqlite3.OperationalError:  # a view whose tables are gone
            continue
        written = _written(connection, table, None)
        raw[table] = {
            str(row[1]): _column(connection, table, written, row, max_values) for row in rows
        }
        columns[written] = tuple(raw[table].values())
    joins, declared = _joins(connection, raw)
    return Schema(columns=columns, joins=joins, declared=declared)


def _column(
    connection: sqlite3.Connection, table: str, written: str, row: Any, max_values: int
) -> Column:
    name, declared, key = str(row[1]), str(row[2]), int(row[5]) > 0
    kind = "number" if NUMERIC.search(declared) else "blob" if BLOB.search(declared) else "text"
    values: tuple[str, ...] = ()
    if kind == "text" and max_values:
        column, source = _quoted(name), _quoted(table)
        found = connection.execute(
            f"SELECT DISTINCT {column} FROM {source} WHERE {column} IS NOT NULL LIMIT ?",
            (max_values + 1,),
        ).fetchall()
        few = 0 < len(found) <= max_values and all(
            isinstance(v, str) and v.isprintable() for (v,) in found
        )
        values = tuple(sorted(v for (v,) in found)) if few else ()
    return Column(
        table=written,
        name=_written(connection, table, name),
        kind=kind,
        in_key=key,
        values=values,
    )


def _joins(
    connection: sqlite3.Connection, raw: Mapping[str, Mapping[str, Column]]
) -> tuple[dict[tuple[str, str], tuple[tuple[Column, Column], ...]], frozenset[tuple[str, str]]]:
    declared: dict[frozenset[str], list[tuple[Column, Column]]] = {}
    folded = {table.lower(): table for table in raw}
    for table, mine in raw.items():
        for row in connection.execute(f"PRAGMA foreign_key_list({_quoted(table)})"):
            target = folded.get(str(row[2]).lower(), "")
            theirs = {n.lower(): c for n, c in raw.get(target, {}).items()}
            here = {n.lower(): c for n, c in mine.items()}.get(str(row[3]).lower())
            keys = [c for c in theirs.values() if c.in_key]
            there = theirs.get(str(row[4]).lower()) if row[4] else (keys or [None])[0]
            if here and there and target != table:
                declared.setdefault(frozenset((table, target)), []).append((here, there))
    keyless = not declared and not any(c.in_key for t in raw.values() for c in t.values())
    found: dict[tuple[str, str], tuple[tuple[Column, Column], ...]] = {}
    by_key: set[tuple[str, str]] = set()
    for a, b in combinations(raw, 2):
        pairs = declared.get(frozenset((a, b)), [])
        shared = [(raw[a][n], raw[b][n]) for n in raw[a] if n in raw[b]]
        shared = [(x, y) for x, y in shared if x.kind == y.kind]
        keyed = [(x, y) for x, y in shared if x.in_key or y.in_key or keyless]
        pairs = pairs + [p for p in (keyed if pairs else shared if keyed else []) if p not in pairs]
        if pairs:
            first, second = sorted((pairs[0][0].table, pairs[0][1].table))
            turned = [(x, y) if x.table == first else (y, x) for x, y in pairs]
            found[first, second] = tuple(dict.fromkeys(turned))
            if frozenset((a, b)) in declared:
                by_key.add((first, second))
    return found, frozenset(by_key)


def _written(connection: sqlite3.Connection, table: str, column: str | None) -> str:
    """Return a name as SQL must write it: bare where that works, in double quotes elsewhere."""
    name = table if column is None else column
    if PLAIN.fullmatch(name) and name.lower() not in CONSTANTS:
        query = f"{_quoted(table)}.{name} FROM {_quoted(table)}" if column else f"* FROM {name}"
        try:
            connection.execute(f"SELECT {query} LIMIT 0")
        except sqlite3.OperationalError:
            return _quoted(name)
        return name
    return _quoted(name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
