"""Tree search over ordered chunks beats greedy selection at equal cost, and shortens the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from genwright.claims.configurations import agent_regrets
from genwright.claims.xquad import FILE, Corpus
from genwright.core import Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.sentences import MiniLM
from genwright.search.greedy_retrieval import GreedyMarginal, MaximalMarginalRelevance, TopK
from genwright.search.retrieval import ChunkSearch, Order
from genwright.search.utilities import EmbeddingUtility

CHUNKS = 6
SHARE = 782
"""40% of the 1,956 ordered selections of 1 to 6 chunks."""

BUDGET = 120
EVALUATIONS = 60
C = 0.2
"""The paper's 2 is beside reranker scores that spread over about ten; here they are scaled to 1."""
OPTIMAL = ("search >= 0.98", "greedy <= 0.95", "search_over_restarts >= 0")
XQUAD = (
    "utility_over_greedy >= 0",
    "answered_over_top_k >= 0",
    "tokens_of_top_k <= 0.7",
    "agent_regret_ratio <= 0.5",
)


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Compare with enumeration; at full scale also choose real sentences and learn settings."""
    metrics, cost = _optimality(10 if scale == "smoke" else 50, seed)
    if scale == "smoke":
        notes = ("10 synthetic queries; the real questions and the agent run at full scale",)
        return ClaimResult(metrics=metrics, bounds=OPTIMAL, notes=notes, cost=cost)
    corpus = Corpus(MiniLM())
    found, more = _questions(corpus, 60, seed)
    metrics |= found | agent_regrets(corpus, 300, seed)
    notes = (
        f"synthetic: {CHUNKS} chunks, worth of chunks less redundancy and conflict of pairs, plus "
        "order effects; shares of the optimum by enumeration",
        f"XQuAD: {BUDGET} MiniLM tokens, {EVALUATIONS} evaluations for the search and for greedy "
        f"with random restarts; C = {C}, since means are scaled to [0, 1]",
        "agent: regret against the best of a grid for each query, as a share of the regret of the "
        "setting that is best on the training queries",
    )
    return ClaimResult(metrics=metrics, bounds=OPTIMAL + XQUAD, notes=notes, cost=cost + more)


@dataclass(frozen=True)
class Synthetic:
    """A known worth: chunks, less redundancy and conflict of pairs, plus effects of their order."""

    seed: int

    def worth(self, order: Order) -> float:
        """Return the worth of an ordered selection."""
        rng = np.random.default_rng(self.seed)
        alone = rng.uniform(0.1, 1.0, CHUNKS)
        redundant, conflict, earlier = rng.random((3, CHUNKS, CHUNKS))
        total = float(sum(alone[i] for i in order))
        for at, i in enumerate(order):
            for j in order[at + 1 :]:
                a, b = min(i, j), max(i, j)
                overlap = redundant[a, b] / 0.4 if redundant[a, b] < 0.4 else 0.0
                clash = 0.3 + 0.7 * conflict[a, b] / 0.2 if conflict[a, b] < 0.2 else 0.0
                effect = 0.6 * (earlier[a, b] - 0.5) * (1 if i < j else -1)
                total += effect - overlap * min(alone[i], alone[j]) - clash
        return total

    def __call__(self, query: str, selections: Sequence[tuple[str, ...]]) -> list[float]:
        """See `retrieval.Utility`."""
        return [self.worth(tuple(int(chunk) for chunk in order)) for order in selections]


def _optimality(queries: int, seed: int) -> tuple[dict[str, float], Cost]:
    """Return the mean share of the optimum that each way of choosing reaches."""
    shares: dict[str, list[float]] = {"search": [], "greedy": [], "restarts": []}
    chunks, cost = [str(i) for i in range(CHUNKS)], Cost()
    orders = [o for k in range(1, CHUNKS + 1) for o in permutations(range(CHUNKS), k)]
    for query in range(queries):
        known = Synthetic(child_seed(seed, query))
        best = max(map(known.worth, orders))
        same: dict[str, Any] = {"utility": known, "budget": CHUNKS}
        ways = {
            "search": ChunkSearch(lam=0.0, iterations=SHARE, evaluations=SHARE, **same),
            "greedy": GreedyMarginal(**same),
            "restarts": GreedyMarginal(evaluations=SHARE, seed=query, **same),
        }
        for name, way in ways.items():
            selection = way.select("", chunks)
            shares[name].append((selection.utility or 0.0) / best)
            cost += selection.cost
    means = {name: float(np.mean(found)) for name, found in shares.items()}
    return means | {"search_over_restarts": means["search"] - means["restarts"]}, cost


def _questions(corpus: Corpus, n: int, seed: int) -> tuple[dict[str, float], Cost]:
    """Return utility, tokens and answers held of each way of choosing sentences."""
    same: dict[str, Any] = {
        "utility": EmbeddingUtility(corpus.embed),
        "budget": BUDGET,
        "count": corpus.count,
    }
    ways = {
        "search": ChunkSearch(C=C, iterations=EVALUATIONS, evaluations=EVALUATIONS, **same),
        "greedy": GreedyMarginal(evaluations=EVALUATIONS, seed=seed, **same),
        "top_k": TopK(**same),
        "mmr": MaximalMarginalRelevance(embed=corpus.embed, budget=BUDGET, count=corpus.count),
    }
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    cost = Cost()
    for question in corpus.questions(n, seed):
        for name, way in ways.items():
            found = way.select(question.text, question.chunks)
            text = " ".join(question.chunks[i] for i in found.order)
            rows[name].append((found.utility or 0.0, found.tokens, question.answered_by(text)))
            cost += found.cost
    means = {name: np.mean(row, axis=0) for name, row in rows.items()}
    metrics = {
        f"{name}_{what}": float(mean[k])
        for name, mean in means.items()
        for k, what in enumerate(("utility", "tokens", "answered"))
        if (name, what) != ("mmr", "utility")
    }
    metrics["utility_over_greedy"] = metrics["search_utility"] - metrics["greedy_utility"]
    metrics["answered_over_top_k"] = metrics["search_answered"] - metrics["top_k_answered"]
    metrics["tokens_of_top_k"] = metrics["search_tokens"] / metrics["top_k_tokens"]
    return metrics, cost


CLAIM = Claim(
    slug="corag",
    reference="Wang et al. 2024, CORAG: A Cost-Constrained Retrieval Optimization System for "
    "Retrieval-Augmented Generation, arXiv:2411.00744",
    statement="With 40% of the evaluations that enumeration takes, the tree search reaches 98% of "
    "the best worth of ordered chunks (greedy at most 95%, greedy with restarts at equal cost no "
    "more); on XQuAD its utility is above greedy's at equal cost, it holds the answer no less "
    "often than a filled budget with 30% fewer tokens, and a learned agent halves the best fixed "
    "setting's regret.",
    run=run,
    needs={"full": (FILE,)},
)
