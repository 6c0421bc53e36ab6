"""The warm parent: a bare Python that forks one confined child for each check.

`sandbox.py` starts it with an empty environment and speaks JSON lines with it over descriptor 0.
It does one job at a time; several warm parents make a pool. Standard library only.

Levels: at "namespaces" every child is the first process of a new pid namespace, inside a file tree,
network and IPC of the warm parent's own; at "limits" it is a process of its own session. See
`sandbox.py` for what each level stops.
"""

import gc
import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwright.verifiers import _confine, _runner
    from genwright.verifiers._check import do
else:  # as a program of its own it belongs to no package
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import _confine
    import _runner
    from _check import do

    sys.path.pop(0)


def _nothing_at_fork(**_: object) -> None:
    """Stand for `os.register_at_fork` while libraries are loaded."""


# What programs import most: loaded once here, so that a fork has it for nothing. More is not
# better: every further library makes every fork dearer. And every check starts from one state of
# `random`, which left to itself would seed itself anew in every fork: a fifth of what one costs.
_register, os.register_at_fork = os.register_at_fork, _nothing_at_fork
for _name in (
    *("bisect", "collections", "copy", "datetime", "enum", "functools", "heapq", "itertools"),
    *("math", "operator", "random", "re", "string", "typing"),
):
    __import__(_name)
os.register_at_fork = _register
sys.modules["random"].seed(0)

LINUX = sys.platform == "linux"
LIBRARY = os.path.dirname(os.__file__)


class Zygote:
    """What one warm parent knows: how it confines, where children work, where they are born."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.level: str = settings["level"]
        self.enforced: list[str] = ["time", "memory", "processes", "file size"]
        # A user that nobody else is: the kernel then counts the processes of our checks alone.
        self.user = 1_879_000_000 + settings["pid"] if os.getuid() == 0 else 0
        self.reader = False
        self.jobs = 0
        if self.level == "namespaces":
            self._enter_namespaces()
            self._filter(alone=False)
            self.enforced += ["files", "other processes", "leftovers", "calls"]
            self.enforced += [] if settings["network"] else ["network"]
        else:
            self.base = settings["folder"]
            self._probe()

    def _enter_namespaces(self) -> None:
        """Move to namespaces of our own, and go on as the first process of them."""
        settings = self.settings
        _confine.leave_namespaces(network=settings["network"])
        inner = os.fork()
        if inner:
            os.close(0)
            _, status = os.waitpid(inner, 0)
            os._exit(0 if status == 0 else 1)
        _confine.prctl(_confine.PR_SET_PDEATHSIG, signal.SIGKILL)
        self.birthplace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        _confine.private_root(
            settings["folder"], disk_mb=settings["disk_mb"], network=settings["network"]
        )

    def _probe(self) -> None:
        """Learn, in throwaway children, which of the kernel's locks work here."""
        self.locks: set[str] = set()
        if not LINUX:
            return
        _confine.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans of a check come back to us
        self.enforced.append("leftovers")
        for lock, brings in (("landlock", ["files"]), ("seccomp", ["calls"])):
            if _works(lambda lock=lock: self._apply(lock, self.base)):
                self.locks.add(lock)
                self.enforced += brings
        if self.user and "landlock" in self.locks:
            self.reader = not _works(lambda: (_confine.become(self.user), os.listdir(LIBRARY)))
        if "seccomp" in self.locks:
            self.enforced.append("other processes")
            self.enforced += [] if self.settings["network"] else ["network"]

    def _apply(self, lock: str, work: str) -> None:
        if lock == "landlock":
            _confine.landlock(work)
        else:
            self._filter(alone=True)

    def _filter(self, *, alone: bool) -> None:
        network = self.settings["network"]
        _confine.seccomp(_confine.seccomp_filter(network=network, alone=alone))

    def fresh_folder(self) -> str:
        """Return an empty folder for one check, and name it in the environment."""
        work = self._empty_folder()
        for name in ("HOME", "TMPDIR"):
            if os.environ.get(name) != work:
                os.environ[name] = work
        return work

    def _empty_folder(self) -> str:
        self.jobs += 1
        if self.level == "namespaces":
            try:
                clean = os.stat("/work").st_mode == stat.S_IFDIR | 0o777 and not os.listdir("/work")
            except OSError:
                clean = False
            if not clean:
                _confine.fresh_work(self.settings["disk_mb"])
            return "/work"
        work = os.path.join(self.base, f"check-{os.getpid()}-{self.jobs}")
        os.mkdir(work, 0o700)
        if self.user:
            os.chown(work, self.user, self.user)
        return work

    def remove(self, work: str) -> None:
        """Remove what a check left in its folder. In namespaces the next check does it."""
        if self.level == "limits":
            import shutil  # here, as its libraries would make the forks of the other level dearer

            shutil.rmtree(work, onerror=_insist)

    def spawn(
        self,
        job: dict[str, Any],
        work: str,
        descriptors: dict[str, Any],
        role: str,
        secret: dict[str, Any],
    ) -> int:
        """Fork a confined child that plays one role of a job; return its process id.

        The child empties its copy of `secret` before it does anything else.
        """
        if self.level == "namespaces":
            _confine.unshare(_confine.CLONE_NEWPID)
        child = os.fork()
        if child:
            if self.level == "namespaces":
                _confine.back_to(self.birthplace)
            return child
        try:
            secret.clear()
            self._confine_self(job, work, descriptors)
            if role == "program":
                _runner.run_program(job, descriptors["line"])
            elif role == "judge":
                _runner.run_judge(job, descriptors["report"], descriptors["line"])
            else:
                _runner.run_shared(job, descriptors["report"], descriptors["orders"])
        except MemoryError:
            os._exit(70)
        except BaseException as error:
            try:
                os.write(2, f"{type(error).__name__}: {error}"[:2000].encode())
            finally:
                os._exit(71)
        os._exit(0)

    def _confine_self(self, job: dict[str, Any], work: str, descriptors: dict[str, Any]) -> None:
        """Give up, for good, everything the program must not have."""
        os.setsid()
        for target, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(descriptors[name], target)
        keep = sorted(descriptors[n] for n in ("report", "orders", "line") if n in descriptors)
        for low, high in zip([2, *keep], [*keep, 256], strict=True):
            os.closerange(low + 1, high)
        settings = self.settings
        _confine.limits(
            CPU=int(job["wall"]) + 2,
            AS=settings["memory_mb"] << 20,
            NPROC=settings["processes"],
            FSIZE=settings["file_mb"] << 20,
        )
        if self.user:
            _confine.become(self.user, reader=self.reader)
        elif self.level == "namespaces":
            _confine.keep_capabilities(0)
        if self.level == "limits" and LINUX:
            _confine.prctl(_confine.PR_SET_PDEATHSIG, signal.SIGKILL)
            for lock in sorted(self.locks):
                self._apply(lock, work)
        os.chdir(work)
        for name, text in job["files"].items():
            path = os.path.join(work, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text)

    def sweep(self, children: list[int]) -> None:
        """Kill what a check left running. In namespaces the kernel did, with the child."""
        if self.level == "namespaces":
            return
        for child in children:
            try:
                os.killpg(child, signal.SIGKILL)
            except OSError:
                continue
        if self.user:
            killer = os.fork()
            if killer == 0:
                _confine.become(self.user)
                try:
                    os.kill(-1, signal.SIGKILL)
                finally:
                    os._exit(0)
            os.waitpid(killer, 0)
        while LINUX:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                orphans = [int(word) for word in file.read().split()]
            if not orphans:
                return
            for orphan in orphans:
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, 0)


