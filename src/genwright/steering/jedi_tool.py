"""Complete Python names as an editor does, by Jedi, in a process of its own.

Halter et al., Jedi (https://jedi.readthedocs.io): static analysis that reads a project and runs
none of it. Ours: it works on a copy of the project's `.py` and `.pyi` files, in a process that
refuses to import anything from there; an answer has a limit of time, after which the process is
killed and started anew; answers are kept, so that draws which begin alike ask once.
"""

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from genwright.core import InvalidArgument, MissingFile, require
from genwright.core.processes import NoAnswer, Process
from genwright.steering.completion import CompletionTool, Tally

MEBIBYTES = 4096
PARSED_MEBIBYTES = 64
"""What Jedi keeps of one parsed file on the disk is smaller."""
ANSWERS = 4096
"""Answers kept for each project."""
READ = (".py", ".pyi")
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages"}


@dataclass(frozen=True, kw_only=True)
class JediTool:
    """Completes names in a Python project as it was when it was first asked about.

    Tools of one project share a process, what they know, and a tally.

    Args:
        project: its folder: what imports start from.
        seconds: the most an answer may take; a later one is none, and counted.

    Raises:
        InvalidArgument: a limit that is not above 0.
    """

    project: str
    seconds: float = 2.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise InvalidArgument(f"JediTool: seconds must be above 0, got {self.seconds}.")

    def complete(self, file: str, before: str, after: str) -> list[str]:
        """Return what may follow the cursor to finish a name.

        Raises:
            MissingFile: there is no such project.
            MissingExtra: Jedi is not installed.
            SandboxError: the process cannot be started.
        """
        return self._desk().ask(file, before, after, self.seconds)

    @property
    def tally(self) -> Tally:
        """What was asked about this project."""
        return self._desk().tally

    def look(self) -> None:
        """Look whether it can be asked, without asking.

        Raises:
            MissingFile: there is no such project.
            MissingExtra: Jedi is not installed.
        """
        if find_spec("jedi") is None:
            require("jedi", extra="code", needed_by="JediTool")
        if not Path(self.project).is_dir():
            raise MissingFile(f"JediTool: there is no folder {self.project!r} to complete from.")

    def _desk(self) -> "_Desk":
        self.look()
        where = str(Path(self.project).resolve())
        key = (os.getpid(), where)  # a fork must not read the answers of its parent
        with _opening:
            if key not in _desks:
                _desks[key] = _Desk(where)
            return _desks[key]


def opened(tool: CompletionTool | str | Path) -> CompletionTool:
    """Return a tool as it is, and Jedi for the folder of a project.

    Raises:
        MissingFile: there is no such folder.
        MissingExtra: Jedi is not installed.
    """
    if not isinstance(tool, str | Path):
        return tool
    made = JediTool(project=str(tool))
    made.look()
    return made


class _Desk:
    """One project: its copy, the process that knows it, and the answers it gave."""

    def __init__(self, project: str) -> None:
        self.tally = Tally()
        self._folder = Path(tempfile.mkdtemp(prefix="genwright-jedi-"))
        atexit.register(self.close)
        self._owner = os.getpid()
        _copy(Path(project), self._folder / "project")
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._answers: OrderedDict[tuple[str, str, str], list[str]] = OrderedDict()

    def ask(self, file: str, before: str, after: str, seconds: float) -> list[str]:
        """Return the answer, or none where the process failed."""
        with self._lock:
            key = (file, before, after)
            known = self._answers.pop(key, None)
            if known is None:
                known = self._answered(key, seconds)
                if known is None:
                    return []
            self._answers[key] = known
            while len(self._answers) > ANSWERS:
                self._answers.popitem(last=False)
            return list(known)

    def close(self) -> None:
        """End the process and drop the copy; a fork leaves both to the process that made them."""
        if os.getpid() == self._owner:
            self._stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _answered(self, question: tuple[str, str, str], seconds: float) -> list[str] | None:
        if self._process is None:
            self._process = Process(
                Path(__file__).with_name("_jedi_worker.py"), MEBIBYTES, str(self._folder),
                file_mebibytes=PARSED_MEBIBYTES,
            )  # fmt: skip
        self.tally.asked += 1
        began, reply = time.monotonic(), None
        try:
            reply = self._process.ask(question, seconds)
        except NoAnswer:
            self._stop()
        self.tally.seconds += time.monotonic() - began
        if reply is None:
            self.tally.failed += 1
            return None
        self.tally.known += bool(reply)
        return reply

    def _stop(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process = None


_desks: dict[tuple[int, str], _Desk] = {}
_opening = threading.Lock()


def _copy(source: Path, target: Path) -> None:
    """Copy what Jedi reads; hidden folders and other people's packages stay behind."""
    target.mkdir()
    for folder, inside, files in os.walk(source):
        inside[:] = [n for n in inside if n not in SKIPPED_FOLDERS and not n.startswith(".")]
        here = target / Path(folder).relative_to(source)
        for name in files:
            if name.endswith(READ):
                here.mkdir(parents=True, exist_ok=True)
                with suppress(OSError):  # a link that leads nowhere
                    shutil.copyfile(Path(folder) / name, here / name)
