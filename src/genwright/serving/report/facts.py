"""What a report needs to know of one run, read from its ledger in a few queries.

Only one run's rows are read, and of its draws only numbers and marks: values and evidence are
fetched for the few examples that are shown.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from genwright.core import Cost, RunState, Stop, codec
from genwright.core.cost import AMOUNTS
from genwright.core.run import Run
from genwright.core.statistics import Interval, wilson

Status = Literal["passed", "failed", "undecided", "unchecked", "unfinished"]
"""What a verifier said of a draw or a task; a task that has no outcome yet is unfinished."""

_GROUP = re.compile(r"(?P<group>.+)/[0-9a-f]{12}(-\d+)?", re.DOTALL)

_DRAWS = """
SELECT id, task, digest, new_tokens, seconds, json_extract(info, '$.masked_mass') AS masked,
    min(id) OVER (PARTITION BY task, call) AS began
FROM draws WHERE run = ? ORDER BY began, idx"""


class DrawFact(NamedTuple):
    """One draw. `masked` is the masked mass in nats, None where nothing steered it."""

    id: int
    task: str
    status: Status
    new_tokens: int
    seconds: float
    masked: float | None


class TaskFact(NamedTuple):
    """One task: its group, what came of it, why it ended, what it cost, and its chosen draw.

    `metrics` holds the scores of the chosen draw under further checks, by name.
    """

    group: str
    prompt: Any
    status: Status
    stop: Stop | None
    cost: Cost
    chosen: int | None
    asked: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run as it stood when it was read.

    Args:
        run: where it came from.
        state: running, finished, interrupted or failed.
        message: why it failed.
        ended: seconds since 1970, None while it runs.
        tasks: by key, in the order of recording; also those without an outcome.
        draws: in the order of drawing.
        drawing: the cost of all draws.
        checking: the cost of all checks.
        metrics: (name, step, value), in the order of recording.
        items: how many synthesized items each split holds.
    """

    run: Run
    state: RunState
    message: str
    ended: float | None
    tasks: Mapping[str, TaskFact]
    draws: list[DrawFact]
    drawing: Cost
    checking: Cost
    metrics: list[tuple[str, int, float | None]]
    items: Mapping[str, int]

    @property
    def cost(self) -> Cost:
        """Everything spent."""
        return self.drawing + self.checking

    @property
    def planned(self) -> int:
        """How many tasks the run was started with, as far as is known."""
        told = self.run.spec.get("tasks")
        return max(told if isinstance(told, int) else 0, len(self.tasks))

    @property
    def groups(self) -> dict[str, list[TaskFact]]:
        """Tasks by group."""
        found: dict[str, list[TaskFact]] = {}
        for task in self.tasks.values():
            found.setdefault(task.group, []).append(task)
        return found

    @property
    def checked(self) -> bool:
        """Whether any task's choice was judged."""
        return any(t.status in ("passed", "failed", "undecided") for t in self.tasks.values())

    @property
    def notes(self) -> list[str]:
        """What a reader should know before the numbers: what is missing, and what to do."""
        return list(_notes(self))


def _notes(facts: RunFacts) -> Any:
    statuses = Counter(task.status for task in facts.tasks.values())
    done = len(facts.tasks) - statuses["unfinished"]
    if facts.state is RunState.RUNNING:
        yield (
            "The run had not ended when this page was made: it is at work, or its process was "
            "killed. What follows is what it had recorded."
        )
    if facts.state is RunState.INTERRUPTED:
        yield "The run was interrupted. What follows is what it had recorded."
    if facts.state is RunState.FAILED:
        yield f"The run failed: {facts.message or 'no message was recorded'}"
    if not facts.draws:
        if facts.metrics or facts.items:
            yield "The run made no draws; it recorded training."
        else:
            yield "The run is empty: it recorded no draw, so there is nothing to score."
    if facts.planned > done:
        yield f"{done} of {facts.planned} tasks have an outcome; the others count for nothing here."
    if facts.draws and done and not facts.checked:
        yield (
            "No draw that was chosen was checked: the tasks have no verifier, so there are no "
            "scores and no coverage. Add a [verifier] to the task."
        )
    if undecided := statuses["undecided"]:
        whose = "1 task is" if undecided == 1 else f"{undecided} tasks are"
        yield f"{whose} undecided (the verifier could not tell): in no rate, and counted apart."


