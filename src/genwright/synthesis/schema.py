"""What questions can be asked of a database: its tables, the roles of their columns, their joins.

A column is a key, a category (few values, each in several rows), a measure (a number worth
averaging) or a label (a text that names its row). Roles come from the declared keys and from the
values themselves, because declared types of SQLite columns promise little.

Joins come from the declared foreign keys; a database that declares none joins a column to the
single-column primary key of the same name in another table. Ours.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genwright.verifiers.sql_query import dialect_of

Role = Literal["key", "category", "measure", "label", "other"]
Ask = Callable[[str], list[tuple[Any, ...]]]

CATEGORIES = 40
"""The most values of a category."""

SAMPLE = 4000
"""The most distinct values that are looked at."""

LONGEST = 40
"""Characters of the longest text that a question quotes."""

SAYABLE = 0.9
"""The least share of a text column's values that a question can quote."""

IDENTITY = re.compile(
    r"(^|[_ ])(id|key|code|zip|phone|fax|number|no|year|url)$|ID$|Id$|Year$", re.I
)
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset({"current_date", "current_time", "current_timestamp", "null", "true", "false"})


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its name as SQL writes it and as people say it, its role, some of its values.

    Args:
        written: quoted where SQL needs it.
        said: lower-case words.
        role: what questions may do with it.
        values: distinct values in order, at most 4000; none for keys.
        nulls: how many rows have none.
    """

    written: str
    said: str
    role: Role
    values: tuple[Any, ...]
    nulls: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: name as SQL writes it and as people say it, number of rows, columns."""

    name: str
    written: str
    said: str
    rows: int
    columns: tuple[Column, ...]

    def having(self, role: Role) -> list[Column]:
        """The columns of one role."""
        return [column for column in self.columns if column.role == role]


