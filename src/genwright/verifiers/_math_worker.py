"""Untrusted mathematics compared by sympy; runs in a process of its own (`core/_process_loop.py`).

Sympy may take for ever, or all memory, on an answer such as 9**9**9**9: the parent then kills this
process.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any


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


def equal(gold: str, other: str) -> bool | None:
    """Tell whether two answers are equal; None where one of them is not mathematics."""
    ours, theirs = understood(gold), understood(other)
    if not ours or not theirs:
        return None
    library: Any = import_module("math_verify")
    return library.verify(ours, theirs, timeout_seconds=None)


def canonical(text: str) -> str | None:
    """Return one text for all ways to write an answer that sympy simplifies to the same."""
    known = understood(text)
    sympy: Any = import_module("sympy")
    return str(sympy.simplify(known[0])) if known else None


def prepare() -> None:
    """Load libraries and grammars before the clock of a first comparison runs."""
    equal("x+x", canonical("x+x") or "")


def answer(name: str, *arguments: str) -> Any:
    """Call `equal` or `canonical`; what sympy chokes on is not mathematics."""
    functions: dict[str, Callable[..., Any]] = {"equal": equal, "canonical": canonical}
    try:
        return functions[name](*arguments)
    except Exception:  # sympy raises anything on nonsense
        return None
