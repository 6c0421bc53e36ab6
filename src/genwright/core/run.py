"""One run in a ledger: what was drawn, checked, chosen, made and measured."""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from genwright.core import codec
from genwright.core.cost import AMOUNTS, Cost
from genwright.core.environment import redact
from genwright.core.migrations import COST_COLUMNS
from genwright.core.samples import Sample, Samples
from genwright.core.task import Outcome, Stop
from genwright.core.verdict import Verdict

if TYPE_CHECKING:
    from genwright.core.ledger import Ledger

_COST_NAMES = ", ".join(COST_COLUMNS)
_DRAW_NAMES = (
    f"run, task, call, idx, value, kind, stacked, digest, logprob, info, {_COST_NAMES}, created"
)
_VERDICT_NAMES = f"run, task, verifier, digest, passed, score, evidence, {_COST_NAMES}, created"
_OUTCOME_NAMES = (
    "run, task, prompt, data, chosen, other, samples, stop, passed, score, verdict, info, "
    f"{_COST_NAMES}, created"
)


class RunState(Enum):
    """Where a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class Call:
    """What a generator was asked: a prompt, a seed, and the steering added by the strategy."""

    prompt: Any
    seed: int
    steering: Any = None

    @property
    def key(self) -> str:
        """Names the call within a task; equal calls share it."""
        return codec.digest([self.prompt, str(self.seed), self.steering])


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A recorded draw. `stacked` tells that it was a row of an array or tensor of draws."""

    id: int
    task: str
    call: str
    index: int
    digest: str
    stacked: bool
    sample: Sample[Any]
    created: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A recorded verdict on every draw of a task whose value has this digest."""

    task: str
    verifier: str
    digest: str
    verdict: Verdict
    created: float


@dataclass(frozen=True)
class Item:
    """Something synthesized: its split ("train", "held-out: new phrasings", ...), name and data."""

    split: str
    key: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run; made by `Ledger.start_run` and `Ledger.run`. Appends are durable when they return."""

    ledger: "Ledger" = field(repr=False)
    id: str
    name: str
    created: float
    seed: int
    parent: str | None
    spec: Mapping[str, Any] = field(repr=False)
    environment: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, ledger: "Ledger", row: sqlite3.Row) -> "Run":
        """Make it from a row of the table runs."""
        spec, environment = codec.loads(row["spec"]), codec.loads(row["environment"])
        known = (row[name] for name in ("id", "name", "created", "seed", "parent"))
        return cls(ledger, *known, spec=spec, environment=environment)

    @property
    def state(self) -> RunState:
        """Where it stands now. A killed process leaves its run in state running."""
        return RunState(self._now("state"))

    @property
    def message(self) -> str:
        """Why it failed; empty otherwise."""
        return self._now("message")

    @property
    def ended(self) -> float | None:
        """When it ended, in seconds since 1970; None while it runs."""
        return self._now("ended")

    def finish(self, state: RunState = RunState.FINISHED, message: str = "") -> None:
        """Record that the run ended, or with `RunState.RUNNING` that it goes on."""
        ended = None if state is RunState.RUNNING else time.time()
        with self.ledger.write() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, message = ?, ended = ? WHERE id = ?",
                (state.value, redact(message), ended, self.id),
            )

    def respec(self, spec: Mapping[str, Any]) -> None:
        """Record a changed spec: a run resumed with another budget."""
        with self.ledger.write() as connection:
            text = codec.dumps(redact(spec), lossy=True)
            connection.execute("UPDATE runs SET spec = ? WHERE id = ?", (text, self.id))

    def record_draws(
        self, task: str, call: Call, draws: Sequence[tuple[int, Sample[Any]]], *, stacked: bool
    ) -> None:
        """Record draws of one call in one transaction; one already recorded is left as it is.

        Args:
            task: key of the task.
            call: what the generator was asked.
            draws: (index of the draw, draw).
            stacked: the draws are rows of one array or tensor.
        """
        now, key, rows = time.time(), call.key, list[tuple[Any, ...]]()
        for index, sample in draws:
            kind, data = codec.encode(sample.value)
            logprob = None if sample.logprob is None else float(sample.logprob)
            info = codec.dumps(dict(sample.info), lossy=True)
            told = (data, kind, stacked, codec.digest(sample.value), logprob, info)
            rows.append((self.id, task, key, index, *told, *_cost_row(sample.cost), now))
        asked = (codec.dumps(call.prompt), str(call.seed), codec.dumps(redact(call.steering)))
        with self.ledger.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO calls (run, task, call, prompt, seed, steering)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (self.id, task, key, *asked),
            )
            connection.executemany(_insert("draws", _DRAW_NAMES), rows)

    def record_draw(self, task: str, call: Call, index: int, sample: Sample[Any]) -> None:
        """Record one draw."""
        self.record_draws(task, call, [(index, sample)], stacked=False)

    def draws(
        self, task: str | None = None, call: str | None = None, *, first: int = 0, n: int = -1
    ) -> list[Draw]:
        """Return recorded draws in the order of recording.

        Args:
            task: only those of this task.
            call: only those of this call (`Call.key`).
            first: only those with this index or a higher one.
            n: with `n >= 0`, only indices below `first + n`.
        """
        where: dict[str, Any] = {"task": task, "call": call, "idx >=": first or None}
        if n >= 0:
            where["idx <"] = first + n
        return [_draw(row) for row in self._rows("draws", where, "id")]

    def record_verdicts(
        self, task: str, verifier: str, judged: Sequence[tuple[str, Verdict]]
    ) -> None:
        """Record verdicts in one transaction.

        Args:
            task: key of the task.
            verifier: digest of the verifier's description.
            judged: (digest of the value, verdict).
        """
        now, rows = time.time(), list[tuple[Any, ...]]()
        for value, verdict in judged:
            told = (verdict.passed, verdict.score, codec.dumps(verdict.evidence, lossy=True))
            rows.append((self.id, task, verifier, value, *told, *_cost_row(verdict.cost), now))
        with self.ledger.write() as connection:
            connection.executemany(_insert("verdicts", _VERDICT_NAMES), rows)

    def record_verdict(self, task: str, verifier: str, value: Any, verdict: Verdict) -> None:
        """Record the verdict on one value."""
        self.record_verdicts(task, verifier, [(codec.digest(value), verdict)])

    def verdicts(self, task: str | None = None) -> list[Judged]:
        """Return recorded verdicts in the order of recording."""
        return [_judged(row) for row in self._rows("verdicts", {"task": task}, "id")]

    def record_outcome(
        self, task: str, prompt: Any, data: Mapping[str, Any], outcome: Outcome[Any]
    ) -> None:
        """Record what came of a task; a later outcome of the same task replaces it."""
        known = self._draw_ids(task)
        verdict = outcome.verdict
        chosen: Any = None
        samples = [_reference(sample, known) for sample in outcome.samples]
        if outcome.chosen is not None:
            chosen = _reference(outcome.chosen, self._draw_ids(task))
        inline = None if isinstance(chosen, int | None) else codec.dumps(chosen)
        row = (
            codec.dumps(prompt),
            codec.dumps(dict(data), lossy=True),
            chosen if inline is None else None,
            inline,
            codec.dumps(samples),
            outcome.stop.name,
            outcome.passed,
            None if verdict is None else verdict.score,
            None if verdict is None else codec.dumps(verdict, lossy=True),
            codec.dumps(dict(outcome.info), lossy=True),
        )
        with self.ledger.write() as connection:
            connection.execute(
                _insert("outcomes", _OUTCOME_NAMES, or_else="REPLACE"),
                (self.id, task, *row, *_cost_row(outcome.cost), time.time()),
            )

    def outcomes(self) -> dict[str, Outcome[Any]]:
        """Return the outcomes by task key, in the order of recording."""
        rows = self._rows("outcomes", {}, "created, rowid")
        drawn: dict[int, Sample[Any]] = {}
        if rows:
            drawn = {draw.id: draw.sample for draw in self.draws()}
        return {row["task"]: _outcome(row, drawn) for row in rows}

    def prompts(self) -> dict[str, Any]:
        """Return the prompt of each task that has an outcome."""
        return {
            row["task"]: codec.loads(row["prompt"]) for row in self._rows("outcomes", {}, "rowid")
        }

    def costs(self) -> dict[str, Cost]:
        """Return what was spent on each task: every recorded draw and check, each counted once."""
        return self._spent({"run": self.id})

    def cost(self, task: str | None = None) -> Cost:
        """Return what was spent on one task, or on all."""
        where = {"run": self.id} if task is None else {"run": self.id, "task": task}
        return sum(self._spent(where).values(), Cost())

    def add_items(self, items: Iterable[Item]) -> None:
        """Record synthesized items in one transaction; one of a known split and key is replaced."""
        now = time.time()
        rows = [(self.id, i.split, i.key, codec.dumps(dict(i.data)), now) for i in items]
        with self.ledger.write() as connection:
            connection.executemany(
                _insert("items", "run, split, key, data, created", or_else="REPLACE"), rows
            )

    def items(self, split: str | None = None) -> list[Item]:
        """Return the items of one split, or all, in the order of recording."""
        rows = self._rows("items", {"split": split}, "id")
        return [Item(row["split"], row["key"], codec.loads(row["data"])) for row in rows]

    def add_metric(self, name: str, value: float, step: int = 0) -> None:
        """Record one number: a loss at a step, a cell of a table."""
        with self.ledger.write() as connection:
            connection.execute(
                _insert("metrics", "run, name, step, value, created"),
                (self.id, name, int(step), float(value), time.time()),
            )

    def metrics(self, name: str | None = None) -> list[tuple[str, int, float | None]]:
        """Return (name, step, value) in the order of recording; what was no number is None."""
        rows = self._rows("metrics", {"name": name}, "id")
        return [(row["name"], row["step"], row["value"]) for row in rows]

    def _now(self, column: str) -> Any:
        (row,) = self.ledger.read(f"SELECT {column} FROM runs WHERE id = ?", (self.id,))
        return row[0]

    def _rows(self, table: str, where: Mapping[str, Any], order: str) -> list[sqlite3.Row]:
        given = {"run": self.id} | {
            name: value for name, value in where.items() if value is not None
        }
        terms = " AND ".join(f"{name} ?" if " " in name else f"{name} = ?" for name in given)
        return self.ledger.read(
            f"SELECT * FROM {table} WHERE {terms} ORDER BY {order}", list(given.values())
        )

    def _spent(self, where: Mapping[str, str]) -> dict[str, Cost]:
        """Sum the costs of draws and verdicts by task and by how the joules were obtained."""
        sums = ", ".join(f"sum({name}) AS {name}" for name in AMOUNTS)
        terms = " AND ".join(f"{name} = ?" for name in where)
        spent: dict[str, Cost] = defaultdict(Cost)
        for table in ("draws", "verdicts"):
            for row in self.ledger.read(
                f"SELECT task, joules_by, {sums} FROM {table} WHERE {terms}"
                " GROUP BY task, joules_by",
                list(where.values()),
            ):
                spent[row["task"]] += _cost(row)
        return dict(spent)

    def _draw_ids(self, task: str) -> dict[str, list[int]]:
        """Return the ids of the draws of each value, earliest call first, by index within it."""
        rows = self.ledger.read(
            "SELECT id, digest, min(id) OVER (PARTITION BY call) AS began, idx FROM draws"
            " WHERE run = ? AND task = ? ORDER BY began, idx",
            (self.id, task),
        )
        known: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            known[row["digest"]].append(row["id"])
        return known


