"""A database that one's own queries are asked of, read-only: templates are checked against it.

For queries a model wrote, use `genwright.verifiers.sql`, which trusts nobody; the queries here come
from templates, and only slowness is guarded against.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any, Self

from genwright.core import MissingFile

TIMEOUT = 5.0
ROWS = 1000


class Database:
    """An open SQLite or DuckDB file; a context manager.

    Raises:
        MissingFile: there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise MissingFile(f"There is no database {self.path}; check the path.")
        self.is_sqlite = self.path.open("rb").read(15) == b"SQLite format 3"
        self._connection: Any
        if self.is_sqlite:
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True)
            self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        else:
            import duckdb

            self._connection = duckdb.connect(str(self.path), read_only=True)
        self._known: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return up to 1000 rows; SQLite queries end after 5 seconds.

        Raises:
            sqlite3.Error, duckdb.Error: the query is wrong or took too long.
        """
        if self.is_sqlite:
            deadline = time.monotonic() + TIMEOUT
            self._connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        return self._connection.execute(sql).fetchmany(ROWS)

    def trivial(self, sql: str) -> str | None:
        """Return why the result of a query teaches nothing, or None when it has something to say.

        A query that fails, no rows, rows of NULL alone, or a single zero are trivial.
        """
        if sql not in self._known:
            self._known[sql] = self._look(sql)
        return self._known[sql]

    def _look(self, sql: str) -> str | None:
        try:
            rows = self.rows(sql)
        except Exception as error:  # sqlite3's and duckdb's errors share no base class
            return f"failed: {error}"
        if not rows:
            return "no rows"
        if all(value is None for row in rows for value in row):
            return "only NULL"
        return "zero" if len(rows) == 1 and set(rows[0]) == {0} else None
