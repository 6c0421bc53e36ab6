"""Code without a trusted test: draw programs, draw tests for them, and let a selector judge.

Choose it for Python tasks where no tests are at hand at the time of the draw. Where trusted tests
exist, `RepeatedSampling` with `UnitTests` is simpler and better.

Drawing tests from the same model, and its prompt for them: Chen et al. 2022, "CodeT: Code
Generation with Generated Tests", arXiv:2207.10397, Section 2. Choosing: see `b4.py`. Ours: equal
programs and equal tests are run once and weighted by how often they were drawn; and a cell that
could not be judged (a time-out) is not a failure: `SoftB4` is told that it is unknown; for other
selectors programs and tests with such cells are left out, worst first, until none is left.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, nan
from typing import Any

from genwright.core import (
    Budget,
    Cost,
    Generator,
    InvalidArgument,
    Outcome,
    Samples,
    Stop,
    Task,
    child_seed,
    method,
)
from genwright.search.asserts import read_asserts
from genwright.search.b4 import B4, Selector, top
from genwright.search.soft_b4 import SoftB4
from genwright.search.tally import Tally, at_least_one
from genwright.verifiers.sandbox import Program, Sandbox, default_sandbox
from genwright.verifiers.unit_tests import extract_code

Cells = list[list[bool | None]]
"""A pass matrix, a row a program and a column a test; None where nobody could tell."""

TEST_PROMPT = "{prompt}    pass\n\n# check the correctness of {entry_point}\nassert "
"""CodeT's, for a model that completes code."""


