"""The ledger: one SQLite file that holds every run, draw, verdict, cost and seed.

The file is in WAL mode: many readers, one writer at a time, safe across threads and processes. A
write is a transaction that is on the disk when the call returns (`synchronous=FULL`), so that a
killed process, or a machine that loses power, loses at most what was in flight.
"""

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from genwright.core import analysis, codec
from genwright.core.environment import environment, redact
from genwright.core.errors import InvalidArgument, LedgerError, MissingFile, nearest
from genwright.core.migrations import migrate, pending
from genwright.core.run import Run, RunState

BUSY_SECONDS = 60.0
"""How long a writer waits for another one before it gives up."""


class Ledger:
    """Opens a ledger, making it first if it is not there.

    Args:
        path: the SQLite file; `":memory:"` keeps everything in this process.
        create: False to raise instead of making a new file.

    Raises:
        MissingFile: no such file (with `create=False`), or no such folder.
        LedgerError: not a ledger, written by a newer genwright, or not readable.
    """

    def __init__(self, path: str | Path = ":memory:", *, create: bool = True) -> None:
        self.path = str(path)
        self._lock = threading.RLock()  # one writer of this process at a time; SQLite does the rest
        self._local = threading.local()
        self._opened: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._inherited: list[tuple[threading.Thread, sqlite3.Connection]] = []
        _ledgers.add(self)
        self._shared = self._open() if self.path == ":memory:" else None
        if self._shared is None:
            place = Path(self.path)
            if place.is_dir():
                raise MissingFile(f"Ledger: {place} is a folder; name a file in it.")
            if not create and not place.exists():
                raise MissingFile(f"Ledger: there is no ledger at {place}; the first run makes it.")
            if not place.parent.is_dir():
                raise MissingFile(f"Ledger: there is no folder {place.parent}; make it first.")
        self._prepare()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self.path!r})"

    def _forget(self) -> None:
        """Leave inherited connections alone after a fork: closing one would harm the parent's."""
        self._lock = threading.RLock()
        self._local = threading.local()
        self._inherited, self._opened = [*self._inherited, *self._opened], []

    def close(self) -> None:
        """Close this process's connections. Everything is on the disk already."""
        with self._lock:
            for _, connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def start_run(
        self,
        name: str,
        spec: Mapping[str, Any],
        seed: int,
        run_id: str | None = None,
        parent: str | None = None,
    ) -> Run:
        """Record a new run in state running.

        Args:
            name: for people; need not be unique.
            spec: what runs, JSON-like: `describe()` of generator, strategy and so on. Whatever
                looks like a key or a password is left out.
            seed: the seed of the run.
            run_id: ten random hex digits where it is left out.
            parent: the run that this one belongs to or continues.

        Raises:
            InvalidArgument: the id is taken, or the seed does not fit 64 bits.
        """
        if not -(2**63) <= seed < 2**63:
            raise InvalidArgument(f"Ledger: a seed must fit in 64 bits, got {seed}.")
        run_id = run_id or new_id()
        row = (run_id, name, time.time(), codec.dumps(redact(spec), lossy=True), seed)
        with self.write() as connection:
            if connection.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
                raise InvalidArgument(f"Ledger: there is a run {run_id!r} already; resume it.")
            connection.execute(
                "INSERT INTO runs (id, name, created, spec, seed, state, environment, parent)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, RunState.RUNNING.value, codec.dumps(environment()), parent),
            )
        return self.run(run_id)

    def run(self, run_id: str) -> Run:
        """Return the run whose id is, or uniquely starts with, `run_id`.

        Raises:
            InvalidArgument: no run, or several; the message names the nearest.
        """
        ids: list[str] = [row["id"] for row in self.read("SELECT id FROM runs ORDER BY created")]
        found = [i for i in ids if i == run_id] or [
            i for i in ids if run_id and i.startswith(run_id)
        ]
        if len(found) == 1:
            (row,) = self.read("SELECT * FROM runs WHERE id = ?", found)
            return Run.of(self, row)
        if found:
            raise InvalidArgument(f"{run_id!r} fits several runs: {', '.join(found)}.")
        latest = f" The latest run is {ids[-1]!r}." if ids else " The ledger holds no run."
        raise InvalidArgument(f"no run is called {run_id!r}.{nearest(run_id, ids) or latest}")

    def runs(self) -> list[Run]:
        """Return every run, oldest first."""
        rows = self.read("SELECT * FROM runs ORDER BY created, rowid")
        return [Run.of(self, row) for row in rows]

    def recall(self, name: str) -> list[tuple[bytes, bytes]]:
        """Return what generators left under a name, as (key, value) pairs."""
        rows = self.read("SELECT key, value FROM learnt WHERE name = ?", (name,))
        return [(row["key"], row["value"]) for row in rows]

    def remember(self, name: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep what a generator learnt; a key that is there already stays as it is."""
        now = time.time()
        rows = [(name, key, value, now) for key, value in records]
        if rows:
            with self.write() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO learnt (name, key, value, created) VALUES (?, ?, ?, ?)",
                    rows,
                )

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of one SQLite query."""
        with self._translated(), self._lock if self._shared else nullcontext():
            return self._connection().execute(sql, parameters).fetchall()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of one DuckDB query over the ledger's tables (`core/analysis.py`)."""
        return analysis.query(self, sql, parameters)

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Hold the write lock for one transaction; on the disk when the block is left.

        Raises:
            LedgerError: the disk is full, the file is read-only or damaged, or another process
                held the lock for a minute. Nothing of the transaction is kept then.
        """
        with self._lock, self._translated():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        if self._shared is not None:
            return self._shared
        if not hasattr(self._local, "connection"):
            self._local.connection = self._open()
        return self._local.connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        with self._lock:
            for thread, old in self._opened:
                if not thread.is_alive():
                    old.close()
            self._opened = [pair for pair in self._opened if pair[0].is_alive()]
            self._opened.append((threading.current_thread(), connection))
        return connection

    def _prepare(self) -> None:
        """Bring the file to this program's schema."""
        with self._translated():
            connection = self._connection()
            if not pending(connection):
                return
            _use_wal(connection)
        with self.write() as connection:
            migrate(connection)

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(f"Ledger {self.path}: {_explain(error)}") from error
        except LedgerError as error:
            if str(error).startswith("Ledger "):
                raise
            raise LedgerError(f"Ledger {self.path}: {error}") from error


def new_id() -> str:
    """Return ten random hex digits: the id of a run. Nothing that is drawn depends on it."""
    return secrets.token_hex(5)


_ledgers: WeakSet[Ledger] = WeakSet()


def _after_fork() -> None:
    for ledger in _ledgers:
        ledger._forget()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode. Two processes that make one file at once may have to take turns."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with closing(connection.execute("PRAGMA journal_mode = WAL")):
                return
        except sqlite3.OperationalError as error:  # the busy timeout does not cover this pragma
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


_EXPLANATIONS = {
    "SQLITE_FULL": "the disk is full; make room and resume. What was recorded is kept",
    "SQLITE_IOERR": "the disk cannot be written or read; what was recorded is kept",
    "SQLITE_READONLY": "it cannot be written; see to its permissions, or copy it elsewhere",
    "SQLITE_NOTADB": "it is not a SQLite file; choose another path",
    "SQLITE_CORRUPT": "it is damaged; restore a copy, or try: sqlite3 FILE .recover",
    "SQLITE_BUSY": f"another process held it for {BUSY_SECONDS:.0f} s; try again",
    "SQLITE_CANTOPEN": "it cannot be opened; see to the permissions of the file and its folder",
}


def _explain(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    known = (text for code, text in _EXPLANATIONS.items() if name.startswith(code))
    return f"{next(known, 'SQLite refused')} ({error})."
