"""Run one untrusted SQL query on a real database file: read-only, bounded, never a crash.

Choose it whenever a query was written by a model. `run_query` hands the query to a separate
process (`_sql_worker.py`, which says what is limited) and returns columns and rows, or the
database's own complaint. Results are kept in a bounded cache by file, modification time and query,
so that voting on draws and checking them runs no query twice.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genwright.core import InvalidArgument, MissingFile
from genwright.verifiers._process import NoAnswer, Processes
from genwright.verifiers._text import fenced

Dialect = Literal["auto", "sqlite", "duckdb"]
Value = None | int | float | str | bytes

GRACE = 0.5
"""Seconds the worker has beyond the limit to report a time-out itself before it is killed."""

CACHED_CELLS = 2_000_000
"""Values the cache may hold in all; the results used least recently go first."""


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """What became of a query.

    Args:
        columns: names as the database gives them.
        rows: at most the allowed number; values are None, int, float, str or bytes.
        error: the database's message, or `""` when the query ran.
        seconds: wall time it took when it ran (a cached result keeps the time of its run).
        truncated: whether the query had more rows than were allowed.
        decided: False when the time limit or a crash ended it: then neither good nor bad.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    error: str = ""
    seconds: float = 0.0
    truncated: bool = False
    decided: bool = True


def run_query(
    database: str,
    sql: str,
    *,
    dialect: Dialect = "auto",
    seconds: float = 5.0,
    rows: int = 10_000,
) -> QueryResult:
    """Run one query and return its rows, or why there are none.

    Args:
        database: path of a SQLite or DuckDB file.
        sql: one statement that reads; a code fence, a trailing semicolon and blanks are dropped.
        dialect: which engine; `"auto"` looks into the file.
        seconds: time limit of the statement.
        rows: the most rows to return.

    Raises:
        MissingFile: no such database, or a file of neither kind.
        InvalidArgument: a limit that is not positive, an unknown dialect.
        SandboxError: the process that runs queries cannot be started.
    """
    if not seconds > 0 or rows < 1:
        raise InvalidArgument(
            f"run_query: seconds and rows must be positive, got {seconds} and {rows}."
        )
    path = Path(database).resolve()
    engine = dialect_of(path) if dialect == "auto" else dialect
    if engine not in ("sqlite", "duckdb"):
        raise InvalidArgument(f"run_query: dialect must be sqlite, duckdb or auto, got {dialect}.")
    if not path.is_file():
        raise MissingFile(f"there is no database {database!r}; give the path of an existing file.")
    now = path.stat()
    query = bare_sql(sql)
    key = (str(path), now.st_mtime_ns, now.st_size, engine, query, seconds, rows)
    known = _cache.get(key)
    if known is not None:
        return known
    start = time.perf_counter()
    answer: Any
    try:
        answer = _workers.ask((str(path), engine, query, seconds, rows), seconds + GRACE)
    except NoAnswer as reason:
        late = time.perf_counter() - start > seconds
        answer = [], [], f"no answer within {seconds:g} s" if late else str(reason), False, False
    names, got, error, cut, decided = answer
    result = QueryResult(
        columns=tuple(names),
        rows=tuple(got),
        error=error,
        seconds=time.perf_counter() - start,
        truncated=cut,
        decided=decided,
    )
    _cache.put(key, result)
    return result


def bare_sql(text: str) -> str:
    r"""Return the query in a draw: the first code fence if there is one, no semicolon at the end.

    >>> bare_sql("Here it is:\n```sql\nSELECT 1;\n```")
    'SELECT 1'
    """
    inside = fenced(text)
    return (text if inside is None else inside).strip().rstrip("; \t\r\n")


def dialect_of(path: Path) -> Literal["sqlite", "duckdb"]:
    """Tell a SQLite file from a DuckDB file by its first bytes.

    Raises:
        MissingFile: there is no such file, or it is neither.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise MissingFile(
            f"the database {str(path)!r} cannot be read ({error.strerror}); "
            "give the path of a SQLite or DuckDB file."
        ) from error
    if head[8:12] == b"DUCK":
        return "duckdb"
    if head.startswith(b"SQLite format 3\0"):
        return "sqlite"
    raise MissingFile(f"{str(path)!r} is neither a SQLite nor a DuckDB file; give one of those.")


class _Cache:
    """Results by key, bounded by the number of values they hold."""

    def __init__(self) -> None:
        self.results: OrderedDict[tuple[Any, ...], QueryResult] = OrderedDict()
        self.cells = 0
        self.lock = threading.Lock()

    def get(self, key: tuple[Any, ...]) -> QueryResult | None:
        with self.lock:
            if key in self.results:
                self.results.move_to_end(key)
            return self.results.get(key)

    def put(self, key: tuple[Any, ...], result: QueryResult) -> None:
        with self.lock:
            if key not in self.results:
                self.results[key] = result
                self.cells += _cells(result)
            while self.cells > CACHED_CELLS:
                self.cells -= _cells(self.results.popitem(last=False)[1])


def _cells(result: QueryResult) -> int:
    return 16 + len(result.rows) * len(result.columns)


_workers = Processes("_sql_worker.py")
_cache = _Cache()