def read_run(run: Run) -> RunFacts:
    """Read one run."""
    draws, drawn = _draws(run)
    drawing, checking = (_spent(run, table) for table in ("draws", "verdicts"))
    splits = run.ledger.read(
        "SELECT split, count(*) AS n FROM items WHERE run = ? GROUP BY split ORDER BY min(id)",
        (run.id,),
    )
    return RunFacts(
        run=run,
        state=run.state,
        message=run.message,
        ended=run.ended,
        tasks=_tasks(run, drawn),
        draws=draws,
        drawing=drawing,
        checking=checking,
        metrics=run.metrics(),
        items={row["split"]: row["n"] for row in splits},
    )


def rate(tasks: list[TaskFact]) -> Interval | None:
    """Return the share passed of the decided tasks; None where none was decided."""
    passed = sum(t.status == "passed" for t in tasks)
    decided = passed + sum(t.status == "failed" for t in tasks)
    return wilson(passed, decided) if decided else None


def group_of(task: str) -> str:
    """Return the group that a key of the form `group/digest` names, else `all`."""
    found = _GROUP.fullmatch(task)
    return found["group"] if found else "all"


def _draws(run: Run) -> tuple[list[DrawFact], dict[str, None]]:
    judged: dict[
        tuple[str, str], Status
    ] = {  # joined here: SQLite has no index from a value to its latest verdict
        (row["task"], row["digest"]): _status(True, row["passed"])
        for row in run.ledger.read(
            "SELECT task, digest, passed FROM verdicts WHERE run = ? ORDER BY id", (run.id,)
        )
    }
    found = [
        DrawFact(
            row["id"],
            row["task"],
            judged.get((row["task"], row["digest"]), "unchecked"),
            row["new_tokens"],
            row["seconds"],
            float(row["masked"]) if isinstance(row["masked"], int | float) else None,
        )
        for row in run.ledger.read(_DRAWS, (run.id,))
    ]
    return found, dict.fromkeys(draw.task for draw in found)


def _tasks(run: Run, drawn: Mapping[str, None]) -> dict[str, TaskFact]:
    costs = run.costs()
    calls = run.ledger.read(
        "SELECT task, min(prompt) AS prompt, count(DISTINCT prompt) AS n FROM calls"
        " WHERE run = ? GROUP BY task",
        (run.id,),
    )
    asked = {row["task"]: row for row in calls}
    outcomes = run.ledger.read(
        "SELECT task, prompt, chosen, stop, passed, verdict IS NOT NULL AS judged, info,"
        " chosen IS NULL AND other IS NULL AS none FROM outcomes WHERE run = ?"
        " ORDER BY created, rowid",
        (run.id,),
    )
    tasks: dict[str, TaskFact] = {}
    for row in outcomes:
        key = row["task"]
        tasks[key] = TaskFact(
            group=group_of(key),
            prompt=codec.loads(row["prompt"]),
            status="failed" if row["none"] else _status(row["judged"], row["passed"]),
            stop=Stop[row["stop"]],
            cost=costs.get(key, Cost()),
            chosen=row["chosen"],
            asked=asked[key]["n"] if key in asked else 0,
            metrics=codec.loads(row["info"]).get("metrics", {}),
        )
    for key in drawn:
        if key not in tasks and key in asked:
            prompt, n = codec.loads(asked[key]["prompt"]), asked[key]["n"]
            cost = costs.get(key, Cost())
            tasks[key] = TaskFact(group_of(key), prompt, "unfinished", None, cost, None, n, {})
    return tasks


def _status(judged: Any, passed: Any) -> Status:
    if not judged:
        return "unchecked"
    return "undecided" if passed is None else "passed" if passed else "failed"


def _spent(run: Run, table: str) -> Cost:
    """Sum the costs of one table, by how the joules were obtained."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in AMOUNTS)
    rows = run.ledger.read(
        f"SELECT joules_by, {sums} FROM {table} WHERE run = ? GROUP BY joules_by", (run.id,)
    )
    return sum((Cost(**dict(row)) for row in rows), Cost())
