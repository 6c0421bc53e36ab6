"""The process that compares untrusted mathematics with sympy; started by `math_answer.py`, by path.

Sympy may take for ever, or all memory, on an answer such as 9**9**9**9. The parent kills this
process at the time limit; memory and files are limited here.
"""

import contextlib
import pickle
import re
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

ADDRESS_BYTES = 2 << 30


def understood(text: str) -> list[Any]:
    """Return what sympy makes of an answer: expressions, sets, equations; nothing for prose."""
    latex = re.sub(r"(?<![\\a-zA-Z])(pi|theta|infty)\b", r"\\\1", text.replace("**", "^"))
    library: Any = import_module("math_verify")
    ways = (
        (f"${latex}$", library.LatexExtractionConfig()),
        (text, library.ExprExtractionConfig()),
    )
    for written, way in ways:
        found: list[Any] = library.parse(written, [way], parsing_timeout=None)
        known = [item for item in found if not isinstance(item, str)]
        if known:
            return known
    return []


def equal(gold: str, answer: str) -> bool | None:
    """Tell whether two answers are equal; None where one of them is not mathematics."""
    ours, theirs = understood(gold), understood(answer)
    if not ours or not theirs:
        return None
    library: Any = import_module("math_verify")
    return library.verify(ours, theirs, timeout_seconds=None)


def canonical(answer: str) -> str | None:
    """Return one text for all ways to write an answer that sympy simplifies to the same."""
    known = understood(answer)
    sympy: Any = import_module("sympy")
    return str(sympy.simplify(known[0])) if known else None


def serve(channel: Connection) -> None:
    """Answer (function, arguments) until the parent hangs up."""
    functions: dict[str, Callable[..., Any]] = {"equal": equal, "canonical": canonical}
    equal("x+x", canonical("x+x") or "")  # imports and grammars load before the clock runs
    channel.send_bytes(b"ready")
    while True:
        try:
            name, *arguments = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        try:
            answer = functions[name](*arguments)
        except Exception:  # sympy raises anything on nonsense: then it is not mathematics
            answer = None
        channel.send_bytes(pickle.dumps(answer))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(Connection(int(sys.argv[1])))
