"""How the ledger's schema grows: named steps, applied in order, each recorded as it is applied.

A step that was ever released is never edited; a change is a new step at the end. A ledger that
holds a step unknown here was written by a newer genwright, and is left alone.
"""

import sqlite3
import time
from collections.abc import Callable

from genwright.core.cost import AMOUNTS
from genwright.core.errors import LedgerError

APPLICATION_ID = 0x67656E77
"""Marks a SQLite file as a ledger ("genw"), so that no other database is ever written to."""

_COST = """
    draws INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    new_tokens INTEGER NOT NULL DEFAULT 0,
    network_evaluations INTEGER NOT NULL DEFAULT 0,
    verifier_calls INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    money REAL NOT NULL DEFAULT 0,
    joules REAL NOT NULL DEFAULT 0,
    joules_by TEXT NOT NULL DEFAULT ''"""

COST_COLUMNS = (*AMOUNTS, "joules_by")
"""The columns that hold a `Cost`, named as its fields."""


def _runs_and_draws(connection: sqlite3.Connection) -> None:
    """The first schema. Times are seconds since 1970, UTC."""
    for statement in (
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, created REAL NOT NULL, ended REAL,
            spec TEXT NOT NULL, seed INTEGER NOT NULL, state TEXT NOT NULL,
            message TEXT NOT NULL DEFAULT '', environment TEXT NOT NULL,
            parent TEXT REFERENCES runs (id))""",
        """CREATE TABLE calls (
            run TEXT NOT NULL REFERENCES runs (id), task TEXT NOT NULL, call TEXT NOT NULL,
            prompt TEXT NOT NULL, seed TEXT NOT NULL, steering TEXT NOT NULL,
            PRIMARY KEY (run, task, call)) WITHOUT ROWID""",
        f"""CREATE TABLE draws (
            id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id), task TEXT NOT NULL,
            call TEXT NOT NULL, idx INTEGER NOT NULL, value, kind TEXT NOT NULL,
            stacked INTEGER NOT NULL, digest TEXT NOT NULL, logprob REAL, info TEXT NOT NULL,
            {_COST}, created REAL NOT NULL, UNIQUE (run, task, call, idx))""",
        f"""CREATE TABLE verdicts (
            id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id), task TEXT NOT NULL,
            verifier TEXT NOT NULL, digest TEXT NOT NULL, passed INTEGER, score REAL,
            evidence TEXT NOT NULL, {_COST}, created REAL NOT NULL,
            UNIQUE (run, task, verifier, digest))""",
        f"""CREATE TABLE outcomes (
            run TEXT NOT NULL REFERENCES runs (id), task TEXT NOT NULL, prompt TEXT NOT NULL,
            data TEXT NOT NULL, chosen INTEGER REFERENCES draws (id), other TEXT,
            samples TEXT NOT NULL, stop TEXT NOT NULL, passed INTEGER, score REAL, verdict TEXT,
            info TEXT NOT NULL, {_COST}, created REAL NOT NULL, PRIMARY KEY (run, task))""",
    ):
        connection.execute(statement)


def _items_and_metrics(connection: sqlite3.Connection) -> None:
    """What synthesis made, split by split, and what learning and measuring printed."""
    for statement in (
        """CREATE TABLE items (
            id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id), split TEXT NOT NULL,
            key TEXT NOT NULL, data TEXT NOT NULL, created REAL NOT NULL,
            UNIQUE (run, split, key))""",
        """CREATE TABLE metrics (
            id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id), name TEXT NOT NULL,
            step INTEGER NOT NULL, value REAL, created REAL NOT NULL)""",
        "CREATE INDEX metrics_by_name ON metrics (run, name, step)",
    ):
        connection.execute(statement)


def _learnt(connection: sqlite3.Connection) -> None:
    """What generators learnt while they drew (`Memory`); no draw depends on it."""
    connection.execute(
        """CREATE TABLE learnt (
            name TEXT NOT NULL, key NOT NULL, value NOT NULL, created REAL NOT NULL,
            PRIMARY KEY (name, key)) WITHOUT ROWID"""
    )


MIGRATIONS: tuple[tuple[str, Callable[[sqlite3.Connection], None]], ...] = (
    ("runs_and_draws", _runs_and_draws),
    ("items_and_metrics", _items_and_metrics),
    ("learnt", _learnt),
)
"""Append only."""


def pending(connection: sqlite3.Connection) -> list[tuple[str, Callable[..., None]]]:
    """Return the steps that this database still lacks.

    Raises:
        LedgerError: another program's database, or a ledger of a newer genwright.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return list(MIGRATIONS)
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID or "migrations" not in tables:
        raise LedgerError(
            "it is a SQLite database, but not a genwright ledger; choose another path."
        )
    applied = [name for (name,) in connection.execute("SELECT name FROM migrations ORDER BY step")]
    known = [name for name, _ in MIGRATIONS]
    if applied != known[: len(applied)]:
        newer = next(iter([name for name in applied if name not in known]), applied[-1])
        raise LedgerError(
            f"it was written by a newer genwright (it has the schema step {newer!r}); "
            "pip install --upgrade genwright."
        )
    return list(MIGRATIONS[len(applied) :])


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is pending. The caller holds the write transaction."""
    steps = pending(connection)
    if len(steps) == len(MIGRATIONS):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE migrations (step INTEGER PRIMARY KEY, name TEXT UNIQUE, applied REAL)"
        )
    for name, apply in steps:
        apply(connection)
        connection.execute(
            "INSERT INTO migrations (name, applied) VALUES (?, ?)", (name, time.time())
        )
