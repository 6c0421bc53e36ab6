"""What a ledger hands out: JSONL and Parquet files, a comparison of two runs, rows for analysis.

A row of an exported file is a draw with its verdict and what became of its task; every column has
one type, so that `datasets.load_dataset("json" | "parquet", data_files=...)` reads it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from genwright.core import codec
from genwright.core.errors import InvalidArgument, MissingFile, require
from genwright.core.migrations import COST_COLUMNS
from genwright.core.run import Run
from genwright.core.training_export import FORMS, Form, training_rows

_TEXT = ("run", "name", "task", "prompt", "data", "call", "asked", "value", "kind")
_JUDGED = ("passed", "score", "evidence")
COLUMNS = (*_TEXT, "idx", "logprob", "info", *COST_COLUMNS, *_JUDGED, "chosen", "stop", "created")
"""The columns of an exported file. `prompt` is the task's and `asked` the call's, texts as they are
and all else as JSON; so is `value`, with `kind` to tell. `passed` is null where nobody checked or
the verifier could not decide."""

_ROWS = f"""
SELECT d.id, d.run, r.name, d.task, o.prompt, o.data, d.call, c.prompt AS asked, d.value, d.kind,
    d.idx, d.logprob, d.info, {", ".join(f"d.{name}" for name in COST_COLUMNS)},
    v.passed, v.score, v.evidence, o.chosen IS d.id AS chosen, o.stop, d.created
FROM draws d JOIN runs r ON r.id = d.run
LEFT JOIN calls c ON c.run = d.run AND c.task = d.task AND c.call = d.call
LEFT JOIN outcomes o ON o.run = d.run AND o.task = d.task
LEFT JOIN verdicts v ON v.id = (
    SELECT max(id) FROM verdicts w
    WHERE w.run = d.run AND w.task = d.task AND w.digest = d.digest)
