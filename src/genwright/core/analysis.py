"""SQL over a ledger through DuckDB: columnar, with its window functions, quantiles and regressions.

The tables that the query names are copied into a DuckDB in memory, so that an analysis never holds
up a writer. DuckDB's own SQLite reader is a download, which a machine without a network lacks; rows
travel as JSON lines instead, which DuckDB reads out of the box.
"""

import json
import math
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.core.errors import InvalidArgument, require

if TYPE_CHECKING:
    from genwright.core.ledger import Ledger

_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE", "TEXT": "VARCHAR", "": "VARCHAR"}
_LARGEST_ROW = 2**30


def query(ledger: "Ledger", sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return the rows of a DuckDB query over the ledger's tables, as tables by column name.

    Args:
        ledger: what to read.
        sql: one query. `runs`, `calls`, `draws`, `verdicts`, `outcomes`, `items`, `metrics` and
            `learnt` are there; draws that are arrays or tensors have the value NULL (`export`
            writes them out).
        parameters: for the `?` in it.

    Raises:
        InvalidArgument: DuckDB refuses the query; the message is its own.
    """
    duckdb: Any = require("duckdb", extra="all", needed_by="Ledger.query")
    names = [
        row["name"] for row in ledger.read("SELECT name FROM sqlite_master WHERE type='table'")
    ]
    words = set(re.findall(r"\w+", sql.lower()))
    with duckdb.connect() as base, tempfile.TemporaryDirectory() as folder:
        base.execute("SET autoinstall_known_extensions = false")
        for name in names:
            if name in words:
                _copy(ledger, base, name, Path(folder) / f"{name}.jsonl")
        base.execute("SET enable_external_access = false")
        try:
            answer = base.execute(sql, list(parameters))
            columns = [column[0] for column in answer.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise InvalidArgument(f"Ledger.query: {error}") from error


def _copy(ledger: "Ledger", base: Any, name: str, path: Path) -> None:
    declared = {r["name"]: _TYPES[r["type"]] for r in ledger.read(f"PRAGMA table_info({name})")}
    with path.open("w", encoding="utf-8") as file:
        for row in ledger.read(f"SELECT * FROM {name}"):
            file.write(_line(declared, row))
    columns = ", ".join(f"{column}: '{kind}'" for column, kind in declared.items())
    base.execute(
        f"CREATE TABLE {name} AS SELECT * FROM read_json(?, format = 'newline_delimited',"
        f" maximum_object_size = {_LARGEST_ROW}, columns = {{{columns}}})",
        [str(path)],
    )


def _line(columns: Iterable[str], row: Sequence[Any]) -> str:
    return json.dumps(dict(zip(columns, map(_json, row), strict=True))) + "\n"


def _json(value: Any) -> Any:
    """Leave out what JSON lacks: bytes, and the infinite logprob of an impossible draw."""
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