@dataclass(frozen=True, kw_only=True)
class Join:
    """Each row of `child` belongs to a row of `parent`: child.key = parent.target."""

    child: Table
    key: str
    parent: Table
    target: str


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The tables that hold two rows or more, and how they join."""

    tables: tuple[Table, ...]
    joins: tuple[Join, ...]


def read_schema(database: str | Path) -> Schema:
    """Read tables, roles and joins of a SQLite or DuckDB file.

    Raises:
        MissingFile: no such file, or neither kind.
    """
    with _asking(str(database)) as (ask, dialect):
        listed = _sqlite_columns(ask) if dialect == "sqlite" else _duckdb_columns(ask)
        links = _sqlite_links(ask, listed) if dialect == "sqlite" else _duckdb_links(ask)
        if not links:
            links = _links_by_name(listed)
        keys = {(table, column) for table, column, *_ in links}
        keys |= {(table, column) for table, names in listed.items() for column, k in names if k}
        tables = [
            _table(ask, name, [c for c, _ in columns], keys) for name, columns in listed.items()
        ]
        by_name = {table.name: table for table in tables if table.rows > 1}
        joins = tuple(
            Join(
                child=by_name[child],
                key=_written(ask, child, key),
                parent=by_name[parent],
                target=_written(ask, parent, target),
            )
            for child, key, parent, target in links
            if child in by_name and parent in by_name and child != parent
        )
    return Schema(tables=tuple(by_name.values()), joins=joins)


@contextmanager
def _asking(database: str) -> Iterator[tuple[Ask, str]]:
    """Open a database read-only; yield a function that asks it, and its dialect."""
    dialect = dialect_of(database)
    if dialect == "sqlite":
        uri = f"{Path(database).resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            yield lambda query: connection.execute(query).fetchall(), dialect
    else:
        import duckdb

        with duckdb.connect(database, read_only=True) as connected:
            yield lambda query: connected.execute(query).fetchall(), dialect


def _sqlite_columns(ask: Ask) -> dict[str, list[tuple[str, bool]]]:
    names = ask(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    return {
        str(name): [(str(r[1]), bool(r[5])) for r in ask(f"PRAGMA table_info({quoted(name)})")]
        for (name,) in names
    }


def _sqlite_links(
    ask: Ask, listed: dict[str, list[tuple[str, bool]]]
) -> list[tuple[str, str, str, str]]:
    names = {name.lower(): name for name in listed}
    links = list[tuple[str, str, str, str]]()
    for table in listed:
        for row in ask(f"PRAGMA foreign_key_list({quoted(table)})"):
            parent = names.get(str(row[2]).lower(), "")
            keys = [column for column, key in listed.get(parent, ()) if key]
            target = row[4] or (keys[0] if keys else None)
            if parent and target:
                links.append((table, str(row[3]), parent, str(target)))
    return links


def _duckdb_columns(ask: Ask) -> dict[str, list[tuple[str, bool]]]:
    keys = {
        (table, column)
        for table, column in ask(
            "SELECT table_name, UNNEST(constraint_column_names) FROM duckdb_constraints()"
            " WHERE constraint_type = 'PRIMARY KEY'"
        )
    }
    listed: dict[str, list[tuple[str, bool]]] = {}
    for table, column in ask(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
        " AND schema_name = 'main' ORDER BY table_name, column_index"
    ):
        listed.setdefault(table, []).append((column, (table, column) in keys))
    return listed


def _duckdb_links(ask: Ask) -> list[tuple[str, str, str, str]]:
    return [
        (str(a), str(b), str(c), str(d))
        for a, b, c, d in ask(
            "SELECT table_name, constraint_column_names[1], referenced_table,"
            " referenced_column_names[1] FROM duckdb_constraints()"
            " WHERE constraint_type = 'FOREIGN KEY'"
        )
    ]


def _links_by_name(listed: dict[str, list[tuple[str, bool]]]) -> list[tuple[str, str, str, str]]:
    """Join columns to the primary key of the same name; without primary keys nothing is joined."""
    single = {
        keys[0].lower(): (table, keys[0])
        for table, columns in listed.items()
        if len(keys := [column for column, key in columns if key]) == 1 and keys[0].lower() != "id"
    }
    return [
        (table, column, *single[column.lower()])
        for table, columns in listed.items()
        for column, _ in columns
        if column.lower() in single and single[column.lower()][0] != table
    ]


def _table(ask: Ask, name: str, columns: list[str], keys: set[tuple[str, str]]) -> Table:
    rows = int(ask(f"SELECT COUNT(*) FROM {quoted(name)}")[0][0])
    return Table(
        name=name,
        written=_written(ask, name),
        said=said(name),
        rows=rows,
        columns=tuple(
            _column(ask, name, column, (name, column) in keys, rows) for column in columns
        ),
    )


def _column(ask: Ask, table: str, name: str, key: bool, rows: int) -> Column:
    column, source = quoted(name), quoted(table)
    values = tuple(
        value
        for (value,) in ask(
            f"SELECT DISTINCT {column} FROM {source} WHERE {column} IS NOT NULL"
            f" ORDER BY 1 LIMIT {SAMPLE}"
        )
    )
    nulls = int(ask(f"SELECT COUNT(*) FROM {source} WHERE {column} IS NULL")[0][0])
    role = "key" if key else _role(name, values, rows)
    return Column(
        written=_written(ask, table, name),
        said=said(name),
        role=role,
        values=() if key else tuple(v for v in values if _sayable(v)),
        nulls=nulls,
    )


def _role(name: str, values: tuple[Any, ...], rows: int) -> Role:
    """Tell from name and values what a column that is no key is good for."""
    few = 2 <= len(values) <= CATEGORIES and 2 * len(values) <= rows
    if values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        if IDENTITY.search(name):
            return "category" if few and re.search("year", name, re.I) else "other"
        return "measure" if len(values) > 5 else "category" if few else "other"
    if not values or not all(
        isinstance(v, str) and v.strip() and len(v) <= LONGEST for v in values
    ):
        return "other"
    if re.search(r"date|time|phone|fax|zip|postal|url|mail", name, re.I):
        return "other"
    return "category" if few else "label" if 2 * len(values) > rows else "other"


def _sayable(value: Any) -> bool:
    """Whether a question can quote a value: a number, or a short text on one line."""
    if isinstance(value, str):
        return bool(value.strip()) and len(value) <= LONGEST and value.isprintable()
    return isinstance(value, int | float)


def _written(ask: Ask, table: str, column: str | None = None) -> str:
    """Return a name as SQL must write it: bare where that works, in double quotes elsewhere."""
    name = table if column is None else column
    if PLAIN.fullmatch(name) and name.lower() not in RESERVED:
        source = quoted(table)
        try:
            ask(
                f"SELECT {source}.{name} FROM {source} LIMIT 0"
                if column
                else f"SELECT * FROM {name} LIMIT 0"
            )
        except Exception:  # sqlite3's and duckdb's syntax errors share no base class
            return quoted(name)
        return name
    return quoted(name)


def quoted(name: str) -> str:
    """Return an identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def said(name: str) -> str:
    """Say a name in words: `SupportRepId` is `support rep id`, `Order Details` `order details`."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.split(r"[\W_]+", split.strip())).strip().lower()
