"""The process that asks Jedi; `jedi_tool.py` starts it, by path.

    python -P _jedi_worker.py SOCKET FOLDER

FOLDER holds a copy of a project in `project`; parsed files are kept beside it. A question is
`[file, before, after]` in JSON, an answer a list of texts, or null where Jedi raised.
"""

import contextlib
import json
import os
import resource
import shutil
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

MEBIBYTES = 4096


OTHERS = ("path", "string")
"""Kinds of completions that are no names: of files, and of keys in quotes."""


def refuse_imports_from(folder: Path) -> None:
    """Let modules of a folder be found and read, and never run."""
    run = SourceFileLoader.exec_module

    def guarded(self: SourceFileLoader, module: ModuleType) -> None:
        if folder in Path(self.path).parents:
            raise ImportError(f"{module.__name__} is project code")
        run(self, module)

    SourceFileLoader.exec_module = guarded


def completer(root: Path) -> Any:
    """Return the function from a question to its answer."""
    jedi: Any = import_module("jedi")
    jedi.settings.cache_directory = str(root.parent / "parsed")
    jedi.settings.auto_import_modules = []  # Jedi's own list of modules to run
    project = jedi.Project(root, sys_path=[str(root), *sys.path], smart_sys_path=False)
    environment = jedi.InterpreterEnvironment()

    def answer(file: str, before: str, after: str) -> list[str] | None:
        line, start = before.count("\n") + 1, before.rfind("\n") + 1
        try:
            script = jedi.Script(
                before + after, path=root / file, project=project, environment=environment
            )
            found = script.complete(line, len(before) - start)
            names = [(c.complete or "").strip() for c in found if c.type not in OTHERS]
        except Exception:  # Jedi raises many kinds on code that is being written
            return None
        return [name for name in names if name]

    return answer


def main(socket: int, folder: Path) -> None:
    """Answer one question after another until the parent hangs up."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEBIBYTES << 20, MEBIBYTES << 20))
    root = folder.resolve() / "project"
    answer = completer(root)
    answer("warm.py", "import os\nos.pa", "")  # its stubs of built-ins take a second
    refuse_imports_from(root)
    channel = Connection(socket)
    channel.send_bytes(b"ready")
    try:
        while True:
            question = json.loads(channel.recv_bytes())
            channel.send_bytes(json.dumps(answer(*question)).encode())
    except (EOFError, OSError):  # who asked is gone, and cannot clear up
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), Path(sys.argv[2]))
    finally:
        os._exit(0)  # to take Jedi's caches apart takes seconds