def _insert(table: str, names: str, or_else: str = "IGNORE") -> str:
    marks = ", ".join("?" * (names.count(",") + 1))
    return f"INSERT OR {or_else} INTO {table} ({names}) VALUES ({marks})"


def _cost_row(cost: Cost) -> list[int | float | str]:
    values = [getattr(cost, name) for name in COST_COLUMNS]
    return [v.item() if hasattr(v, "item") else v for v in values]  # SQLite knows no numpy scalars


def _cost(row: sqlite3.Row) -> Cost:
    return Cost(**{name: row[name] for name in COST_COLUMNS})


def _draw(row: sqlite3.Row) -> Draw:
    value = codec.decode(row["kind"], row["value"])
    return Draw(
        id=row["id"],
        task=row["task"],
        call=row["call"],
        index=row["idx"],
        digest=row["digest"],
        stacked=bool(row["stacked"]),
        sample=Sample(value, row["logprob"], _cost(row), codec.loads(row["info"])),
        created=row["created"],
    )


def _judged(row: sqlite3.Row) -> Judged:
    passed = None if row["passed"] is None else bool(row["passed"])
    evidence = codec.loads(row["evidence"])
    return Judged(
        task=row["task"],
        verifier=row["verifier"],
        digest=row["digest"],
        verdict=Verdict(passed=passed, score=row["score"], evidence=evidence, cost=_cost(row)),
        created=row["created"],
    )


def _reference(sample: Sample[Any], known: dict[str, list[int]]) -> Any:
    """Return the id of the recorded draw, or the sample itself where the strategy made it."""
    ids = known.get(codec.digest(sample.value))
    if not ids:
        info = codec.loads(codec.dumps(dict(sample.info), lossy=True))
        return replace(sample, info=info)
    return ids.pop(0) if len(ids) > 1 else ids[0]  # a draw may be shown twice


def _outcome(row: sqlite3.Row, drawn: Mapping[int, Sample[Any]]) -> Outcome[Any]:
    told = cast("list[int | Sample[Any]]", codec.loads(row["samples"]))
    chosen: Sample[Any] | None = None
    if row["chosen"] is not None:
        chosen = drawn[row["chosen"]]
    elif row["other"] is not None:
        chosen = codec.loads(row["other"])
    return Outcome(
        chosen,
        Samples[Any].of(drawn[item] if isinstance(item, int) else item for item in told),
        Stop[row["stop"]],
        info=codec.loads(row["info"]),
        verdict=None if row["verdict"] is None else codec.loads(row["verdict"]),
        cost=_cost(row),
    )
