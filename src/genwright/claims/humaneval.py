"""HumanEval with the draws that CodeGen-16B made for it: tasks, draws, and pass matrices.

Chen et al. 2021, arXiv:2107.03374 (the tasks and their tests); Chen et al. 2022, arXiv:2207.10397
(100 completions and 100 test texts a task, temperature 0.8). Programs and tests share a process
here: recorded draws of an honest model do not attack their tests, and some of HumanEval's tests
need more of the program than its entry point. A program that computes for a second has failed, by
the clock of its processor: on a busy machine the clock on the wall would leave it undecided.
"""

from collections.abc import Sequence
from typing import Any

from genwright.claims.data import data_file
from genwright.core import Run, Samples, Task, child_seed
from genwright.core.codec import digest
from genwright.core.task_file import read_jsonl
from genwright.generators.language.recorded import RecordedGenerator
from genwright.verifiers.sandbox import Program, default_sandbox
from genwright.verifiers.unit_tests import UnitTests

FILES = ("code/humaneval_codegen16b_samples.jsonl.gz", "code/humaneval.jsonl.gz")
LATE = 3
"""Tests a program may be late for before the rest count as failed."""

_ONE_SECOND = """
import os, signal
signal.signal(signal.SIGPROF, lambda *_: os._exit(1))
signal.setitimer(signal.ITIMER_PROF, 1.0)
"""
_RUN_TESTS = f"""
def _passes(tests):
    import signal
    def late(*_):
        raise TimeoutError
    signal.signal(signal.SIGPROF, late)
    found, lates = [], 0
    for test in tests:
        passed = False
        if lates < {LATE}:
            try:
                signal.setitimer(signal.ITIMER_PROF, 0.1)
                exec(test, globals())
                passed = True
            except TimeoutError:
                lates += 1
            except BaseException:
                pass
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        found.append(passed)
    return found
"""


def recorded_tasks(seed: int, limit: int | None = None) -> tuple[list[Task[str]], Any]:
    """Return HumanEval's tasks, or `limit` of them by seed, and the generator that recalls draws.

    A draw is a whole program. `data` of a task holds `entry_point` and `test_texts`.
    """
    samples, tests = (list(read_jsonl(data_file(name))) for name in FILES)
    known = {row["task_id"]: row["test"] for row in tests}
    rows = sorted(samples, key=lambda row: child_seed(seed, row["task_id"]))[:limit]
    tasks = [
        Task(
            row["prompt"],
            UnitTests(
                tests=f"{_ONE_SECOND}{known[row['task_id']]}\ncheck({row['entry_point']})\n",
                seconds=20.0,
            ),
            row["task_id"],
            {"entry_point": row["entry_point"], "test_texts": row["test_texts"]},
        )
        for row in rows
    ]
    record = [
        {"prompt": row["prompt"], "completions": [row["prompt"] + c for c in row["completions"]]}
        for row in rows
    ]
    return tasks, RecordedGenerator(rows=record)


def passed(run: Run, task: str, samples: Samples[Any]) -> list[bool | None]:
    """Return for each draw what the run's verifier said of it."""
    known = {judged.digest: judged.verdict.passed for judged in run.verdicts(task)}
    return [known[digest(value)] for value in samples.values]


def pass_rows(programs: Sequence[str], tests: Sequence[str]) -> list[list[bool]]:
    """Return for each program which tests it passes within 0.1 s of computing each.

    All tests of a program share its process, which is what makes thousands of rows affordable.
    """
    call = f"_passes({list(tests)!r})"
    jobs = [Program(code=f"{p}\n{_RUN_TESTS}", expression=call, seconds=20.0) for p in programs]
    executions = default_sandbox().run_many(jobs)
    return [e.value if e.status == "ok" else [False] * len(tests) for e in executions]
