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
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from genwright.core import InvalidArgument, MissingFile
from genwright.core.processes import START_SECONDS, NoAnswer, Processes
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
    database: str | Path,
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
    if dialect not in ("sqlite", "duckdb", "auto"):
        raise InvalidArgument(f"run_query: dialect must be sqlite, duckdb or auto, got {dialect}.")
    engine = dialect_of(database) if dialect == "auto" else dialect
    path = Path(database).resolve()
    query = bare_sql(sql)
    key = (str(path), _state(path), engine, query, seconds, rows)
    known = _cache.get(key)
    if known is not None:
        return known
    start = time.perf_counter()
    answer: Any
    try:
        answer = _workers.ask(("run", str(path), engine, query, seconds, rows), seconds + GRACE)
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
    if decided or result.seconds >= seconds:  # a locked file or a crash may be over next time
        _cache.put(key, result)
    return result


def bare_sql(text: str) -> str:
    r"""Return the query in a draw: the first code fence if there is one, no semicolon at the end.

    >>> bare_sql("Here it is:\n```sql\nSELECT 1;\n```")
    'SELECT 1'
    """
    inside = fenced(text)
    return (text if inside is None else inside).strip().rstrip("; \t\r\n")


def dialect_of(database: str | Path) -> Literal["sqlite", "duckdb"]:
    """Tell a SQLite file from a DuckDB file by its first bytes.

    Raises:
        MissingFile: there is no such file, or it is neither.
    """
    path = Path(database).resolve()
    if not path.is_file():
        raise MissingFile(
            f"there is no database {str(database)!r}; give the path of a SQLite or DuckDB file."
        )
    found = _first_bytes(path, path.stat().st_ino)
    if found[8:12] == b"DUCK":
        return "duckdb"
    if found == b"SQLite format 3\0":
        return "sqlite"
    raise MissingFile(
        f"{str(database)!r} is neither a SQLite nor a DuckDB file; give one of those."
    )


@lru_cache(maxsize=256)
def _first_bytes(path: Path, _inode: int) -> bytes:
    """Read in the other process: closing a file here would drop the locks that SQLite holds here.

    POSIX locks belong to the process, so a connection of our own to the same file would lose its.
    """
    return _workers.ask(("head", str(path)), GRACE + START_SECONDS)


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when the database does; in WAL mode that is the log beside it."""
    state: list[int] = []
    for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + ".wal")):
        if file.exists():
            now = file.stat()
            state += [now.st_ino, now.st_mtime_ns, now.st_size]
    return tuple(state)


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


# DuckDB alone reserves more than one gibibyte of addresses.
_workers = Processes(Path(__file__).with_name("_sql_worker.py"), mebibytes=4096)
_cache = _Cache()
