"""Assertions read out of text that a language model wrote.

Chen et al. 2022, "CodeT", arXiv:2207.10397, Section 2.1: the assert statements of a draw that call
the function in question are its tests. Ours: they are found by parsing, so that one cut short or
garbled is no test, and written in one canonical form, so that equal ones are equal texts.
"""

import ast
import re
import warnings

MOST_LINES = 20
"""Lines of one assertion; what follows cannot belong to it."""


def read_asserts(text: str, entry_point: str) -> list[str]:
    """Return the assertions in a text that mention a function, in order, repeats included."""
    found: list[str] = []
    for piece in re.split(r"\bassert\b", text)[1:]:
        statement = _assertion(piece)
        if statement is not None and _mentions(statement, entry_point):
            found.append(ast.unparse(statement))
    return found


def _assertion(piece: str) -> ast.Assert | None:
    """Parse the shortest run of lines after the word `assert` that is a whole statement."""
    lines = piece.strip().splitlines()[:MOST_LINES]
    for end in range(1, len(lines) + 1):
        source = "assert " + "\n".join(lines[:end]).strip()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # the model's style, not ours
                body = ast.parse(source).body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        if body and isinstance(body[0], ast.Assert):
            return body[0]
    return None


def _mentions(statement: ast.Assert, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(statement))
