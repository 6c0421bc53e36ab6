"""Does a learned agent choose better settings of a chunk search than the best fixed one?

For `claims/corag.py`: every question is searched under a grid of six cheap rerankers and settings
(C, iterations, lambda). The quality of a selection is its F1 in words against the sentence that
holds the marked answer (ROUGE-1, the paper's measure). Regret is the loss of quality against the
best of the grid for that question.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.claims.xquad import Corpus, Question
from genwright.core import child_seed
from genwright.learning.configuration_agent import ConfigurationLearner
from genwright.search.retrieval import ChunkSearch, Utility
from genwright.search.utilities import BM25Utility

BUDGET = 120
GRID = tuple(product((0.5, 2.0), (1, 6), (0.0, 0.3)))
"""(C, iterations, lambda)."""

HELD_OUT = 0.15
SPLITS = 3


@dataclass(frozen=True)
class Likeness:
    """The cosine between the question and a weighted mean of the chunks' embeddings.

    Args:
        question: with its candidates.
        decay: weight of each chunk relative to the one before it.
    """

    question: Question
    decay: float = 1.0

    def __call__(self, query: str, selections: Sequence[tuple[str, ...]]) -> list[float]:
        """See `retrieval.Utility`."""
        rows = dict(zip(self.question.chunks, self.question.vectors, strict=True))
        sums = [sum(rows[c] * self.decay**i for i, c in enumerate(s)) for s in selections]
        means: NDArray[Any] = np.array(sums)
        return (means @ self.question.vector / np.linalg.norm(means, axis=1)).tolist()


def rerankers(question: Question, bm25: Sequence[BM25Utility]) -> list[Utility]:
    """Return the six rerankers of one question."""
    likeness = [Likeness(question, decay) for decay in (1.0, 0.5)]

    def mixed(query: str, selections: Sequence[tuple[str, ...]]) -> list[float]:
        words = bm25[0](query, selections)
        top = max(words) or 1.0
        return [a + w / top for a, w in zip(likeness[0](query, selections), words, strict=True)]

    return [*likeness, *bm25, mixed]


def agent_regrets(corpus: Corpus, n: int, seed: int) -> dict[str, float]:
    """Return the regret of the agent, of the best fixed setting, and their ratio."""
    questions = corpus.questions(n, child_seed(seed, "agent"))
    documents = [c for q in questions[:200] for c in q.chunks]
    bm25 = [BM25Utility(documents, k1=k1, b=b) for k1, b in ((1.2, 0.75), (1.2, 0.0), (0.3, 1.0))]
    quality = np.array([_qualities(corpus, q, rerankers(q, bm25)) for q in questions])  # [n, R, G]
    grid = np.array(GRID)
    queries = np.array([q.vector for q in questions])
    chunks = np.array([q.vectors.mean(0) for q in questions])
    agent, fixed = list[float](), list[float]()
    for split in range(SPLITS):
        flat = quality.reshape(n, -1)
        order = np.random.default_rng(child_seed(seed, "split", split)).permutation(n)
        test, train = np.split(order, [round(n * HELD_OUT)])
        steady = int(flat[train].mean(0).argmax())
        # of settings that are equally good for a query, the label is the one good for most
        best = (flat + 1e-6 * flat[train].mean(0)).argmax(1)
        learned = ConfigurationLearner().fit(
            queries[train],
            chunks[train],
            (best[train] // len(GRID)).tolist(),
            grid[best[train] % len(GRID)],
            seed=child_seed(seed, split),
        )
        kind, settings = learned.choose(queries[test], chunks[test])
        spread = np.ptp(grid, axis=0)
        near = (np.abs(settings[:, None] - grid) / spread).sum(2).argmin(1)
        tops = flat[test].max(1)
        agent.append(float((tops - quality[test, kind, near]).mean()))
        fixed.append(float((tops - flat[test, steady]).mean()))
    found = {"agent_regret": float(np.mean(agent)), "fixed_regret": float(np.mean(fixed))}
    return found | {"agent_regret_ratio": found["agent_regret"] / max(1e-9, found["fixed_regret"])}


def _qualities(corpus: Corpus, question: Question, utilities: list[Utility]) -> list[list[float]]:
    """Return the quality of each reranker under each setting [R, G]."""
    return [
        [
            overlap(
                " ".join(
                    question.chunks[i]
                    for i in ChunkSearch(
                        utility=utility,
                        budget=BUDGET,
                        C=c,
                        iterations=iterations,
                        lam=lam,
                        count=corpus.count,
                    )
                    .select(question.text, question.chunks)
                    .order
                ),
                question.gold,
            )
            for c, iterations, lam in GRID
        ]
        for utility in utilities
    ]


def overlap(text: str, gold: str) -> float:
    """Return the F1 of two texts' words, each counted as often as it occurs (ROUGE-1)."""
    mine, theirs = Counter(text.lower().split()), Counter(gold.lower().split())
    shared = (mine & theirs).total()
    return 2 * shared / (mine.total() + theirs.total()) if shared else 0.0