def _works(trial: Callable[[], object]) -> bool:
    """Try something irrevocable in a child that ends with it."""
    child = os.fork()
    if child == 0:
        try:
            trial()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _insist(function: object, path: str, _: object) -> None:
    """Remove a folder that a program closed to itself."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700, follow_symlinks=False) if os.path.islink(path) else os.chmod(path, 0o700)
    if os.path.isdir(path):
        for name in os.listdir(path):
            _insist(function, os.path.join(path, name), _)
        os.rmdir(path)
    else:
        os.unlink(path)


def main() -> None:
    """Read settings, confine, and serve jobs until the other end closes."""
    reader = os.fdopen(0, "rb", closefd=False)
    settings = json.loads(reader.readline())
    os.environ.clear()
    os.environ["PATH"] = "/usr/bin:/bin"
    _confine.limits(NOFILE=64, CORE=0, MSGQUEUE=0, MEMLOCK=0)
    _runner.standard_streams()
    try:
        zygote = Zygote(settings)
    except OSError as error:
        _runner.send(0, {"refused": str(error)})
        os._exit(1)
    _runner.send(0, {"enforced": sorted(zygote.enforced)})
    exec(compile("def f(x):\n    return x\nassert f(1)", "warm", "exec"), {})
    gc.collect()
    gc.freeze()
    while text := reader.readline():
        job = json.loads(text)
        del text
        _runner.send(0, do(zygote, job))
    os._exit(0)


if __name__ == "__main__":
    main()
