"""Read what draws write after each of two codes: one step of the guide for all draws of a batch.

The engine asks a draw's shapers one draw after the other; the first that is asked in a round has
all of them read, since all have written by then.
"""

import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import Chunk, InvalidArgument, TokenModel

PIECE = 128
"""Tokens of a prompt that are read and scored at a time: 25 MB of logits at 49,152 tokens."""

KEPT_PROMPTS = 32
"""Prompts after a code that are kept for the next draws."""


@dataclass(eq=False)
class Read:
    """A code and a prompt, read: the prompt's log-probability, and the logits that follow."""

    cache: Any
    score: float
    logits: NDArray[np.float32]
    total: float


@dataclass(eq=False, kw_only=True)
class Pair:
    """One draw after each of the two codes.

    Args:
        caches: of the model, one a code.
        scores: float64[2]: log-probability of what was read, the codes left out.
        logits: float32[V] for each code, of the token after what was read.
        totals: logsumexp of each row of logits.
        pending: tokens that were written and not yet read.
    """

    caches: Sequence[Any]
    scores: NDArray[np.float64]
    logits: list[NDArray[np.float32]]
    totals: list[float]
    pending: list[int] = field(default_factory=list[int])


class Reader:
    """Reads for all draws that one guide shapes; used by one thread at a time."""

    def __init__(self, model: TokenModel) -> None:
        self.model = model
        self._prompts: OrderedDict[tuple[int, ...], Read] = OrderedDict()
        self._pairs: weakref.WeakValueDictionary[int, Pair] = weakref.WeakValueDictionary()
        self._numbers = count()
        self._left: deque[Any] = deque()

    def begin(self, code: tuple[int, ...], prompt: Sequence[int]) -> Read:
        """Return a code and a prompt, read once and kept for the next draws."""
        key = (*code, -1, *prompt)
        read = self._prompts.pop(key, None) or self._read_prompt(code, prompt)
        self._prompts[key] = read
        while len(self._prompts) > KEPT_PROMPTS:  # rows hold the prompt that they continue
            self.model.release(self._prompts.popitem(last=False)[1].cache)
        return read

    def pair(self, codes: Sequence[tuple[int, ...]], prompt: Sequence[int]) -> Pair:
        """Return a new draw after each of two codes; its caches are freed after it is gone."""
        begun = [self.begin(code, prompt) for code in codes]
        pair = Pair(
            caches=[self.model.branch(read.cache) for read in begun],
            scores=np.array([read.score for read in begun]),
            logits=[read.logits for read in begun],
            totals=[read.total for read in begun],
        )
        self._pairs[next(self._numbers)] = pair
        weakref.finalize(pair, self._left.extend, list(pair.caches))
        return pair

    def read(self) -> None:
        """Read what draws have written since, all in one step of the model."""
        while self._left:
            self.model.release(self._left.popleft())
        waiting = [pair for _, pair in sorted(self._pairs.items()) if pair.pending]
        if not waiting:
            return
        chunks = [
            Chunk(cache, list(pair.pending), every=len(pair.pending) > 1)
            for pair in waiting
            for cache in pair.caches
        ]
        rows = self.model.step(chunks)
        at = 0
        for pair in waiting:
            size = len(pair.pending)
            for k in range(2):
                _take(pair, k, rows[at : at + size])
                at += size
            pair.pending.clear()

    def _read_prompt(self, code: tuple[int, ...], prompt: Sequence[int]) -> Read:
        if len(code) + len(prompt) >= self.model.context:
            raise InvalidArgument(
                f"BayesGuide: the prompt has {len(prompt)} tokens; the guide reads at most "
                f"{self.model.context - 1 - len(code)} after its code. Shorten the prompt."
            )
        cache, score = self.model.new_cache(), 0.0
        row = self.model.step([Chunk(cache, code)])[0]
        for start in range(0, len(prompt), PIECE):
            piece = list(prompt[start : start + PIECE])
            rows = self.model.step([Chunk(cache, piece, every=True)])
            for token, after in zip(piece, rows, strict=True):
                score += float(row[token]) - _total(row)
                row = after
        return Read(cache, score, row.copy(), _total(row))


def _take(pair: Pair, k: int, rows: NDArray[np.float32]) -> None:
    """Score what a draw wrote after one code, and keep the logits of what follows."""
    before, total = pair.logits[k], pair.totals[k]
    for token, row in zip(pair.pending, rows, strict=True):
        pair.scores[k] += float(before[token]) - total
        before, total = row, _total(row)
    pair.logits[k], pair.totals[k] = before.copy(), total


def _total(row: NDArray[np.float32]) -> float:
    peak = float(row.max())
    return peak + float(np.log(np.exp(row - peak, dtype=np.float32).sum(dtype=np.float64)))