WHERE d.run = ? AND d.id > ? ORDER BY d.id LIMIT 1000"""


def rows(run: Run) -> Iterator[dict[str, Any]]:
    """Yield one table a draw, with `COLUMNS` as its keys, in the order of recording."""
    last = 0
    while True:
        found = run.ledger.read(_ROWS, (run.id, last))
        for row in found:
            yield _row(dict(row))
        if not found:
            return
        last = found[-1]["id"]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("prompt", "asked"):
        if row[name] is not None:
            value = codec.loads(row[name])
            row[name] = value if isinstance(value, str) else row[name]
    if isinstance(row["value"], bytes):
        row["value"] = codec.dumps(codec.decode(row["kind"], row["value"]))
    row["chosen"] = bool(row["chosen"])
    row["passed"] = None if row["passed"] is None else bool(row["passed"])
    return {name: row[name] for name in COLUMNS}


def export(runs: Run | Sequence[Run], path: str | Path, form: Form = "draws") -> int:
    """Write the draws of one run or several to a `.jsonl` or `.parquet` file; return how many rows.

    The file appears when it is complete; one that was there is replaced.

    Args:
        runs: whose draws.
        path: the file.
        form: `"draws"` for every draw with `COLUMNS`, or what TRL trains on (`training_export`).

    Raises:
        InvalidArgument: another ending or form, or a form of TRL's that has no row in these runs.
        MissingFile: no such folder.
        MissingExtra: Parquet without pyarrow (`genwright[data]`).
    """
    path = Path(path)
    writers = {".jsonl": _write_jsonl, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise InvalidArgument(f"export: {path.name!r} must end in .jsonl or .parquet.")
    if not path.parent.is_dir():
        raise MissingFile(f"export: there is no folder {path.parent}; make it first.")
    if form not in FORMS:
        raise InvalidArgument(f"export: form must be one of {', '.join(FORMS)}, got {form!r}.")
    count = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for run in [runs] if isinstance(runs, Run) else runs:
            for row in rows(run) if form == "draws" else training_rows(run, form):
                count += 1
                yield row
        if form != "draws" and not count:
            raise InvalidArgument(f"export: {_NONE[form]}, so there is nothing to train on.")

    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        writers[path.suffix](counted(), part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _write_jsonl(table: Iterator[dict[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in table:
            # The logprob of an impossible draw is minus infinity, which JSON lacks.
            finite = {k: None if v in _INFINITE else v for k, v in row.items()}
            file.write(json.dumps(finite, allow_nan=False) + "\n")


_INFINITE = (float("inf"), float("-inf"))
_NONE = {
    "sft": "no draw passed",
    "preference": "no task has a draw that passed and one that failed",
    "reward": "no draw was judged",
}


def _write_parquet(table: Iterator[dict[str, Any]], path: Path) -> None:
    arrow: Any = require("pyarrow", extra="data", needed_by="Parquet export")
    parquet: Any = require("pyarrow.parquet", extra="data", needed_by="Parquet export")
    real = {"logprob", "score", "created", "seconds", "money", "joules"}
    truth = {"passed", "chosen"}
    whole = {"idx", *COST_COLUMNS} - real - {"joules_by"}
    kinds = {n: arrow.float64() for n in real} | {n: arrow.bool_() for n in truth}
    kinds |= {n: arrow.int64() for n in whole}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    first = next(table, None)
    if first is not None and first.keys() != set(COLUMNS):
        schema = arrow.Table.from_pylist([first]).schema
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for row in chain(() if first is None else (first,), table):
            batch.append(row)
            if len(batch) == 1000:
                writer.write_batch(arrow.RecordBatch.from_pylist(batch, schema))
                batch = []
        writer.write_batch(arrow.RecordBatch.from_pylist(batch, schema))


@dataclass(frozen=True, kw_only=True)
class TaskDiff:
    """One task of two runs.

    Args:
        task: its key.
        parts_at: how many draws agree before the first that does not; None if all agree.
        draws: number of draws, first run and second.
        chosen: the chosen values; None where nothing was chosen.
        passed: whether they passed.
    """

    task: str
    parts_at: int | None
    draws: tuple[int, int]
    chosen: tuple[Any, Any]
    passed: tuple[bool | None, bool | None]

    @property
    def same_chosen(self) -> bool:
        """Whether both runs chose equal values."""
        first, second = self.chosen
        return codec.digest(first) == codec.digest(second)


@dataclass(frozen=True, kw_only=True)
class RunDiff:
    """Two runs, task by task: those in both, those only in the first, only in the second."""

    tasks: list[TaskDiff]
    only_first: list[str]
    only_second: list[str]

    @property
    def same(self) -> bool:
        """Whether the runs have the same tasks, draws, choices and results."""
        equal = (
            t.parts_at is None and t.same_chosen and t.passed[0] is t.passed[1] for t in self.tasks
        )
        return not self.only_first and not self.only_second and all(equal)


def diff(first: Run, second: Run) -> RunDiff:
    """Compare two runs, of one ledger or two, by the values that were drawn and chosen."""
    draws = [_digests(run) for run in (first, second)]
    outcomes = [run.outcomes() for run in (first, second)]
    tasks = [list(dict.fromkeys([*d, *o])) for d, o in zip(draws, outcomes, strict=True)]
    compared: list[TaskDiff] = []
    for task in tasks[0]:
        if task not in tasks[1]:
            continue
        a, b = (d.get(task, []) for d in draws)
        one, two = (o.get(task) for o in outcomes)
        agreed = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
        shorter = min(len(a), len(b)) if len(a) != len(b) else None
        compared.append(
            TaskDiff(
                task=task,
                parts_at=shorter if agreed is None else agreed,
                draws=(len(a), len(b)),
                chosen=(
                    one and one.chosen and one.chosen.value,
                    two and two.chosen and two.chosen.value,
                ),
                passed=(one and one.passed, two and two.passed),
            )
        )
    return RunDiff(
        tasks=compared,
        only_first=[task for task in tasks[0] if task not in tasks[1]],
        only_second=[task for task in tasks[1] if task not in tasks[0]],
    )


def _digests(run: Run) -> dict[str, list[str]]:
    """Return the digests of each task's draws, earliest call first, by index within it."""
    found: dict[str, list[str]] = {}
    for row in run.ledger.read(
        "SELECT task, digest, min(id) OVER (PARTITION BY task, call) AS began FROM draws"
        " WHERE run = ? ORDER BY began, idx",
        (run.id,),
    ):
        found.setdefault(row["task"], []).append(row["digest"])
    return found
