"""Recorded draws of large models as tasks, for the benchmarks of strategies.

Each function returns (tasks, generator, graders): a grader holds the truth, and strategies see no
verifier unless the benchmark gives them one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genwright.claims.data import data_file
from genwright.claims.humaneval import recorded_tasks
from genwright.core import Samples, Task, Verdict, Verifier
from genwright.core.task_file import read_jsonl
from genwright.generators.language.recorded import RecordedGenerator

Draws = tuple[list[Task[Any]], Any, dict[str, Verifier[Any]]]


@dataclass(frozen=True)
class Known:
    """A verifier that knows which values are right."""

    right: frozenset[str]

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Return whether each value is among the right ones."""
        return [Verdict.ok() if v in self.right else Verdict.fail() for v in samples.values]


def humaneval() -> Draws:
    """131 HumanEval tasks, 100 programs each by CodeGen-16B; truth: the unit tests."""
    tasks, generator = recorded_tasks(0)
    graders = {task.key: task.verifier for task in tasks if task.verifier is not None}
    return [Task(t.prompt, None, t.key, t.data) for t in tasks], generator, graders


def dates() -> Draws:
    """295 questions of Date Understanding, 10 answers each by ChatGPT; truth: as recorded."""
    rows = list(read_jsonl(data_file("reasoning/date_understanding_samples.jsonl.gz")))
    return _of(
        {
            f"{i}: {row['question']}": [
                (s["pred"] or "", bool(s["correct"])) for s in row["samples"]
            ]
            for i, row in enumerate(rows)
        }
    )


def cruxeval() -> Draws:
    """640 outputs of CRUXEval, 10 predictions each by CodeLlama-7B; truth: as recorded."""
    rows = read_jsonl(data_file("code/cruxeval_codellama7b_samples.jsonl.gz"))
    return _of(
        {
            row["id"]: list(zip(row["generations"], row["correct"], strict=True))
            for row in rows
            if row["mode"] == "output"
        }
    )


def with_verifier(draws: Draws, verifiers: Mapping[str, Verifier[Any]]) -> Draws:
    """Give the strategies a verifier."""
    tasks, generator, graders = draws
    return [Task(t.prompt, verifiers[t.key], t.key, t.data) for t in tasks], generator, graders


def _of(drawn: Mapping[str, list[tuple[str, bool]]]) -> Draws:
    tasks = [Task(key, None, key) for key in drawn]
    rows = [{"prompt": key, "completions": [v for v, _ in pairs]} for key, pairs in drawn.items()]
    graders: dict[str, Verifier[Any]] = {
        key: Known(frozenset(v for v, right in pairs if right)) for key, pairs in drawn.items()
    }
    return tasks, RecordedGenerator(rows=rows), graders
