"""A sandbox for untrusted Python: a pool of warm parents that fork one confined child a check.

Choose it wherever a draw is a program. It needs neither Docker nor a daemon nor root. Starting a
Python for every check costs several times as much (`benchmarks/sandbox.py` measures it).

What `Sandbox.level` says, and what each level stops:

- `"namespaces"` (Linux, as root or where user namespaces are allowed). A check sees system
  libraries and Python's own, read-only, and one empty folder in memory that goes with it; no
  network, no `/proc`, no other process; it can start no other program. Every process it leaves,
  daemons too, dies with it. A seccomp filter refuses calls no computation needs.
- `"limits"` (everywhere else). `Sandbox.enforced` says what holds. On Linux with Landlock and
  seccomp: "files" (writes in its folder only, reads in system libraries only), "network" (no
  sockets), "other processes" (no signals), "calls". Names and sizes of files outside stay visible.
  Without them (macOS) only time, memory, processes and file sizes are limited: such a program can
  write and read what you can, and use the network. Run only programs there that you would run.

At both levels: limits on wall time, processor time, address space a process, processes and threads,
file sizes and open files; an empty environment; output kept to its last 64 KiB.

What no level stops: holes in the kernel, timing side channels, and a program that lies to tests run
*in its own process* (`Program.tests` without `entry_point`). There the token that success
needs arrives with the tests, after the program's top level has run, but code that the tests call
can search its own memory for it. With `entry_point` the tests run in a process of their own, only
plain data crosses, and the sole way to pass is to return the right values.

Ours throughout; the kernel interfaces are named in `_confine.py`.
"""

import atexit
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, Self

from genwright.core import InvalidArgument, SandboxError
from genwright.verifiers._parent import Parent
from genwright.verifiers._plain_data import decode
from genwright.verifiers.program import Execution, Program, Status

__all__ = ["Execution", "Program", "Sandbox", "Status", "default_sandbox"]

_PROBLEM = ("type", "message", "line", "source", "in")
GRACE_SECONDS = 30.0
"""Time beyond its limits after which a warm parent counts as hung, on a machine that is busy."""
_TRIAL = "import colorsys"  # not loaded beforehand, so the library must be within reach


