"""Simple ways to choose chunks: the best ones, the best next one, the best that is new.

`TopK` ranks chunks one by one and fills the budget: retrieve and rerank. `GreedyMarginal` appends
the chunk that helps most as long as one helps: Nemhauser, Wolsey and Fisher 1978, "An analysis of
approximations for maximizing submodular set functions", Mathematical Programming 14; Lin and Bilmes
2011, "A Class of Submodular Functions for Document Summarization", ACL. `MaximalMarginalRelevance`
trades likeness to the query against likeness to what was chosen: Carbonell and Goldstein 1998, "The
use of MMR, diversity-based reranking for reordering documents and producing summaries", SIGIR.

Ours: random restarts of the greedy rule until a number of evaluations is spent, so that it can be
compared with a search at equal cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import Cost, InvalidArgument, Stop, child_seed
from genwright.search.retrieval import Order, Scorer, Selection, Utility, check_limits, words

LONGEST_START = 3
"""Chunks of a random start at most: longer ones leave the greedy rule little to do."""

IDLE = 100
"""Restarts in a row that meet nothing new, after which there is taken to be nothing new."""


@dataclass(frozen=True, kw_only=True)
class TopK:
    """Take the chunks of highest utility, each judged alone, until none of them fits any more.

    Args:
        utility: judges each chunk.
        budget: the most tokens of the selection.
        k: the most chunks; None fills the budget.
        count: tokens of a chunk.

    Raises:
        InvalidArgument: a negative budget.
    """

    utility: Utility
    budget: int
    k: int | None = None
    count: Callable[[str], int] = words

    def __post_init__(self) -> None:
        check_limits("TopK", self.budget, self.k)

    def select(self, query: str, chunks: Sequence[str]) -> Selection:
        """Choose among the chunks of one query; the utility is that of the whole selection."""
        scorer = Scorer(self.utility, query, chunks, self.count, self.budget)
        singles = scorer([(i,) for i in range(len(chunks))])
        ranked = sorted(range(len(chunks)), key=lambda i: -singles[i])
        return _filled(scorer, ranked, self.k)


@dataclass(frozen=True, kw_only=True)
class GreedyMarginal:
    """Append the chunk that raises the utility most, as long as one does and fits.

    Args:
        utility: judges ordered selections, a batch at a time.
        budget: the most tokens of the selection.
        evaluations: None runs once, from the empty selection. A number goes on from random starts
            until so many selections were evaluated, and returns the best one met.
        seed: of the random starts.
        count: tokens of a chunk.

    Raises:
        InvalidArgument: a negative limit.
    """

    utility: Utility
    budget: int
    evaluations: int | None = None
    seed: int = 0
    count: Callable[[str], int] = words

    def __post_init__(self) -> None:
        check_limits("GreedyMarginal", self.budget, self.evaluations)

    def select(self, query: str, chunks: Sequence[str]) -> Selection:
        """Choose among the chunks of one query."""
        scorer = Scorer(self.utility, query, chunks, self.count, self.budget, self.evaluations)
        within = self._climb(scorer, ())
        if self.evaluations is None or not scorer.known:
            return scorer.best(Stop.COMPLETE)
        idle, restart = 0, 0
        while within and idle < IDLE:
            before = scorer.evaluations
            within = self._climb(scorer, self._start(scorer, restart))
            idle = idle + 1 if scorer.evaluations == before else 0
            restart += 1
        return scorer.best(Stop.DECIDED if within else Stop.BUDGET)

    def _climb(self, scorer: Scorer, start: Order) -> bool:
        """Go up from a selection; tell whether the evaluations sufficed."""
        order: Order = start
        if order and not scorer.afford([order]):
            return False
        value = scorer([order])[0] if order else -np.inf
        while more := scorer.extensions(order):
            if not scorer.afford(more):
                return False
            values = scorer(more)
            best = max(range(len(more)), key=values.__getitem__)
            if values[best] <= value:
                break
            order, value = more[best], values[best]
        return True

    def _start(self, scorer: Scorer, restart: int) -> Order:
        rng = np.random.default_rng(child_seed(self.seed, "restart", restart))
        order: Order = ()
        for _ in range(int(rng.integers(1, LONGEST_START + 1))):
            if more := scorer.extensions(order):
                order = more[int(rng.integers(len(more)))]
        return order


@dataclass(frozen=True, kw_only=True)
class MaximalMarginalRelevance:
    """Take the chunk most like the query and least like the chosen ones until none fits.

    Args:
        embed: texts -> unit vectors [n, D].
        budget: the most tokens of the selection.
        trade: weight of likeness to the query, in [0, 1]; the rest is that of novelty.
        count: tokens of a chunk.

    Raises:
        InvalidArgument: a negative budget, or a trade outside [0, 1].
    """

    embed: Callable[[Sequence[str]], Any]
    budget: int
    trade: float = 0.5
    count: Callable[[str], int] = words

    def __post_init__(self) -> None:
        check_limits("MaximalMarginalRelevance", self.budget, None)
        if not 0.0 <= self.trade <= 1.0:
            raise InvalidArgument(
                f"MaximalMarginalRelevance: trade must be in [0, 1], got {self.trade}."
            )

    def select(self, query: str, chunks: Sequence[str]) -> Selection:
        """Choose among the chunks of one query; `utility` is None: no selection is evaluated."""
        sizes, chosen = [self.count(chunk) for chunk in chunks], list[int]()
        left = self.budget
        if chunks:
            vectors: NDArray[np.float64] = np.asarray(self.embed([query, *chunks]), float)
            alike = vectors @ vectors.T
            while fits := [i for i, n in enumerate(sizes) if n <= left and i not in chosen]:
                near = {i: max((alike[i + 1, j + 1] for j in chosen), default=0.0) for i in fits}
                worth = {i: self.trade * alike[0, i + 1] - (1 - self.trade) * near[i] for i in fits}
                chosen.append(max(fits, key=worth.__getitem__))
                left -= sizes[chosen[-1]]
        cost = Cost(network_evaluations=len(chunks) + 1 if chunks else 0)
        return Selection(
            order=tuple(chosen),
            utility=None,
            tokens=self.budget - left,
            cost=cost,
            stop=Stop.COMPLETE,
        )


def _filled(scorer: Scorer, ranked: Sequence[int], k: int | None) -> Selection:
    """Take chunks in this order as long as they fit, and evaluate the selection."""
    order: Order = ()
    for i in ranked:
        if k is not None and len(order) == k:
            break
        if scorer.tokens(order) + scorer.sizes[i] <= scorer.budget:
            order = (*order, i)
    return Selection(
        order=order,
        utility=scorer([order])[0] if order else None,
        tokens=scorer.tokens(order),
        cost=Cost(network_evaluations=scorer.evaluations),
        stop=Stop.COMPLETE,
    )
