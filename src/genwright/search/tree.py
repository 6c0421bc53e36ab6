"""A search tree in flat columns, with selection, backing up, and many leaves in flight.

Choose it under a search whose leaves are dear: a language model's step, a reranker's score. A leaf
that was selected is *held* until its children arrive; while it is held, its path counts one more
visit of the worst value, so that the next selection goes elsewhere and a whole batch of leaves can
be evaluated together.

Rules of selection: UCB1, Auer et al. 2002, "Finite-time Analysis of the Multiarmed Bandit Problem",
Machine Learning 47, Section 2; PUCT, Silver et al. 2017, "Mastering the game of Go without human
knowledge", Nature 550, Methods; holding leaves: Chaslot et al. 2008, "Parallel Monte-Carlo Tree
Search", Section 3.3 (virtual loss).

Ours: a count of the leaves below each node that can still be selected, so that a walk never ends in
a part of the tree that is finished or all in flight; no random number anywhere: of equals the first
is chosen. Columns are Python lists: a node has few children, and a loop over five beats the
overhead of a NumPy call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log, sqrt
from typing import Any

from genwright.core import InvalidArgument

Pick = Callable[["Tree", int], int]
"""(tree, expanded node with a selectable leaf below it) -> the child to go to, whose `free` is not
0."""

COLUMNS = ("parent", "depth", "start", "count", "visits", "total", "prior", "penalty", "closed")
"""What a saved tree holds, a list with one entry a node each."""


@dataclass(eq=False)
class Tree:
    """Nodes by number, in the order they were made; 0 is the root.

    Args:
        worst: the value that a held leaf counts with, the least that can be backed up.

    The columns: `parent` (-1 for the root), `depth`, `start` and `count` (children are numbered
    `start` to `start + count - 1`; `start` is -1 until the node is expanded), `visits`, `total`
    (the sum of the values backed up through the node), `prior`, `penalty`, `closed` (nothing can be
    expanded below), `free` (how many leaves below can be selected), `held` (how many are in
    flight).
    """

    worst: float = 0.0
    parent: list[int] = field(default_factory=lambda: [-1])
    depth: list[int] = field(default_factory=lambda: [0])
    start: list[int] = field(default_factory=lambda: [-1])
    count: list[int] = field(default_factory=lambda: [0])
    visits: list[int] = field(default_factory=lambda: [0])
    total: list[float] = field(default_factory=lambda: [0.0])
    prior: list[float] = field(default_factory=lambda: [1.0])
    penalty: list[float] = field(default_factory=lambda: [0.0])
    closed: list[bool] = field(default_factory=lambda: [False])
    free: list[int] = field(default_factory=lambda: [1])
    held: list[int] = field(default_factory=lambda: [0])

    def __len__(self) -> int:
        return len(self.parent)

    def children(self, node: int) -> range:
        """Return the numbers of a node's children."""
        return range(self.start[node], self.start[node] + self.count[node])

    def path(self, node: int) -> Iterator[int]:
        """Yield the node, its parent, and so on up to the root."""
        while node >= 0:
            yield node
            node = self.parent[node]

    def mean(self, node: int) -> float:
        """Return Q, the mean of the values backed up through a node; 0 before the first."""
        return self.total[node] / self.visits[node] if self.visits[node] else 0.0

    def select(self, pick: Pick) -> int | None:
        """Walk from the root to a leaf, hold it and return it; None when there is none to select.

        Args:
            pick: the rule, such as `PUCT()`.
        """
        if not self.free[0]:
            return None
        node = 0
        while self.start[node] >= 0:
            node = pick(self, node)
        for above in self.path(node):
            self.free[above] -= 1
            self.held[above] += 1
        return node

    def release(self, leaf: int) -> None:
        """Let a held leaf go as it was: it can be selected again."""
        self._must_be_held(leaf, "release")
        for above in self.path(leaf):
            self.free[above] += 1
            self.held[above] -= 1

    def expand(
        self,
        leaf: int,
        priors: Sequence[float],
        *,
        closed: Sequence[bool] = (),
        penalties: Sequence[float] = (),
    ) -> range:
        """Give a held leaf its children and let it go; without any it is closed.

        Args:
            leaf: a node that `select` returned.
            priors: one a child, in [0, 1].
            closed: of each child, whether it ends there; no child does where this is left out.
            penalties: one a child, taken off by `UCB`; 0 where this is left out.

        Returns:
            the numbers of the children.

        Raises:
            InvalidArgument: a leaf that is not held, or a prior out of its range.
        """
        self._must_be_held(leaf, "expand")
        n, first = len(priors), len(self)
        for prior in priors:
            if not 0.0 <= prior <= 1.0:
                raise InvalidArgument(f"Tree: a prior must be in [0, 1], got {prior}.")
        ends = list(closed) or [False] * n
        self.start[leaf], self.count[leaf] = first, n
        self.parent += [leaf] * n
        self.depth += [self.depth[leaf] + 1] * n
        self.start += [-1] * n
        self.count += [0] * n
        self.visits += [0] * n
        self.total += [0.0] * n
        self.prior += priors
        self.penalty += list(penalties) or [0.0] * n
        self.closed += ends
        self.free += [0 if end else 1 for end in ends]
        self.held += [0] * n
        fresh = n - sum(ends)
        for above in self.path(leaf):
            self.free[above] += fresh
            self.held[above] -= 1
            self._close_if_done(above)
        return range(first, first + n)

    def backup(self, node: int, value: float) -> None:
        """Add a value to a node and to every node above it.

        Raises:
            InvalidArgument: a value that is not finite.
        """
        if not isfinite(value):
            raise InvalidArgument(f"Tree: a value must be finite, got {value}.")
        for above in self.path(node):
            self.visits[above] += 1
            self.total[above] += value

    def saved(self) -> dict[str, Any]:
        """Return the tree as JSON-like data. A leaf that is held now is one to select again."""
        return {"worst": self.worst} | {name: list(getattr(self, name)) for name in COLUMNS}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "Tree":
        """Undo `saved`.

        Raises:
            InvalidArgument: a column is missing, or columns of different lengths.
        """
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            if len(saved.get(name, ())) != len(saved.get("parent", ())) or not saved.get(name):
                raise InvalidArgument(f"Tree: a saved tree needs {name!r}, one entry a node.")
            columns[name] = list(saved[name])
        n = len(columns["parent"])
        tree = cls(**columns, worst=saved["worst"], free=[0] * n, held=[0] * n)
        for node in range(n):
            if tree.start[node] < 0 and not tree.closed[node]:
                for above in tree.path(node):
                    tree.free[above] += 1
        return tree

    def _close_if_done(self, node: int) -> None:
        if not self.free[node] and not self.held[node]:
            self.closed[node] = True

    def _must_be_held(self, leaf: int, what: str) -> None:
        if not 0 <= leaf < len(self) or self.start[leaf] >= 0 or not self.held[leaf]:
            raise InvalidArgument(f"Tree: {what} takes a leaf that select returned, got {leaf}.")


