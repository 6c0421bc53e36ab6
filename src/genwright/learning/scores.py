"""How the prompts of a task file came out: scores by group, and tables of measurements."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genwright.core import Cost, Outcome, Task
from genwright.core.statistics import wilson
from genwright.core.task_file import TaskFile


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one group of tasks came out.

    Args:
        tasks: how many there were.
        passed: how many passed.
        undecided: how many could not be checked; they are in neither number of the rate.
        metrics: name -> mean score of the chosen draws under the further check, which is the share
            that passed where a check gives no partial credit.
    """

    tasks: int
    passed: int
    undecided: int
    metrics: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Share passed of the decided."""
        return self.passed / max(1, self.tasks - self.undecided)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson interval of the rate; all of [0, 1] where nothing was decided."""
        decided = self.tasks - self.undecided
        if not decided:
            return 0.0, 1.0
        found = wilson(self.passed, decided)
        return found.low, found.high


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One way of drawing, measured on every prompt of a task file."""

    stage: str
    arm: str
    run: str
    scores: Mapping[str, Score]
    cost: Cost
    failures: Sequence[Mapping[str, Any]] = field(repr=False, default=())


def score(
    task_file: TaskFile, tasks: Sequence[Task[Any]], outcomes: Sequence[Outcome[Any]]
) -> tuple[dict[str, Score], list[dict[str, Any]]]:
    """Return the scores of each group, and what failed with the verifier's evidence."""
    passed: Counter[str] = Counter()
    undecided: Counter[str] = Counter()
    met: dict[tuple[str, str], float] = defaultdict(float)
    failures: list[dict[str, Any]] = []
    groups = [str(t.data.get(task_file.prompts.group, "")) or "all" for t in tasks]
    for group, task, outcome in zip(groups, tasks, outcomes, strict=True):
        passed[group] += outcome.passed is True
        undecided[group] += outcome.passed is None
        for name in task_file.metrics:
            met[group, name] += outcome.info.get("metrics", {}).get(name, 0.0)
        if outcome.passed is not True:
            shown = outcome.chosen or next(iter(outcome.samples), None)
            failures.append(
                {
                    "group": group,
                    "prompt": task.prompt,
                    "drawn": None if shown is None else shown.value,
                    "evidence": None if outcome.verdict is None else outcome.verdict.evidence,
                }
            )
    sizes = Counter(groups)
    scores = {
        group: Score(
            tasks=size,
            passed=passed[group],
            undecided=undecided[group],
            metrics={name: met[group, name] / size for name in task_file.metrics},
        )
        for group, size in sizes.items()
    }
    return scores, failures


def markdown(measurements: Sequence[Measurement]) -> str:
    """Return the measurements as a Markdown table."""
    heads, rows = result_table(measurements)
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def result_table(measurements: Sequence[Measurement]) -> tuple[list[str], list[list[str]]]:
    """Return (column names, rows): rates with 95% intervals by group, further checks, costs."""
    groups = list(measurements[0].scores)
    names = list(next(iter(measurements[0].scores.values())).metrics)
    written = any(m.cost.new_tokens for m in measurements)
    work = "new tokens" if written else "evaluations"
    heads = ["", *groups, *names, "draws", work, "seconds", "joules"]
    rows: list[list[str]] = []
    for m in measurements:
        cells = [f"{m.stage}: {m.arm}"]
        for group in groups:
            s = m.scores[group]
            low, high = s.interval
            cells.append(f"{s.rate:.0%} [{low:.0%}, {high:.0%}] of {s.tasks - s.undecided}")
        everyone = sum(s.tasks for s in m.scores.values())
        for name in names:
            share = sum(s.metrics[name] * s.tasks for s in m.scores.values()) / everyone
            cells.append(f"{share:.0%}")
        joules = f"{m.cost.joules:.0f} ({m.cost.joules_by})" if m.cost.joules_by else "unknown"
        done = m.cost.new_tokens if written else m.cost.network_evaluations
        cells += [f"{m.cost.draws}", f"{done}", f"{m.cost.seconds:.0f}", joules]
        rows.append(cells)
    return heads, rows
