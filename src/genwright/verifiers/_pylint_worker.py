"""What a process of pylint does; `core/_process_loop.py` runs it.

One process checks many files of a project: what astroid read of other modules is kept, what it read
of the file in question is forgotten, and all of it where the next file is of another project, whose
packages may have the same names. Nothing of the project is imported.
"""

import io
import sys
from importlib import import_module
from typing import Any, cast

CHECKS = "syntax-error,no-member,undefined-variable"

_last = [""]
"""The root of the project that was asked about last."""


def prepare() -> None:
    """Load pylint before the clock runs."""
    import_module("pylint.lint")


def answer(root: str, path: str, code: str) -> list[tuple[str, int, str]]:
    """Return (check, line, message) for everything that is wrong in a file with this text."""
    from pylint.lint import Run
    from pylint.reporters import CollectingReporter

    found, manager = CollectingReporter(), cast("Any", import_module("astroid")).MANAGER
    if _last != [root]:
        manager.clear_cache()
        sys.path_importer_cache.clear()
        _last[:] = [root]
    where, standard = list(sys.path), sys.stdin
    sys.path.insert(0, root)
    sys.stdin = io.TextIOWrapper(io.BytesIO(code.encode("utf-8", "replace")), encoding="utf-8")
    settings = ["--rcfile=/dev/null", "--persistent=no", "--disable=all", f"--enable={CHECKS}"]
    try:
        Run([*settings, "--from-stdin", path], reporter=found, exit=False)
    finally:
        sys.path[:], sys.stdin = where, standard
        mine = [name for name, module in manager.astroid_cache.items() if module.file == path]
        for name in mine:
            del manager.astroid_cache[name]
    return [(m.symbol, m.line, m.msg) for m in found.messages]
