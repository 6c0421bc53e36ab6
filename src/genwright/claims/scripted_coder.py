"""A made-up project, and a scripted model that knows how its names begin and makes up their ends.

What the model should write with a completion tool, and without one, is known to the letter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genwright.core import Vocabulary, uniform
from genwright.generators.language.tabular import TabularModel
from genwright.steering.completion import TRIGGER

SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "no", "pi", "ru", "sa", "to")
MARK, END = 256, 257
SURE, UNSURE = 0.9, 0.7
"""Probabilities with which triggers are written, above and below the paper's threshold."""

START = "        return self."


@dataclass(frozen=True)
class MadeProject:
    """A project on disk, and what each of its functions should use.

    Args:
        root: its folder.
        right: class name -> the two members that its function uses.
    """

    root: str
    right: Mapping[str, tuple[str, str]]


def made_project(root: Path, classes: int, seed: int) -> MadeProject:
    """Write a project of classes with six members each, one of whose methods uses two others."""
    package = root / "store"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    right: dict[str, tuple[str, str]] = {}
    for k in range(classes):
        order = sorted(SYLLABLES, key=lambda s: uniform(seed, k, s))[:6]
        names = [f"{s}{t}_{u}" for s, t, u in zip(order, order[1:], order[2:], strict=False)]
        names += [f"{names[0]}_all", order[4] * 3]
        methods = [f"    def {n}(self, value=None):\n        return value\n" for n in names[:-1]]
        fields = f"    def __init__(self):\n        self.{names[-1]} = 0\n"
        right[f"Class{k}"] = names[k % 4], names[-1]
        body = f"        return self.{names[k % 4]}(self.{names[-1]})"
        use = f'    def use(self):\n        """Use a Class{k} once"""\n{body}\n'
        parts = [f"class Class{k}:", fields, *methods, use]
        (package / f"part{k}.py").write_text("\n".join(parts))
    return MadeProject(str(root), right)


class ScriptedCoder(TabularModel):
    """Writes `return self.NAME(self.NAME)` into a method of a class, a trigger before each name.

    Of a name it knows the first three letters; the rest it makes up. Its tokens are bytes.

    Args:
        right: class name -> the two members that its function uses.
    """

    def __init__(self, right: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(size=3)
        self.right = right
        tokens = [bytes([i]) for i in range(256)] + [b"", b""]
        self.vocabulary = Vocabulary(tokens, frozenset({END}), _encode, "scripted")

    def expected(self, head: str) -> str:
        """Return what must come of a function at a threshold of 0.8."""
        kind = _kind(head)
        first, second = self.right[kind]
        known = first if self.certainty(kind) == SURE else made_up(first)
        return f"{START}{known}(self.{second})"

    def certainty(self, kind: str) -> float:
        """Return the probability of the trigger before the first name."""
        return UNSURE if int(kind[5:]) % 3 == 0 else SURE

    def logits(self, tokens: Sequence[int]) -> Any:
        """Return float32[258]."""
        text = self.vocabulary.decode(tokens).decode("utf-8", "replace")
        head, _, written = text.rpartition('"""\n')
        kind = _kind(head)
        marked = bool(tokens) and tokens[-1] == MARK
        row = np.full(len(self.vocabulary), -9.0)
        following, chance = self._script(kind, written, marked)
        row[following] = 9.0
        if chance:
            row[:] = np.log((1 - chance) / (len(row) - 1))
            row[following] = np.log(chance)
        return row.astype(np.float32)

    def _script(self, kind: str, written: str, marked: bool) -> tuple[int, float]:
        """Return the next token, and its probability where it is a trigger's."""
        if START.startswith(written) and written != START:
            return ord(START[len(written)]), 0.0
        first, opened, rest = written[len(START) :].partition("(")
        if not opened:
            if not first and not marked:
                return MARK, self.certainty(kind)
            return _next(made_up(self.right[kind][0]), first, "("), 0.0
        if "self.".startswith(rest) and rest != "self.":
            return ord("self."[len(rest)]), 0.0
        second = rest.removeprefix("self.")
        if second.endswith(")"):
            return END, 0.0
        if not second and not marked:
            return MARK, SURE
        return _next(made_up(self.right[kind][1]), second, ")"), 0.0


def made_up(name: str) -> str:
    """Return a name as a model that knows its beginning would guess it."""
    return f"{name[:3]}zz"


def _next(guess: str, written: str, close: str) -> int:
    """Go on with a guess, then close; a name that somebody else wrote is closed at its end."""
    return ord(guess[len(written)]) if len(written) < len(guess) else ord(close)


def _kind(head: str) -> str:
    found = re.findall(r"Class\d+", head)
    return found[-1] if found else "Class0"


def _encode(text: str) -> list[int]:
    ids: list[int] = []
    for k, part in enumerate(text.split(TRIGGER)):
        ids += [MARK] * (k > 0) + list(part.encode())
    return ids