@method(paper="arXiv:2409.08692")
@dataclass(frozen=True, kw_only=True)
class TestedSelection:
    """Return the program that a selector ranks first by tests the generator wrote itself.

    The task's `data` must name the function in question as `entry_point`.

    Args:
        n: programs to draw. The paper draws 100.
        m: test texts to draw; a text may hold several tests. The paper draws 100.
        selector: ranks the programs by the pass matrix.
        test_prompt: what tests are drawn with; `{prompt}` and `{entry_point}` are filled in.
        completes: whether a draw continues the prompt, as a base model's does. The program is then
            prompt and draw together; otherwise it is the draw alone.
        tests_per_text: the most asserts taken from one text. The default is CodeT's.
        seconds: wall-time limit of each test.
        batch: the most programs or tests that are drawn, or programs that are run, between two
            looks at the budget.
        sandbox: where to run; a shared pool where None.

    Raises:
        InvalidArgument: a count below 1, or a time limit that is not above 0.
    """

    n: int = 16
    m: int = 16
    selector: Selector = field(default_factory=B4)
    test_prompt: str = TEST_PROMPT
    completes: bool = True
    tests_per_text: int = 5
    seconds: float = 1.0
    batch: int = 8
    sandbox: Sandbox | None = field(default=None, repr=False, compare=False)

    __test__ = False  # pytest takes the name for a test

    def __post_init__(self) -> None:
        at_least_one(
            "TestedSelection",
            n=self.n,
            m=self.m,
            tests_per_text=self.tests_per_text,
            batch=self.batch,
        )
        if not self.seconds > 0:
            raise InvalidArgument(f"TestedSelection: seconds must be above 0, got {self.seconds}.")

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task.

        Programs are drawn first, then tests, sharing a tight limit on draws as n and m do; the
        outcome's samples are the programs. `info` holds
        the distinct `programs` and `tests` that were judged, `left_out` (how many of both were
        not), the `groups` as the selector ranked them, each a list of draw numbers with its score,
        and `execution`, what running them cost. Without a test that could be judged, the commonest
        program is returned.

        Raises:
            InvalidArgument: the task's data has no `entry_point`.
        """
        entry_point = task.data.get("entry_point")
        if not isinstance(entry_point, str) or not isinstance(task.prompt, str):
            raise InvalidArgument(
                "TestedSelection: the task needs a text as prompt and data['entry_point'], the "
                f"name of the function that tests call; got {entry_point!r}."
            )
        drawn = Tally(generator, task, budget, seed)
        self._draw(drawn, self._programs_within(budget))
        if not len(drawn.samples):
            return drawn.outcome(None, Stop.BUDGET)
        prompt = self.test_prompt.format(prompt=task.prompt, entry_point=entry_point)
        written = Tally(
            generator, Task(prompt), budget.after(drawn.cost), child_seed(seed, "tests")
        )
        self._draw(written, self.m)
        drawn.cost += written.cost

        tests = self._tests(written.samples, prompt, entry_point)
        programs = Counter(self._program(task.prompt, value) for value in drawn.samples.values)
        left = budget.after(drawn.cost)
        to_run = Budget(
            verifier_calls=left.verifier_calls,
            seconds=left.seconds,
            money=left.money,
            joules=left.joules,
        )  # running what was drawn takes no draws and no tokens
        cells, spent = self._run(list(programs), list(tests), to_run)
        drawn.cost += spent
        complete = len(drawn.samples) == self.n and len(written.samples) == self.m
        complete = complete and len(cells) == len(programs)
        stop = Stop.COMPLETE if complete else Stop.BUDGET
        return self._choose(drawn, stop, programs, tests, cells, spent)

    def _draw(self, tally: Tally[Any], wanted: int) -> None:
        """Make the wanted draws, or as many as the budget allows."""
        while (left := wanted - len(tally.samples)) and len(tally.draw(min(self.batch, left))):
            pass

    def _programs_within(self, budget: Budget) -> int:
        """Share a tight limit on draws between programs and tests as n and m do."""
        if budget.draws is None:
            return self.n
        return min(self.n, ceil(budget.draws * self.n / (self.n + self.m)))

    def _program(self, prompt: str, value: Any) -> str:
        return prompt + value if self.completes else extract_code(value)

    def _tests(self, texts: Samples[Any], prompt: str, entry_point: str) -> Counter[str]:
        lead = "assert " if prompt.rstrip().endswith("assert") else ""
        found: Counter[str] = Counter()
        for text in texts.values:
            found.update(read_asserts(lead + text, entry_point)[: self.tests_per_text])
        return found

    def _run(self, programs: list[str], tests: list[str], budget: Budget) -> tuple[Cells, Cost]:
        """Run programs against tests until all are judged or the budget is spent."""
        cells: Cells = []
        spent = Cost()
        while tests and len(cells) < len(programs) and not budget.is_spent(spent):
            size = min(self.batch, budget.after(spent).verifier_calls or self.batch)
            some = programs[len(cells) : len(cells) + size]
            rows, cost = pass_matrix(some, tests, seconds=self.seconds, sandbox=self.sandbox)
            cells += rows
            spent += cost
        return cells, spent

    def _choose(
        self,
        drawn: Tally[Any],
        stop: Stop,
        programs: Counter[str],
        tests: Counter[str],
        cells: Cells,
        spent: Cost,
    ) -> Outcome[Any]:
        soft = isinstance(self.selector, SoftB4)
        rows, columns = known(cells) if soft else settled(cells)
        texts, prompt = list(programs), drawn.task.prompt
        numbers = [texts.index(self._program(prompt, value)) for value in drawn.samples.values]
        info: dict[str, Any] = {
            "programs": len(rows),
            "tests": len(columns),
            "left_out": len(programs) - len(rows) + len(tests) - len(columns),
            "groups": [],
            "execution": spent.as_dict(),
        }
        if not rows or not columns:
            commonest = max(range(len(texts)), key=lambda p: programs[texts[p]])
            return drawn.outcome(numbers.index(commonest), stop, **info)
        asserts = list(tests)
        counts = [programs[texts[i]] for i in rows], [tests[asserts[j]] for j in columns]
        matrix = [[_entry(cells[i][j]) for j in columns] for i in rows]
        groups = self.selector.select(matrix, counts)
        info["groups"] = [
            {"draws": [k for k, p in enumerate(numbers) if p in {rows[q] for q in g.programs}]}
            | {"score": g.score}
            for g in groups
        ]
        best = {rows[q] for q in top(groups)}
        return drawn.outcome(next(k for k, p in enumerate(numbers) if p in best), stop, **info)


def pass_matrix(
    programs: Sequence[str],
    tests: Sequence[str],
    *,
    seconds: float = 1.0,
    sandbox: Sandbox | None = None,
) -> tuple[Cells, Cost]:
    """Run every program against every test in a sandbox.

    Args:
        programs: Python sources.
        tests: Python sources, each run after a program in a copy of its process.
        seconds: wall-time limit of each test, and of loading a program.
        sandbox: where to run; a shared pool where None.

    Returns:
        Whether program i passes test j, None where it ran out of time or the sandbox failed; and
        what it cost: a verifier call for each program, and its seconds.
    """
    jobs = [Program(code=p, tests=tuple(tests), forked=True, seconds=seconds) for p in programs]
    executions = (sandbox or default_sandbox()).run_many(jobs)
    cells: Cells = []
    cost = Cost()
    for execution in executions:
        unclear = execution.status in ("timeout", "undecided")
        row: list[bool | None] = [
            None if status in ("timeout", "undecided") else status == "ok"
            for status in execution.tests
        ]
        cells.append(row + [None if unclear else False] * (len(tests) - len(row)))
        cost += Cost(verifier_calls=1, seconds=execution.seconds)
    return cells, cost


def known(cells: Cells) -> tuple[list[int], list[int]]:
    """Return the rows and columns that hold a known cell."""
    rows = [i for i, row in enumerate(cells) if any(cell is not None for cell in row)]
    columns = range(len(cells[0])) if cells else ()
    return rows, [j for j in columns if any(row[j] is not None for row in cells)]


def _entry(cell: bool | None) -> float:
    return nan if cell is None else float(cell)


def settled(cells: Cells) -> tuple[list[int], list[int]]:
    """Return the rows and columns to keep so that every cell is known.

    The row or column with the largest share of unknown cells goes first; of equals, a row.
    """
    rows = list(range(len(cells)))
    columns = list(range(len(cells[0]))) if cells else []
    while rows and columns:
        in_row = {i: sum(cells[i][j] is None for j in columns) / len(columns) for i in rows}
        in_column = {j: sum(cells[i][j] is None for i in rows) / len(rows) for j in columns}
        row = max(rows, key=in_row.__getitem__)
        column = max(columns, key=in_column.__getitem__)
        if not in_row[row] and not in_column[column]:
            break
        if in_row[row] >= in_column[column]:
            rows.remove(row)
        else:
            columns.remove(column)
    return rows, columns
