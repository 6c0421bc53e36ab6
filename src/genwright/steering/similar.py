"""A filter on what a word means: those near another word.

Choose it for a field of words (weather, kitchen, sea) where no list of them is at hand.

Roush et al. 2022, "Most Language Models can be Poets too", arXiv:2306.15926, Section 3. Ours:
all-MiniLM-L6-v2 (`generators/language/sentences.py`) in place of fastText vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, method
from genwright.steering.filters import PAPER, fold

if TYPE_CHECKING:
    from genwright.generators.language.sentences import MiniLM

_vectors: dict[str, NDArray[np.float32]] = {}
"""Folded text -> unit vector: 1.5 kB each; every filter of a process shares them."""


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Similar:
    """Allows texts whose meaning is near that of a word.

    Embedding is the slowest of all filters (about a millisecond a text), so `TokenFilter` and
    `WordConstraint` ask it last, about what the others left.

    Args:
        word: a word or a few.
        at_least: cosine similarity in [-1, 1]; unrelated words have about 0.2.
    """

    word: str
    at_least: float = 0.5

    def __post_init__(self) -> None:
        if not fold(self.word).strip() or not -1 <= self.at_least <= 1:
            raise InvalidArgument(
                "Similar: word must hold a word and at_least be -1 to 1, got "
                f"{self.word!r} and {self.at_least}."
            )

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order; texts without a letter are refused.

        Raises:
            ModelNotFound: MiniLM is nowhere.
            MissingExtra: torch or transformers is not installed.
        """
        forms = [fold(text).strip() for text in texts]
        fresh = {f for f in (*forms, fold(self.word).strip()) if _has_letter(f)} - _vectors.keys()
        ordered = sorted(fresh)
        _vectors.update(zip(ordered, _embed()(ordered), strict=True))
        wanted = _vectors[fold(self.word).strip()]
        return [
            _has_letter(form) and float(_vectors[form] @ wanted) >= self.at_least for form in forms
        ]


def _has_letter(text: str) -> bool:
    return any(c.isalpha() for c in text)


@cache
def _embed() -> "MiniLM":
    from genwright.generators.language.sentences import MiniLM

    return MiniLM()
