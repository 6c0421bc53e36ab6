"""The tokens of a vocabulary by their bytes: which begin with a text, which spell one."""

from bisect import bisect_left
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genwright.core import Vocabulary

Spelled = tuple[int, tuple[int, ...]]
"""(token, tokens that spell the rest of it)."""

KEPT = 16
"""Beginnings for which the rests of all tokens are kept spelled."""


class Pieces:
    """The tokens of a vocabulary, sorted by what they spell.

    Args:
        vocabulary: special tokens, which spell nothing, are left out.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._ids = sorted(
            (i for i, token in enumerate(vocabulary.tokens) if token),
            key=vocabulary.tokens.__getitem__,
        )
        self._tokens = [vocabulary.tokens[i] for i in self._ids]
        self._by_bytes = dict(zip(self._tokens, self._ids, strict=True))
        self._inside: dict[bytes, list[Spelled]] = {}
        self.longest = max(map(len, self._tokens))

    @cached_property
    def written(self) -> NDArray[np.intp]:
        """The ids of the tokens that spell something, in order."""
        return np.sort(np.array(self._ids, np.intp))

    def beginning_with(self, data: bytes) -> NDArray[np.intp]:
        """Return the ids of the tokens that begin with some bytes, or are them."""
        first = bisect_left(self._tokens, data)
        last = bisect_left(self._tokens, data + b"\xff" * self.longest, first)
        return np.array(self._ids[first:last], np.intp)

    def spelling(self, data: bytes) -> int | None:
        """Return the id of the token that is just these bytes, or None."""
        return self._by_bytes.get(data)

    def spelling_beginnings(self, data: bytes) -> list[tuple[int, int]]:
        """Return (size, id) of each token that is a beginning of some bytes, the short first."""
        sizes = range(1, min(self.longest, len(data)) + 1)
        found = [(size, self.spelling(data[:size])) for size in sizes]
        return [(size, token) for size, token in found if token is not None]

    def inside(self, before: bytes) -> list[Spelled]:
        """Return each token that begins with some bytes, with tokens that spell the rest of it."""
        found = self._inside.get(before)
        if found is None:
            found = []
            for token in self.beginning_with(before).tolist():
                rest = bytes(self.vocabulary.tokens[token])[len(before) :]
                spelled = self.spelled(rest)
                if spelled or not rest:
                    found.append((token, spelled))
            if len(self._inside) >= KEPT:
                self._inside.clear()
            self._inside[before] = found
        return found

    def spelled(self, data: bytes) -> tuple[int, ...]:
        """Return tokens that spell some bytes, long ones first; none where a byte has no token."""
        found: list[int] = []
        while data:
            sizes = range(min(self.longest, len(data)), 0, -1)
            size = next((size for size in sizes if data[:size] in self._by_bytes), 0)
            if not size:
                return ()
            found.append(self._by_bytes[data[:size]])
            data = data[size:]
        return tuple(found)
