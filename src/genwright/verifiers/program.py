"""What a sandbox is asked to run (`Program`), and how it ended (`Execution`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from genwright.core import InvalidArgument

Status = Literal["ok", "error", "timeout", "memory", "killed", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to run, and what to run after it.

    Args:
        code: Python source.
        tests: run in order after the program. Without `entry_point`, in its process and namespace.
        entry_point: a function of the program. The tests then run in a process of their own, where
            this name and `candidate` call it; arguments and results are plain data (exact
            built-in types). Tests that only define `check(candidate)` have it called.
        expression: evaluated after the program; its plain value is `Execution.value`.
        forked: give every test a copy of the loaded program and `seconds` of its own, and report
            on each: one row of a pass matrix for one start.
        files: text by relative path, laid into the working folder.
        stdin: what the program reads from standard input.
        seconds: wall-time limit; the sandbox's own where None.
    """

    code: str
    tests: tuple[str, ...] = ()
    entry_point: str | None = None
    expression: str | None = None
    forked: bool = False
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    stdin: str = ""
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.entry_point is not None and (self.forked or self.expression is not None):
            raise InvalidArgument("Program: entry_point goes with neither forked nor expression.")
        for path in self.files:
            if not path or path.startswith("/") or ".." in path.split("/") or "\0" in path:
                raise InvalidArgument(f"Program: files must be relative paths, got {path!r}.")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a program ended.

    Args:
        status: "ok" (program and tests came to their end), "error" (an exception, or an end before
            the end), "timeout", "memory", "killed" (by a signal), or "undecided" (the sandbox
            itself failed, twice).
        value: of `Program.expression`.
        problem: `type`, `message`, and where known `line`, `source`, `in` of what went wrong. The
            program chose these words.
        tests: of a forked program, one status a test.
        stdout: the last 64 KiB of it.
        stderr: the last 64 KiB of it.
        seconds: wall time.
        cpu_seconds: processor time of the check and of what it started.
    """

    status: Status
    value: Any = None
    problem: Mapping[str, Any] | None = None
    tests: tuple[Status, ...] = ()
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
