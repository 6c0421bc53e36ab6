"""Unit tests: a draw is a Python program, and passes when the tests run to their end.

Choose it for code generation. Give `entry_point` wherever the tests call one function: the tests
then run in a process the program cannot reach, and the only way to pass is to return the right
values. Without it program and tests share a process, which stops careless cheats (leaving by
`sys.exit(0)`, printing "passed", patched built-ins in the report) but not a program that studies
genwright's runner or returns objects whose `==` is always true.

A program that runs out of time is undecided by default, although it may well be a busy loop: on a
loaded machine a right program is late too, and a wrong zero is a wrong lesson (learners leave
undecided draws out, and reports count them). `timeout_verdict="fail"` counts a draw as failed when
it *used* its time: at least half of the limit on the processor. One that was late without having
computed (it slept, waited, or the machine was busy) stays undecided even then; the clock cannot
tell these three apart.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, Section 2.2
and 2.3: functional correctness by unit tests in a sandbox. Ours: tests in a process of their own,
undecided verdicts, and the markdown fence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from genwright.core import Cost, InvalidArgument, Samples, Verdict, method
from genwright.verifiers.sandbox import Execution, Program, Sandbox, default_sandbox

TAIL = 1000
"""Characters of the program's output that the evidence keeps."""

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.S | re.M)


@method(paper="arXiv:2107.03374")
@dataclass(frozen=True, kw_only=True)
class UnitTests:
    """A program passes when every test does.

    Args:
        tests: Python source; one text, or several that run in order. Each is run after the program.
        entry_point: the function the tests call (also as `candidate`). Arguments and results cross
            between processes as plain data (exact built-in types), so a change of an argument in
            place is not seen, and a result of any other type fails.
        seconds: wall-time limit of program and tests together.
        timeout_verdict: "undecided", or "fail" for draws that used up their time (see above).
        sandbox: where to run; a pool shared by all verifiers where None.

    Raises:
        InvalidArgument: no tests, or another `timeout_verdict`.
    """

    tests: str | Sequence[str]
    entry_point: str | None = None
    seconds: float = 5.0
    timeout_verdict: Literal["undecided", "fail"] = "undecided"
    sandbox: Sandbox | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.tests:
            raise InvalidArgument("UnitTests: tests are empty; a check of nothing would pass all.")
        if self.timeout_verdict not in ("undecided", "fail"):
            raise InvalidArgument(
                "UnitTests: timeout_verdict must be 'undecided' or 'fail', "
                f"got {self.timeout_verdict!r}."
            )

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Run every draw with the tests; a fence of markdown around the program is taken off."""
        tests = (self.tests,) if isinstance(self.tests, str) else tuple(self.tests)
        programs = [
            Program(
                code=extract_code(value),
                tests=tests,
                entry_point=self.entry_point,
                seconds=self.seconds,
            )
            for value in samples.values
        ]
        executions = (self.sandbox or default_sandbox()).run_many(programs)
        return [self._verdict(execution) for execution in executions]

    def _verdict(self, execution: Execution) -> Verdict:
        cost = Cost(verifier_calls=1, seconds=execution.seconds)
        if execution.status == "ok":
            return Verdict(passed=True, score=1.0, cost=cost)
        evidence: dict[str, Any] = {"status": execution.status, **(execution.problem or {})}
        evidence |= {
            name: text[-TAIL:]
            for name in ("stdout", "stderr")
            if (text := getattr(execution, name))
        }
        if execution.status == "timeout":
            used = execution.cpu_seconds
            computed = used >= self.seconds / 2
            reason = "time limit" if computed else "late without having computed"
            evidence |= {"reason": reason, "limit": self.seconds, "cpu_seconds": round(used, 3)}
            if not (computed and self.timeout_verdict == "fail"):
                return Verdict(passed=None, score=None, evidence=evidence, cost=cost)
        if execution.status == "undecided":
            return Verdict(passed=None, score=None, evidence=evidence, cost=cost)
        return Verdict(passed=False, score=0.0, evidence=evidence, cost=cost)


def extract_code(text: str) -> str:
    """Return the program in a draw: its last fenced block (Python ones first), or all of it.

    A block that is never closed, as in a draw cut short, reaches to the end.
    """
    blocks: list[tuple[str, str]] = _FENCE.findall(text)
    python = [body for language, body in blocks if language.lower() in ("python", "py", "python3")]
    unnamed = [body for language, body in blocks if not language]
    found = python or unnamed or [body for _, body in blocks]
    return found[-1] if found else text
