"""A language model small enough to enumerate: random conditional tables over a tiny vocabulary.

Exactness is proved on it. Every prefix up to `depth` tokens has its own next-token distribution;
longer ones share the distribution of their last `depth` tokens. Tests walk every string it can
write and compare an engine, a constraint or a sampler with the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from genwright.core import Chunk, InvalidArgument, Vocabulary

ALPHABET = "abcdefghij"


@dataclass(eq=False)
class TabularCache:
    """The tokens of one sequence, and those of the last chunk that `keep` may choose from."""

    tokens: list[int] = field(default_factory=list[int])
    before: int = 0


class TabularModel:
    """Random conditional tables.

    Args:
        size: tokens in the vocabulary, 3 to 11: letters from "a" on, and the end token last.
        depth: how many tokens back the next one depends on, 0 to 8.
        seed: of the tables.
        sharpness: standard deviation of the logits.

    Raises:
        InvalidArgument: size or depth out of range.
    """

    def __init__(
        self, *, size: int = 4, depth: int = 3, seed: int = 0, sharpness: float = 1.5
    ) -> None:
        if not 3 <= size <= 11 or not 0 <= depth <= 8:
            raise InvalidArgument(
                f"TabularModel: size must be 3 to 11 and depth 0 to 8, got {size} and {depth}."
            )
        self.depth, self.seed, self.sharpness = depth, seed, sharpness
        letters = ALPHABET[: size - 1]
        self.vocabulary = Vocabulary(
            [*(c.encode() for c in letters), b""],
            frozenset({size - 1}),
            lambda text: [letters.index(c) for c in text],
            f"tabular-{size}",
        )
        self.context = 4096
        self.evaluations: list[tuple[int, ...]] = []
        """The tokens of every chunk that was evaluated, in order: what tests count."""

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return float32[V] logits of the token after `tokens`."""
        tail = tuple(tokens[max(0, len(tokens) - self.depth) :])
        digest = blake2b(repr((self.seed, tail)).encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        return (self.sharpness * rng.standard_normal(len(self.vocabulary))).astype(np.float32)

    def log_probabilities(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Return float64[V] log-probabilities of the token after `tokens`, at temperature 1."""
        logits = self.logits(tokens).astype(np.float64)
        return logits - np.logaddexp.reduce(logits)

    def new_cache(self, source: TabularCache | None = None, length: int = 0) -> TabularCache:
        """Return a cache that starts with a copy of another's first tokens."""
        return TabularCache([] if source is None else source.tokens[:length])

    def branch(self, cache: TabularCache) -> TabularCache:
        """Return a cache that continues another."""
        return TabularCache(list(cache.tokens))

    def fork(self, cache: TabularCache) -> TabularCache:
        """Return an independent copy."""
        return TabularCache(list(cache.tokens))

    def step(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Append every chunk and return float32[rows, V] logits."""
        rows: list[NDArray[np.float32]] = []
        for chunk in chunks:
            cache: TabularCache = chunk.cache
            cache.before = len(cache.tokens)
            paths: list[list[int]] = []
            for i, token in enumerate(chunk.tokens):
                parent = i - 1 if chunk.parents is None else chunk.parents[i]
                paths.append([*(cache.tokens if parent < 0 else paths[parent]), token])
            rows += [self.logits(path) for path in (paths if chunk.every else paths[-1:])]
            cache.tokens += chunk.tokens
            self.evaluations.append(tuple(chunk.tokens))
        return np.stack(rows)

    def keep(self, cache: TabularCache, nodes: Sequence[int]) -> None:
        """Keep one path of the chunk that was appended last."""
        last = cache.tokens[cache.before :]
        cache.tokens[cache.before :] = [last[n] for n in nodes]

    def release(self, cache: TabularCache) -> None:
        """Nothing to free."""