class Sandbox:
    """A pool of warm parents; thread-safe, and a context manager.

    Args:
        workers: warm parents, and so checks at one time.
        seconds: wall-time limit of a check; the kill follows within 100 ms.
        memory_mb: address space of each process of a check, Python's own some 30 MB included.
        processes: processes and threads of a check. At level "limits" without root the kernel
            counts all processes of the user, so there a check can mostly start none.
        file_mb: size of a file.
        disk_mb: size of the working folder (level "namespaces").
        network: True leaves the network open.
        level: the strongest that works here where None.

    Raises:
        InvalidArgument: a limit that is not positive.
        SandboxError: no warm parent starts, or not at the level asked for.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        seconds: float = 5.0,
        memory_mb: int = 512,
        processes: int = 16,
        file_mb: int = 16,
        disk_mb: int = 64,
        network: bool = False,
        level: Literal["namespaces", "limits"] | None = None,
    ) -> None:
        limits: dict[str, Any] = {
            "memory_mb": memory_mb,
            "processes": processes,
            "file_mb": file_mb,
            "disk_mb": disk_mb,
        }
        for name, limit in {**limits, "workers": workers, "seconds": seconds}.items():
            if not limit > 0:
                raise InvalidArgument(f"Sandbox: {name} must be more than 0, got {limit}.")
        self.seconds = seconds
        self._folder = tempfile.mkdtemp(prefix="genwright-")
        os.chmod(self._folder, 0o711)  # a check that gave up root must get through to its own
        self._settings = {**limits, "network": network, "folder": self._folder}
        self._lock = threading.Lock()
        self._free: queue.SimpleQueue[Parent | None] = queue.SimpleQueue()
        self._closed = False
        first, self.level, reason = self._first_parent(level)
        self.reason = reason
        """Why the level is not "namespaces"; empty where it is."""
        self.enforced: frozenset[str] = first.enforced
        """What holds here, such as "files" and "network"."""
        self.workers = workers
        self._parents = {first}
        self._free.put(first)
        for _ in range(workers - 1):
            self._free.put(None)  # started when first needed
        atexit.register(self.close)

    def _first_parent(self, level: str | None) -> tuple[Parent, str, str]:
        """Start a warm parent at the strongest level that runs a program to its end."""
        reasons: list[str] = []
        for wanted in ("namespaces", "limits") if level is None else (level,):
            try:
                parent = Parent(self._settings | {"level": wanted})
                reply = parent.ask(
                    self._job(Program(code=_TRIAL, seconds=30.0)), 30.0 + GRACE_SECONDS
                )
                if reply["status"] == "ok":
                    return parent, wanted, "; ".join(reasons)
                parent.close()
                reasons.append(f"{wanted}: {reply['problem']} {reply['stderr']}".strip())
            except SandboxError as error:
                reasons.append(f"{wanted}: {error}")
        shutil.rmtree(self._folder, ignore_errors=True)
        raise SandboxError(f"Sandbox: no warm parent works here ({'; '.join(reasons)}).")

    def run(
        self,
        code: str,
        *,
        expression: str | None = None,
        files: Mapping[str, str] | None = None,
        stdin: str = "",
        seconds: float | None = None,
    ) -> Execution:
        """Run one program; what it does is in the answer, never an exception."""
        return self.execute(
            Program(
                code=code, expression=expression, files=files or {}, stdin=stdin, seconds=seconds
            )
        )

    def run_many(self, programs: Sequence[Program]) -> list[Execution]:
        """Run programs side by side, as many at a time as there are workers; answers in order."""
        if len(programs) < 2:
            return [self.execute(program) for program in programs]
        with ThreadPoolExecutor(min(self.workers, len(programs))) as threads:
            return list(threads.map(self.execute, programs))

    def execute(self, program: Program) -> Execution:
        """Run one program with its tests.

        A warm parent that dies or hangs is replaced and the program tried once more; the second
        time the answer is undecided.

        Raises:
            SandboxError: the sandbox is closed.
        """
        job = self._job(program)
        rounds = 1 + (len(program.tests) if program.forked else 0)
        patience = job["seconds"] * rounds + GRACE_SECONDS
        failure = ""
        for _ in range(2):
            with self._borrowed() as hold:
                try:
                    if hold[0] is None:
                        hold[0] = self._new_parent()
                    return _execution(hold[0].ask(job, patience))
                except SandboxError as error:
                    failure = str(error)
                    self._discard(hold)
        problem = {"type": "SandboxError", "message": failure}
        return Execution(status="undecided", problem=problem)

    def _job(self, program: Program) -> dict[str, Any]:
        seconds = self.seconds if program.seconds is None else program.seconds
        if not seconds > 0:
            raise InvalidArgument(f"Program: seconds must be more than 0, got {seconds}.")
        names = ("code", "tests", "entry_point", "expression", "forked", "stdin")
        job = {name: getattr(program, name) for name in names}
        return job | {"files": dict(program.files), "seconds": seconds}

    @contextmanager
    def _borrowed(self) -> Generator[list[Parent | None]]:
        """Lend a place in the pool: a list of one warm parent, or of None for none yet."""
        if self._closed:
            raise SandboxError("Sandbox: it is closed; make a new one.")
        hold = [self._free.get()]
        try:
            yield hold
        except BaseException:  # an interrupt: nobody will read the answer under way
            self._discard(hold)
            raise
        finally:
            self._free.put(hold[0])

    def _new_parent(self) -> Parent:
        parent = Parent(self._settings | {"level": self.level})
        with self._lock:
            if not self._closed:
                self._parents.add(parent)
                return parent
        parent.close()
        raise SandboxError("Sandbox: it was closed.")

    def _discard(self, hold: list[Parent | None]) -> None:
        parent, hold[0] = hold[0], None
        if parent is not None:
            parent.close()
            with self._lock:
                self._parents.discard(parent)

    def close(self) -> None:
        """End every warm parent, and with it every check. Closing twice is fine."""
        atexit.unregister(self.close)
        with self._lock:
            self._closed = True
            parents, self._parents = self._parents, set[Parent]()
        for parent in parents:
            parent.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _execution(reply: Mapping[str, Any]) -> Execution:
    """Read an answer. A program that found its token chose `value`, `tests` and `problem`."""
    status, problem, value = reply["status"], reply["problem"], None
    tests: tuple[Status, ...] = ()
    try:
        tests = tuple(_status(test) for test in reply.get("tests", ()))
        value = decode(reply.get("value"))
    except Exception as error:  # whatever hostile data makes of a decoder
        status, problem = "error", {"type": "Nonsense", "message": f"its report: {error!r}"}
    if problem is not None:
        said = {name: problem[name] for name in _PROBLEM if name in problem}
        problem = {k: v if isinstance(v, int) else str(v)[:2000] for k, v in said.items()}
    return Execution(
        status=status,
        value=value,
        problem=problem,
        tests=tests,
        stdout=reply["stdout"],
        stderr=reply["stderr"],
        seconds=reply["seconds"],
        cpu_seconds=reply["cpu"],
    )


def _status(test: Mapping[str, Any]) -> Status:
    if test.get("timeout"):
        return "timeout"
    problem = test["problem"]
    if problem is None:
        return "ok"
    return "memory" if problem["type"] == "MemoryError" else "error"


_default: Sandbox | None = None
_default_lock = threading.Lock()


def default_sandbox() -> Sandbox:
    """Return the pool that verifiers share; made when first asked for."""
    global _default
    with _default_lock:
        if _default is None or _default._closed:  # pyright: ignore[reportPrivateUsage]
            _default = Sandbox()
        return _default
