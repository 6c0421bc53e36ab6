"""Untrusted SQL, read-only and within limits; a process of its own runs it (`_process_loop.py`).

What bounds a query:

- its statement may read tables and call functions, nothing else (SQLite: an authorizer that
  refuses every other action; DuckDB: one SELECT, no external access, locked configuration);
- the time limit is kept inside by a progress handler or an interrupt, and outside by the parent,
  which kills this process when a single instruction of the engine outlasts the limit;
- the engine's memory, this process's address space, the size of files it writes, the length of
  one value, and the rows and bytes of a result are limited.
"""

import contextlib
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENGINE_BYTES = 256 << 20
"""Heap of the engine: sorts, hash tables and temporary tables live there, never on disk."""

VALUE_BYTES = 4_000_000
"""The longest text or blob that SQLite may build."""

RESULT_BYTES = 64 << 20
"""What a result may hold, so that neither this process nor its parent swells."""

LOCK_SECONDS = 0.25
"""How long to wait for a writer: less than the parent's patience beyond the time limit."""

OPCODES = 20_000
"""SQLite instructions between two looks at the clock: well below a millisecond."""

_READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_FORBIDDEN = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}

_open: dict[tuple[str, str, int, int], Any] = {}

Answer = tuple[list[str], list[tuple[Any, ...]], str, bool, bool]
"""Columns, rows, error, whether the rows were cut, whether the engine came to an end by itself."""


def answer(what: str, *arguments: Any) -> Any:
    """Answer ("run", database, dialect, sql, seconds, rows) or ("head", database)."""
    return {"run": run, "head": head}[what](*arguments)


def head(database: str) -> bytes:
    """Return the bytes that tell what kind of file it is."""
    try:
        with Path(database).open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


def run(database: str, dialect: str, sql: str, seconds: float, rows: int) -> Answer:
    """Run one query; whatever happens is part of the answer."""
    engine, connect = (
        (_run_duckdb, _open_duckdb) if dialect == "duckdb" else (_run_sqlite, _open_sqlite)
    )
    try:
        connection = _connection(database, dialect, connect)
    except Exception as error:  # locked, damaged, vanished: no fault of the query
        return [], [], f"the database cannot be opened: {error}", False, False
    deadline = time.monotonic() + seconds
    try:
        return engine(connection, sql, deadline, rows)
    except MemoryError:
        return [], [], "out of memory", False, True
    except Exception as error:  # every complaint of an engine is the answer to a draw
        late = time.monotonic() >= deadline and "interrupt" in str(error).lower()
        busy = "database is locked" in str(error)
        message = f"no answer within {seconds:g} s" if late else str(error)
        return [], [], message, False, not late and not busy


def _run_sqlite(connection: sqlite3.Connection, sql: str, deadline: float, rows: int) -> Answer:
    connection.set_progress_handler(lambda: time.monotonic() > deadline, OPCODES)
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
        if cursor.description is None:
            return [], [], "not a query: it returns no table", False, True
        names = [column[0] for column in cursor.description]
        got, cut = _gather(cursor.fetchmany, rows)
        return names, got, "", cut, True
    finally:
        cursor.close()


def _open_sqlite(path: Path) -> sqlite3.Connection:
    address = f"{path.as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=LOCK_SECONDS)
    connection.text_factory = _text
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA hard_heap_limit = {ENGINE_BYTES}")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # is it a database at all?
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000)
    connection.set_authorizer(_authorize)
    return connection


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Allow reading and calling functions; name the rest 'not authorized'."""
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        return sqlite3.SQLITE_OK  # json_each asks for it; the file itself is open for reading only
    if action not in _READS or (action == sqlite3.SQLITE_FUNCTION and second in _FORBIDDEN):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _run_duckdb(connection: Any, sql: str, deadline: float, rows: int) -> Answer:
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        return [], [], "not a query: one SELECT statement is allowed", False, True
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), connection.interrupt)
    timer.start()
    try:
        connection.execute(statements[0])
        names = [column[0] for column in connection.description]
        got, cut = _gather(connection.fetchmany, rows)
    finally:
        timer.cancel()
    return names, [tuple(_plain(value) for value in row) for row in got], "", cut, True


def _open_duckdb(path: Path) -> Any:
    import duckdb

    settings: dict[str, Any] = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{ENGINE_BYTES >> 20}MiB",
        "max_temp_directory_size": "0KiB",
        "threads": "1",
        "lock_configuration": "true",
    }
    return duckdb.connect(str(path), read_only=True, config=settings)


def _plain(value: Any) -> Any:
    """Turn what DuckDB returns into numbers, text and bytes, as SQLite would have stored it."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _connection(database: str, dialect: str, connect: Callable[[Path], Any]) -> Any:
    """Return a connection to the file as it is now; a replaced file gets a new one."""
    path = Path(database)
    now = path.stat()
    key = (database, dialect, now.st_ino, now.st_mtime_ns)
    if key not in _open:
        for old in [k for k in _open if k[0] == database] + list(_open)[: max(0, len(_open) - 7)]:
            with contextlib.suppress(KeyError):
                _open.pop(old).close()
        _open[key] = connect(path)
    return _open[key]


def _gather(
    fetch: Callable[[int], list[tuple[Any, ...]]], rows: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """Fetch at most `rows` rows, and tell whether there were more."""
    got: list[tuple[Any, ...]] = []
    size = 0
    while batch := fetch(min(256, rows + 1 - len(got))):
        got += batch
        size += sum(sys.getsizeof(value) for row in batch for value in row)
        if size > RESULT_BYTES:
            raise MemoryError
        if len(got) > rows:
            return got[:rows], True
    return got, False
