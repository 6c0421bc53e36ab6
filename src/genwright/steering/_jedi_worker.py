"""What the process of Jedi does; `core/_process_loop.py` runs it.

Its one argument is a folder with a copy of a project in `project`; parsed files are kept beside it.
A question is (file, before, after), an answer a list of texts, or None where Jedi raised. Nothing
of the project is run.
"""

import os
import shutil
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

OTHERS = ("path", "string")
"""Kinds of completions that are no names: of files, and of keys in quotes."""

_jedi: dict[str, Any] = {}
"""The project, Jedi's own and where it is, once `prepare` was called."""


def prepare(folder: str) -> None:
    """Load Jedi and its stubs of built-ins, which takes a second, before the clock runs."""
    jedi: Any = import_module("jedi")
    root = Path(folder).resolve() / "project"
    jedi.settings.cache_directory = str(root.parent / "parsed")
    jedi.settings.auto_import_modules = []  # Jedi's own list of modules to run
    project = jedi.Project(root, sys_path=[str(root), *sys.path], smart_sys_path=False)
    known = {"project": project, "environment": jedi.InterpreterEnvironment()}
    _jedi.update(script=jedi.Script, root=root, known=known)
    answer("warm.py", "import os\nos.pa", "")
    refuse_imports_from(root)


def answer(file: str, before: str, after: str) -> list[str] | None:
    """Return what may follow the cursor between the two texts to finish a name."""
    line, start = before.count("\n") + 1, before.rfind("\n") + 1
    try:
        script = _jedi["script"](before + after, path=_jedi["root"] / file, **_jedi["known"])
        found = script.complete(line, len(before) - start)
        names = [(c.complete or "").strip() for c in found if c.type not in OTHERS]
    except Exception:  # Jedi raises many kinds on code that is being written
        return None
    return [name for name in names if name]


def finish(folder: str) -> None:
    """Clear up, which who asked cannot any more."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # to take Jedi's caches apart takes seconds


def refuse_imports_from(folder: Path) -> None:
    """Let modules of a folder be found and read, and never run."""
    run = SourceFileLoader.exec_module

    def guarded(self: SourceFileLoader, module: ModuleType) -> None:
        if folder in Path(self.path).parents:
            raise ImportError(f"{module.__name__} is project code")
        run(self, module)

    SourceFileLoader.exec_module = guarded
