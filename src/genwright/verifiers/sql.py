"""SQL checked by running it: execution equivalence, validity, and the key for execution voting.

Choose `SqlEquivalence` where a gold query is known, `SqlRuns` for the share of draws that are valid
SQL at all, and `SqlResult` as the answer of majority voting: draws that return the same table agree
however differently they are written.

Execution accuracy: Zhong, Xiong and Socher 2017, "Seq2SQL", arXiv:1709.00103 (Acc_ex).
Order only where the gold query orders, and columns in any order on request: Zhong, Yu and Klein
2020, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites", arXiv:2010.02840. Ours:
rows that tie under the gold query's ORDER BY may stand in any order where the ordering columns are
shown; floats are compared within 1e-6; a time-out is undecided rather than wrong.

Execution voting: Shi et al. 2022, "Natural Language to Code Translation with Execution",
arXiv:2204.11454, Section 3 (MBR-EXEC; with a loss of 0 for equal results and 1 for others it is
majority voting over results).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from genwright.core import Cost, Samples, Verdict, method
from genwright.core.processes import side_by_side
from genwright.verifiers._sql_compare import Row, difference, order_columns, reordered
from genwright.verifiers.sql_query import Dialect, QueryResult, Value, dialect_of, run_query

SHOWN_ROWS = 5
"""Rows of each result that the evidence keeps."""

SHOWN_TEXT = 200
"""Characters of one value, or of one key, that are kept."""


@method(paper="arXiv:1709.00103")
@dataclass(frozen=True, kw_only=True)
class SqlEquivalence:
    """Passes a query whose result equals that of the gold query.

    Results are equal as multisets of rows: column names do not matter, the order of columns does
    (unless `any_column_order`), the order of rows does where the gold query orders at its top
    level. Integers, text, blobs and NULL are compared exactly, floats within 1e-6.

    A query that the database refuses fails, with the database's message. A time-out, a gold query
    that does not run, and a gold result beyond `rows` are undecided.

    Args:
        database: path of a SQLite or DuckDB file; opened read-only in a process of its own.
        gold: the query that is known to be right.
        dialect: which engine; `"auto"` looks into the file.
        seconds: time limit of one query.
        rows: the most rows a result may have.
        any_column_order: whether the columns of a draw may stand in another order.
    """

    database: str
    gold: str
    dialect: Dialect = "auto"
    seconds: float = 5.0
    rows: int = 10_000
    any_column_order: bool = False

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Run the gold query and every draw, each distinct query once.

        Raises:
            MissingFile: there is no such database.
        """
        gold = _run(self, [self.gold])[0]
        trouble = ""
        if gold.error:
            trouble = f"the gold query does not run: {gold.error}; correct it: {self.gold}"
        elif gold.truncated:
            trouble = f"the gold query returns more than {self.rows} rows; raise rows"
        if trouble:
            return [Verdict.undecided({"reason": trouble}) for _ in samples.values]
        engine = dialect_of(self.database) if self.dialect == "auto" else self.dialect
        order = order_columns(self.gold, engine, len(gold.columns))
        return [self._judge(gold, got, order) for got in _run(self, samples.values)]

    def _judge(self, gold: QueryResult, got: QueryResult | None, order: Sequence[int]) -> Verdict:
        """Compare one result with the gold one."""
        if got is None or got.error:
            return _failed(got)
        if got.truncated:
            reason = f"more than {self.rows} rows instead of {len(gold.rows)}"
        else:
            reason = self._difference(gold, got, order)
        if not reason:
            return _timed(Verdict.ok({"rows": _shown(got.rows)}), got)
        evidence = {"reason": reason, "rows": _shown(got.rows), "gold": _shown(gold.rows)}
        return _timed(Verdict.fail(evidence), got)

    def _difference(self, gold: QueryResult, got: QueryResult, order: Sequence[int]) -> str:
        if len(got.columns) != len(gold.columns):
            return f"{len(got.columns)} columns instead of {len(gold.columns)}"
        reason = difference(gold.rows, got.rows, order)
        if not reason or not self.any_column_order:
            return reason
        others = reordered(gold.rows, got.rows)
        return "" if any(not difference(gold.rows, rows, order) for rows in others) else reason


