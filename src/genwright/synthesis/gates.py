"""Gates for synthesized questions whose answer is a query: what the result must be to be of use.

A query that fails, returns nothing, NULL alone or a single zero teaches nothing, and worse: any
wrong query that also returns nothing would pass for right. A query that cuts an order off where two
rows are equal, or where what is ordered by is NULL, has no one right answer.

Ours; TemplateGSM (arXiv:2411.18104) keeps whatever runs.
"""

from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from genwright.core import Samples, Verdict, method
from genwright.verifiers.sql_query import dialect_of, run_query

SECONDS = 5.0


def fault(database: str, sql: str) -> str | None:
    """Return why a query is no good answer, or None when it is one.

    Args:
        database: path of a SQLite or DuckDB file.
        sql: the query.
    """
    result = run_query(database, sql, seconds=SECONDS, rows=1000)
    if result.error:
        return "slow" if not result.decided else f"failed: {result.error}"
    if not result.rows:
        return "no rows"
    if all(value is None for row in result.rows for value in row):
        return "only NULL"
    if len(result.rows) == 1 and set(result.rows[0]) == {0}:
        return "zero"
    return _cut_badly(database, sql) if "LIMIT" in sql.upper() else None


def _cut_badly(database: str, sql: str) -> str | None:
    """Say whether `ORDER BY x LIMIT k` cuts between equals, or orders by a NULL it keeps."""
    dialect = dialect_of(database)
    query = sqlglot.parse_one(sql, read=dialect)
    order, limit, offset = (query.args.get(part) for part in ("order", "limit", "offset"))
    if order is None or limit is None:
        return None
    first = int(offset.expression.name) if offset else 0
    last = first + int(limit.expression.name)
    keys = [ordered.this.copy() for ordered in order.expressions]
    wider = query.copy()
    wider.set("offset", None)
    wider.set("limit", exp.Limit(expression=exp.Literal.number(last + 1)))
    wider.set("expressions", [*wider.expressions, *keys])  # DISTINCT must still see its columns
    rows = run_query(database, wider.sql(dialect), seconds=SECONDS).rows
    ranks = [row[-len(keys) :] for row in rows]
    if any(value is None for rank in ranks[first:last] for value in rank):
        return "ordered by NULL"
    tied = any(ranks[edge - 1] == ranks[edge] for edge in (first, last) if 0 < edge < len(ranks))
    return "tie at the limit" if tied else None


@method(paper="arXiv:2411.18104")
@dataclass(frozen=True, kw_only=True)
class AnswersSomething:
    """Pass queries that run and whose result is neither empty, trivial nor a matter of luck.

    Args:
        database: path of a SQLite or DuckDB file.
    """

    database: str

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Judge items (by their `answer`) or plain queries; the evidence is the reason."""
        reasons = [
            fault(self.database, getattr(value, "answer", value)) for value in samples.values
        ]
        return [
            Verdict.ok()
            if reason is None
            else Verdict.undecided(reason)
            if reason == "slow"
            else Verdict.fail(reason)
            for reason in reasons
        ]
