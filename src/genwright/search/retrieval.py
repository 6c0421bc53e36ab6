"""Which chunks, in which order, under a limit of tokens: a tree search over ordered selections.

Choose it where the worth of a selection is not the sum of its chunks': chunks repeat or contradict
each other, order matters, and one more chunk may do harm. Where worth nearly adds up,
`GreedyMarginal` costs far fewer evaluations.

Wang et al. 2024, "CORAG: A Cost-Constrained Retrieval Optimization System for Retrieval-Augmented
Generation", arXiv:2411.00744, Section 4. A node is an ordered list of chunks. Each iteration walks
from the empty list to the child with the largest

    mean utility + C sqrt(ln N_parent / n) - lambda tokens / budget,

appends every remaining chunk, evaluates all the children in one batch and backs each value up. The
answer is the node with the highest utility of its own, at any depth: not the highest mean.

Ours: lists over the limit are never made, and so never paid for; a part of the tree that is
exhausted is left, and an exhausted tree ends the search at the true optimum; several leaves may be
expanded together (virtual loss); means are scaled to [0, 1] by the least and the largest utility
met so far, so that C and lambda mean the same for every utility; equal utilities go to the fewer
tokens. One unit of tokens serves the limit and the penalty.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from genwright.core import Cost, GenwrightError, InvalidArgument, Stop
from genwright.search.tally import at_least_one
from genwright.search.tree import UCB, Tree

Order = tuple[int, ...]
"""A selection: indices of chunks in the order in which a reader gets them."""

Utility = Callable[[str, Sequence[tuple[str, ...]]], Sequence[float]]
"""(query, ordered selections of chunk texts) -> the worth of each, finite numbers."""


def words(text: str) -> int:
    """Count the words of a text: the unit of tokens where no tokenizer is given."""
    return len(text.split())


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a selector stands by.

    Args:
        order: indices of the chosen chunks; empty where no chunk fits.
        utility: of the selection; None for an empty one, which was never evaluated.
        tokens: it holds, in the selector's unit.
        cost: `network_evaluations` counts the selections that the utility evaluated.
        stop: why the search ended.
        tree: the search's tree as JSON-like data, which `ChunkSearch.select` goes on from; empty
            for selectors that keep none.
    """

    order: Order
    utility: float | None
    tokens: int
    cost: Cost
    stop: Stop
    tree: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


class Scorer:
    """The utility of selections of one query's chunks: each is evaluated once, and counted.

    Args:
        utility: what is evaluated.
        query: what is asked.
        chunks: the candidates.
        count: tokens of a chunk.
        budget: the most tokens of a selection.
        evaluations: the most evaluations, or None.
    """

    def __init__(
        self,
        utility: Utility,
        query: str,
        chunks: Sequence[str],
        count: Callable[[str], int],
        budget: int,
        evaluations: int | None = None,
    ) -> None:
        self._utility, self._query, self._chunks = utility, query, chunks
        self.sizes = [count(chunk) for chunk in chunks]
        self.budget = budget
        self._limit = inf if evaluations is None else evaluations
        self.known: dict[Order, float] = {}
        self.evaluations = 0
        self.low, self.high = inf, -inf

    def tokens(self, order: Order) -> int:
        """Return the tokens of a selection."""
        return sum(self.sizes[i] for i in order)

    def extensions(self, order: Order) -> list[Order]:
        """Return the selections with one more chunk at the end that keep to the budget."""
        room = self.budget - self.tokens(order)
        left = (i for i in range(len(self.sizes)) if i not in order)
        return [(*order, i) for i in left if self.sizes[i] <= room]

    def afford(self, orders: Sequence[Order]) -> bool:
        """Tell whether the limit of evaluations leaves room for these."""
        return self.evaluations + len(set(orders) - self.known.keys()) <= self._limit

    def __call__(self, orders: Sequence[Order]) -> list[float]:
        """Return the utility of each selection; the new ones are evaluated in one batch.

        Raises:
            GenwrightError: the utility returned another number of values than it was asked for.
            InvalidArgument: a utility that is not finite.
        """
        new = [order for order in dict.fromkeys(orders) if order not in self.known]
        if new:
            texts = [tuple(self._chunks[i] for i in order) for order in new]
            values = [float(value) for value in self._utility(self._query, texts)]
            if len(values) != len(new):
                raise GenwrightError(
                    f"the utility {self._utility!r} was asked for {len(new)} values and returned "
                    f"{len(values)}."
                )
            self.evaluations += len(new)
            for order, value in zip(new, values, strict=True):
                self.learn(order, value)
        return [self.known[order] for order in orders]

    def learn(self, order: Order, value: float) -> None:
        """Take a utility as known."""
        if not isfinite(value):
            raise InvalidArgument(f"a utility must be finite, got {value} for chunks {order}.")
        self.known[order] = value
        self.low, self.high = min(self.low, value), max(self.high, value)

    def best(self, stop: Stop, tree: Mapping[str, Any] | None = None) -> Selection:
        """Return the best selection known; of equals the one with fewer tokens, then the first."""
        cost = Cost(network_evaluations=self.evaluations)
        if not self.known:
            return Selection(order=(), utility=None, tokens=0, cost=cost, stop=stop)
        order = max(self.known, key=lambda o: (self.known[o], -self.tokens(o)))
        return Selection(
            order=order,
            utility=self.known[order],
            tokens=self.tokens(order),
            cost=cost,
            stop=stop,
            tree=tree or {},
        )