@method(paper="")
@dataclass(frozen=True, kw_only=True)
class SqlRuns:
    """Passes a query that the database runs: its pass rate is the valid-SQL rate.

    Args:
        database: path of a SQLite or DuckDB file; opened read-only in a process of its own.
        dialect: which engine; `"auto"` looks into the file.
        seconds: time limit of one query; a time-out is undecided.
        rows: the most rows that are fetched; a query with more still passes.
    """

    database: str
    dialect: Dialect = "auto"
    seconds: float = 5.0
    rows: int = 10_000

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Run every draw, each distinct query once.

        Raises:
            MissingFile: there is no such database.
        """
        return [
            _failed(got)
            if got is None or got.error
            else _timed(Verdict.ok({"rows": _shown(got.rows)}), got)
            for got in _run(self, samples.values)
        ]


@method(paper="arXiv:2204.11454", slot="key")  # `rows` would look like the slot source
@dataclass(frozen=True, kw_only=True)
class SqlResult:
    """The result of a query as a vote: equal tables give equal keys, whatever the SQL looks like.

    A query that fails, times out or has more than `rows` rows casts no vote. The order of rows is
    ignored; floats are rounded to nine significant digits, so that sums in another order agree.

    Args:
        database: path of a SQLite or DuckDB file; opened read-only in a process of its own.
        dialect: which engine; `"auto"` looks into the file.
        seconds: time limit of one query.
        rows: the most rows a result may have.
        empty: whether a result without rows casts a vote. Wrong filters tend to return nothing, so
            False is better where every question is known to have an answer.
    """

    database: str
    dialect: Dialect = "auto"
    seconds: float = 5.0
    rows: int = 10_000
    empty: bool = True

    def __call__(self, text: Any) -> str | None:
        """Return the canonical result as short text, or None for no vote.

        Raises:
            MissingFile: there is no such database.
        """
        got = _run(self, [text])[0]
        if got is None or got.error or got.truncated or not (got.rows or self.empty):
            return None
        table = sorted(json.dumps([_rounded(value) for value in row]) for row in got.rows)
        key = f"{len(got.columns)} columns: [{', '.join(table)}]"
        if len(key) <= SHOWN_TEXT:
            return key
        digest = blake2b(key.encode(), digest_size=16).hexdigest()
        return f"{len(got.columns)} columns, {len(table)} rows: {table[0][:80]}... {digest}"

    def show(self, text: str) -> QueryResult:
        """Return the result itself, for people.

        Raises:
            MissingFile: there is no such database.
        """
        return run_query(
            self.database, text, dialect=self.dialect, seconds=self.seconds, rows=self.rows
        )


def _run(
    check: SqlEquivalence | SqlRuns | SqlResult, texts: Sequence[Any]
) -> list[QueryResult | Any]:
    """Run each distinct text once, side by side; None stands for a draw that is not text."""
    distinct = list(dict.fromkeys(text for text in texts if isinstance(text, str)))

    def run(text: str) -> QueryResult:
        return run_query(
            check.database, text, dialect=check.dialect, seconds=check.seconds, rows=check.rows
        )

    results = dict(zip(distinct, side_by_side(run, distinct), strict=True))
    return [results[text] if isinstance(text, str) else None for text in texts]


def _failed(got: QueryResult | None) -> Verdict:
    """Return the verdict on a query without a result."""
    if got is None:
        return Verdict.fail({"reason": "the draw is not text"})
    evidence = {"reason": got.error}
    return _timed(Verdict.fail(evidence) if got.decided else Verdict.undecided(evidence), got)


def _timed(verdict: Verdict, got: QueryResult) -> Verdict:
    return replace(verdict, cost=Cost(verifier_calls=1, seconds=got.seconds))


def _shown(rows: Sequence[Row]) -> list[list[Any]]:
    """Return the first rows as JSON-like data."""
    return [[_plain(value) for value in row] for row in rows[:SHOWN_ROWS]]


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return f"blob {value[: SHOWN_TEXT // 2].hex()}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value[:SHOWN_TEXT] if isinstance(value, str) else value


def _rounded(value: Value) -> Any:
    """Return a value such that results that differ by rounding alone give equal text."""
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    if isinstance(value, float) and math.isfinite(value):
        short = float(f"{value:.9g}")
        return int(short) if short.is_integer() else short
    return value
