"""What filters share: their protocol, how texts are folded, how they are named in messages.

A filter judges one text at a time, the string of a token or a whole word: `lexical.py` by spelling,
`phonetic.py` by sound, `similar.py` by meaning. A filter of your own is a registered dataclass with
`allows`.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import MISSING, fields
from functools import lru_cache
from threading import RLock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PAPER = "arXiv:2306.15926"
_DROPPED = {"Mn", "Me", "Cf"}
"""Combining marks, and characters that are not seen (a soft hyphen, a joiner of no width)."""

judging = RLock()
"""Held while a vocabulary or lexicon is judged: threads that come second find the answers kept."""


class Filter(Protocol):
    """Something that allows some texts and refuses the others, each on its own."""

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        ...


@lru_cache(1 << 16)
def fold(text: str) -> str:
    """Return a text without case, accents, width and invisible characters: `Ｅ́` becomes `e`."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in plain if unicodedata.category(c) not in _DROPPED)


def named(thing: Any) -> str:
    """Return a filter as a user would write it: its class and what is not at its default."""
    shown = (f for f in fields(thing) if f.init and f.repr)
    given = {f.name: getattr(thing, f.name) for f in shown if _is_set(f, getattr(thing, f.name))}
    settings = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return f"{type(thing).__name__}({settings})"


def contradicting(
    filters: Sequence[Filter], kept: Sequence[NDArray[np.bool_]]
) -> list[tuple[Filter, int]]:
    """Return a smallest set of filters that leave nothing together, with what each leaves alone.

    Args:
        filters: which leave nothing together.
        kept: bool[N] for each: the texts it allows.
    """
    guilty = list(range(len(filters)))
    for i in range(len(filters)):
        others = [j for j in guilty if j != i]
        if others and not np.logical_and.reduce([kept[j] for j in others]).any():
            guilty = others
    return [(filters[i], int(kept[i].sum())) for i in guilty]


def _is_set(field: Any, value: Any) -> bool:
    return field.default is MISSING or value != field.default