@dataclass(frozen=True, kw_only=True)
class PUCT:
    """Go to the child with the largest Q + c prior sqrt(visits of the parent) / (1 + visits).

    Args:
        c: weight of exploration, 0 or more.
    """

    c: float = 1.25

    def __post_init__(self) -> None:
        _not_negative("PUCT", c=self.c)

    def __call__(self, tree: Tree, node: int) -> int:
        """See `Pick`."""
        visits, held, total, worst = tree.visits, tree.held, tree.total, tree.worst
        wide = self.c * sqrt(visits[node] + held[node])
        best, highest = -1, -inf
        for child in tree.children(node):
            if not tree.free[child]:
                continue
            n = visits[child] + held[child]
            q = (total[child] + held[child] * worst) / n if n else 0.0
            score = q + wide * tree.prior[child] / (1 + n)
            if score > highest:
                best, highest = child, score
        return best


@dataclass(frozen=True, kw_only=True)
class UCB:
    """Go to the child with the largest Q + c sqrt(ln(visits of the parent) / visits) - penalty.

    Q is scaled so that `low` is 0 and `high` is 1. A child without a visit comes first.

    Args:
        c: weight of exploration, 0 or more.
        low: the least value backed up so far.
        high: the largest.
    """

    c: float = 2.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _not_negative("UCB", c=self.c)

    def __call__(self, tree: Tree, node: int) -> int:
        """See `Pick`."""
        visits, held, total, worst = tree.visits, tree.held, tree.total, tree.worst
        tries = log(max(1, visits[node] + held[node]))
        spread = self.high - self.low or 1.0
        best, highest = -1, -inf
        for child in tree.children(node):
            if not tree.free[child]:
                continue
            n = visits[child] + held[child]
            if not n:
                return child
            mean = ((total[child] + held[child] * worst) / n - self.low) / spread
            score = mean + self.c * sqrt(tries / n) - tree.penalty[child]
            if score > highest:
                best, highest = child, score
        return best


def _not_negative(who: str, **settings: float) -> None:
    for name, value in settings.items():
        if not 0.0 <= value < inf:
            raise InvalidArgument(f"{who}: {name} must be 0 or more and finite, got {value}.")
