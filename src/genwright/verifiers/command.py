"""An external command as verifier: exit code 0 passes the draw.

Choose it for checkers that exist as programs: compilers, linters, proof checkers, solvers. The
command itself is trusted and runs as you, outside the sandbox; only the draw is not, and reaches it
as data on standard input or as a file. A command that *executes* the draw hands it your rights: use
`UnitTests` for Python.

Ours throughout.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from genwright.core import Cost, InvalidArgument, MissingFile, Samples, Verdict, method

TAIL = 4000
"""Bytes of each output stream that the evidence keeps: the last ones."""


@method()
@dataclass(frozen=True, kw_only=True)
class Command:
    """A draw passes when a command that is given it exits with 0.

    Args:
        argv: program and arguments; no shell. Where an argument holds `{file}`, the draw is written
            to a file whose path takes its place; otherwise the draw comes on standard input.
        suffix: ending of that file's name, such as `".lean"`.
        seconds: wall-time limit; the whole process group is killed then, and the draw undecided.
        undecided_codes: exit codes that mean "I do not know".
        parallel: commands at one time.

    Raises:
        InvalidArgument: an empty argv, or limits that are not positive.
    """

    argv: tuple[str, ...]
    suffix: str = ".txt"
    seconds: float = 30.0
    undecided_codes: tuple[int, ...] = ()
    parallel: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "argv", tuple(self.argv))  # a task file gives a list
        if not self.argv:
            raise InvalidArgument("Command: argv is empty; name the program to run.")
        for name in ("seconds", "parallel"):
            if not getattr(self, name) > 0:
                raise InvalidArgument(
                    f"Command: {name} must be more than 0, got {getattr(self, name)}."
                )

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Run the command once a draw.

        Raises:
            MissingFile: there is no such command.
        """
        if shutil.which(self.argv[0]) is None:
            raise MissingFile(f"Command: no program {self.argv[0]!r}; install it or give its path.")
        with ThreadPoolExecutor(self.parallel) as threads:
            return list(threads.map(self._check, samples.values))

    def _check(self, value: str) -> Verdict:
        data = value.encode("utf-8", "surrogatepass")
        with tempfile.TemporaryDirectory(prefix="genwright-") as folder:
            path = Path(folder) / f"draw{self.suffix}"
            by_file = any("{file}" in argument for argument in self.argv)
            path.write_bytes(data)
            argv = [argument.replace("{file}", str(path)) for argument in self.argv]
            with (
                path.open("rb") if not by_file else open(os.devnull, "rb") as source,
                tempfile.TemporaryFile() as out,
                tempfile.TemporaryFile() as err,
            ):
                started = time.monotonic()
                code = self._run(argv, source, out, err)
                cost = Cost(verifier_calls=1, seconds=time.monotonic() - started)
                evidence: dict[str, Any] = {"exit_code": code, "stdout": _tail(out)}
                evidence["stderr"] = _tail(err)
        if code is None or code < 0 or code in self.undecided_codes:
            reason = "time limit" if code is None else "killed" if code < 0 else "it says so"
            evidence["reason"] = reason
            return Verdict(passed=None, score=None, evidence=evidence, cost=cost)
        return Verdict(passed=code == 0, score=float(code == 0), evidence=evidence, cost=cost)

    def _run(
        self, argv: list[str], source: IO[bytes], out: IO[bytes], err: IO[bytes]
    ) -> int | None:
        """Return the exit code, or None where time ran out."""
        process = subprocess.Popen(
            argv, stdin=source, stdout=out, stderr=err, start_new_session=True
        )
        try:
            return process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):  # nothing of its group is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    return file.read().decode("utf-8", "replace")
