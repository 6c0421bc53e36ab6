"""Draws of every mode replayed over a survey: the network is asked once, each mode pays its count.

Comparing ways to sample needs thousands of draws of each. Once every prefix of a finite language
was visited, the walks of the modes get their answers from the survey, and every answer is counted
as the network evaluation that it would have been.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genwright.core import child_seed, uniform
from genwright.generators.language.trie import Row, Trie
from genwright.generators.language.walks import WALKS, Step, winner

Tokens = tuple[int, ...]
Way = Literal["mask", "asap", "exact"]


@dataclass(frozen=True)
class Drawn:
    """One draw: its tokens (None where it was cut off), and the evaluations it took."""

    tokens: Tokens | None
    evaluations: int


class Replay:
    """Draws of one way, one after the other.

    Args:
        survey: every prefix of the language.
        way: a mode.
        seed: draw k uses `child_seed(seed, k)`.
    """

    def __init__(self, survey: Trie, way: Way, seed: int) -> None:
        self.learnt = Trie()
        self._survey, self._way, self._seed = survey, way, seed

    def draw(self, k: int) -> Drawn:
        """Return draw k. Draws of `asap`, and what one of `exact` costs, depend on those before."""
        seed = child_seed(self._seed, k)
        return self._masked(seed) if self._way == "mask" else self._walk(seed)

    def _row(self, path: Sequence[int]) -> Row:
        node = self._survey.find(path)
        row = None if node is None else self._survey.row(node)
        assert row is not None  # a survey holds every prefix
        return row

    def _walk(self, seed: int) -> Drawn:
        walk, asked = WALKS[self._way](self.learnt, seed), 0
        while (step := walk.proceed()) is Step.ASK:
            self.learnt.learn(walk.node, self._row(walk.node.path()))
            asked += 1
        tokens = tuple(choice.token for choice in walk.choices[:-1])
        return Drawn(tokens if step is Step.END else None, asked)

    def _masked(self, seed: int) -> Drawn:
        """Choose token by token among the allowed ones."""
        tokens: list[int] = []
        while True:
            row = self._row(tokens)
            if not len(row.tokens):
                return Drawn(None, len(tokens) + 1)
            choice = winner(row.tokens, row.p, uniform(seed, len(tokens)))
            if row.ends[choice]:
                return Drawn(tuple(tokens), len(tokens) + 1)
            tokens.append(int(row.tokens[choice]))


def total_variation(p: dict[Tokens, float], q: dict[Tokens, float]) -> float:
    """Return half the sum of absolute differences; 1 less the sum counts as a string of its own."""
    apart = sum(abs(p.get(s, 0.0) - q.get(s, 0.0)) for s in p.keys() | q.keys())
    return (apart + abs(sum(p.values()) - sum(q.values()))) / 2


def divergence(p: dict[Tokens, float], q: dict[Tokens, float]) -> float:
    """Return the Kullback-Leibler divergence of p from q in nats; p is normalised first."""
    total = sum(p.values())
    return sum(v / total * math.log(v / total / q[s]) for s, v in p.items() if v > 0)


def frequencies(drawn: Iterable[Drawn]) -> dict[Tokens, float]:
    """Return the share of each string among draws; what was cut off is a share of none."""
    strings = [draw.tokens for draw in drawn]
    found: dict[Tokens, float] = {}
    for tokens in strings:
        if tokens is not None:
            found[tokens] = found.get(tokens, 0.0) + 1 / len(strings)
    return found


def fit(drawn: Sequence[Drawn], law: dict[Tokens, float]) -> float:
    """Return the p-value of Pearson's test that draws come from a law.

    Strings expected less than 5 times are one class; a string outside the law gives 0.
    """
    from scipy.stats import chi2

    n, counts = len(drawn), frequencies(drawn)
    if set(counts) - set(law) or sum(counts.values()) < 1 - 1e-9:
        return 0.0
    common = [s for s, p in law.items() if n * p >= 5]
    pairs = [(n * counts.get(s, 0.0), n * law[s]) for s in common]
    rest = n - sum(e for _, e in pairs)
    if rest > 1e-9 * n:
        pairs.append((n - sum(o for o, _ in pairs), rest))
    if len(pairs) < 2:
        return 1.0
    seen, expected = np.array(pairs).T
    return float(chi2.sf(((seen - expected) ** 2 / expected).sum(), len(pairs) - 1))