def check_limits(who: str, budget: int, evaluations: int | None) -> None:
    """Refuse a limit below 0.

    Raises:
        InvalidArgument: one that is.
    """
    if budget < 0 or (evaluations is not None and evaluations < 0):
        raise InvalidArgument(
            f"{who}: budget and evaluations must be 0 or more, got {budget} and {evaluations}."
        )


@dataclass(frozen=True, kw_only=True)
class ChunkSearch:
    """Search ordered selections of chunks for the most useful one within a budget of tokens.

    Args:
        utility: judges ordered selections, a batch at a time.
        budget: the most tokens of the selection.
        C: weight of exploration; the paper finds a flat optimum at 2.
        lam: weight of the tokens' share of the budget; the paper tries 0 to 0.3.
        iterations: the most nodes to expand.
        evaluations: the most selections to evaluate, or None; a node whose children do not fit any
            more is not expanded.
        leaves: how many nodes are expanded together, so that the utility sees larger batches.
        count: tokens of a chunk; words by default. Include what the reader adds to a chunk.

    Raises:
        InvalidArgument: a negative limit or weight, iterations or leaves below 1.
    """

    utility: Utility
    budget: int
    C: float = 2.0
    lam: float = 0.1
    iterations: int = 30
    evaluations: int | None = None
    leaves: int = 1
    count: Callable[[str], int] = words

    def __post_init__(self) -> None:
        at_least_one("ChunkSearch", iterations=self.iterations, leaves=self.leaves)
        check_limits("ChunkSearch", self.budget, self.evaluations)
        UCB(c=self.C)
        if not 0.0 <= self.lam < inf:
            raise InvalidArgument(f"ChunkSearch: lam must be 0 or more, got {self.lam}.")

    def select(
        self, query: str, chunks: Sequence[str], tree: Mapping[str, Any] | None = None
    ) -> Selection:
        """Choose among the chunks of one query.

        Args:
            query: what is asked.
            chunks: the candidates, each a text.
            tree: of an earlier selection for this query and these chunks: the search goes on from
                it for `iterations` more, and evaluates nothing that it holds.

        Raises:
            InvalidArgument: a utility that is not finite, or a tree of another number of chunks.
        """
        scorer = Scorer(self.utility, query, chunks, self.count, self.budget, self.evaluations)
        grown, orders = self._restored(scorer, tree) if tree else (Tree(), [()])
        left, stop = self.iterations, Stop.COMPLETE
        while left:
            batch = self._hold(grown, orders, scorer, min(left, self.leaves))
            if not batch:
                stop = Stop.BUDGET if grown.free[0] else Stop.DECIDED
                break
            left -= len(batch)
            values = iter(scorer([order for _, more in batch for order in more]))
            for leaf, more in batch:
                self._grow(grown, scorer, leaf, more, [next(values) for _ in more])
                orders += more
        return scorer.best(stop, _told(grown, orders, scorer) if len(grown) > 1 else None)

    def _hold(
        self, tree: Tree, orders: list[Order], scorer: Scorer, most: int
    ) -> list[tuple[int, list[Order]]]:
        """Select up to `most` leaves, each with the selections below it, as far as affordable."""
        low, high = (scorer.low, scorer.high) if scorer.known else (0.0, 1.0)
        tree.worst = low
        pick = UCB(c=self.C, low=low, high=high)
        batch: list[tuple[int, list[Order]]] = []
        wanted: list[Order] = []
        while len(batch) < most and (leaf := tree.select(pick)) is not None:
            more = scorer.extensions(orders[leaf])
            if not scorer.afford([*wanted, *more]):
                tree.release(leaf)
                break
            wanted += more
            batch.append((leaf, more))
        return batch

    def _grow(
        self, tree: Tree, scorer: Scorer, leaf: int, more: list[Order], values: list[float]
    ) -> None:
        sizes = [scorer.tokens(order) for order in more]
        penalties = [self.lam * size / max(1, self.budget) for size in sizes]
        ends = [not scorer.extensions(order) for order in more]
        nodes = tree.expand(leaf, [1.0] * len(more), closed=ends, penalties=penalties)
        for node, value in zip(nodes, values, strict=True):
            tree.backup(node, value)

    @staticmethod
    def _restored(scorer: Scorer, saved: Mapping[str, Any]) -> tuple[Tree, list[Order]]:
        tree = Tree.load(saved["nodes"])
        orders: list[Order] = [()]
        if any(chunk >= len(scorer.sizes) for chunk in saved["chunk"]):
            raise InvalidArgument(
                f"ChunkSearch: the tree is of more than {len(scorer.sizes)} chunks; give the "
                "query and the chunks that it grew from."
            )
        added = zip(tree.parent[1:], saved["chunk"], saved["utility"], strict=True)
        for parent, chunk, value in added:
            orders.append((*orders[parent], chunk))
            scorer.learn(orders[-1], value)
        return tree, orders


def _told(tree: Tree, orders: Sequence[Order], scorer: Scorer) -> dict[str, Any]:
    return {
        "nodes": tree.saved(),
        "chunk": [order[-1] for order in orders[1:]],
        "utility": [scorer.known[order] for order in orders[1:]],
    }
