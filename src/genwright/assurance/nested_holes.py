"""Which parts of a program to leave open, for every level of caution at once.

At each threshold, a subtree with the root is kept whose cost stays below it; what is cut off below
a kept node is a hole. `NestedHoles` keeps as many nodes as can be, over all thresholds together,
with few holes, and so that whatever a stricter threshold keeps a looser one keeps too.
`GreedyHoles` is the simple rule it is compared with: cut the costliest leaf, and again.

Khakhar et al. 2023, "PAC Prediction Sets for Large Language Models of Code", arXiv:2302.08703,
Section 4 (the integer program) and Section 5 (greedy). Ours: a mixed-integer program for HiGHS,
where a hole is a difference of two variables; and thresholds that allow the whole program, or not
even its root, are left out of it, which changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genwright.assurance.program_tree import ProgramTree
from genwright.core import GenwrightError, InvalidArgument

SLACK = 1e-9
"""Costs are sums of floats: a threshold met but for rounding is met."""


def default_thresholds(n: int = 20, largest: float = 10.0) -> tuple[float, ...]:
    """Return n thresholds in nats, rising: 0, then evenly spaced on a logarithmic scale."""
    return (0.0, *np.geomspace(1e-3, largest, n - 1).tolist())


class Holes(Protocol):
    """A way to leave parts of a program open."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The most cost that may be kept, in nats, rising."""
        ...

    def solve(self, tree: ProgramTree) -> NDArray[np.bool_]:
        """Return bool[thresholds, nodes]: what is kept; each row lies within the next."""
        ...


@dataclass(frozen=True, kw_only=True)
class NestedHoles:
    """Keep the most nodes over all thresholds; exact.

    Args:
        m: the most holes. The paper tries 1 to 4.
        thresholds: the most cost that may be kept, in nats (-log tau of the paper), rising. The
            paper takes 100.

    Raises:
        InvalidArgument: m below 1, or thresholds that are negative or do not rise.
    """

    m: int = 3
    thresholds: tuple[float, ...] = default_thresholds()

    def __post_init__(self) -> None:
        _check(self.m, self.thresholds)

    def solve(self, tree: ProgramTree) -> NDArray[np.bool_]:
        """See `Holes.solve`.

        Raises:
            GenwrightError: the solver failed.
        """
        kept, open_rows = _trivial(tree, self.thresholds)
        if len(open_rows):
            kept[open_rows] = self._optimum(tree, [self.thresholds[i] for i in open_rows])
        return kept

    def _optimum(self, tree: ProgramTree, limits: Sequence[float]) -> NDArray[np.bool_]:
        """Solve for T limits and V nodes; variable t V + v says whether limit t keeps node v."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        T, V = len(limits), len(tree)
        rows: list[tuple[list[tuple[int, float]], float]] = []  # (terms, upper bound)
        for t, limit in enumerate(limits):
            holes: list[tuple[int, float]] = []
            for v, node in enumerate(tree.nodes):
                if node.parent >= 0:
                    up = t * V + node.parent
                    rows.append(([(t * V + v, 1.0), (up, -1.0)], 0.0))
                    holes += [(up, 1.0), (t * V + v, -1.0)]
                if t + 1 < T:
                    rows.append(([(t * V + v, 1.0), ((t + 1) * V + v, -1.0)], 0.0))
            rows.append((holes, float(self.m)))
            costs = [(t * V + v, node.cost) for v, node in enumerate(tree.nodes)]
            rows.append((costs, limit + SLACK))
        at = [(r, c, x) for r, (terms, _) in enumerate(rows) for c, x in terms]
        r, c, x = zip(*at, strict=True)
        matrix = coo_array((x, (r, c)), shape=(len(rows), T * V)).tocsr()
        bounds: Any = np.array([bound for _, bound in rows])
        found: Any = milp(
            c=-np.ones(T * V),
            constraints=LinearConstraint(matrix, -inf, bounds),
            integrality=np.ones(T * V),
            bounds=Bounds(0, 1),
        )
        if found.x is None:
            raise GenwrightError(f"NestedHoles: HiGHS found no optimum: {found.message}")
        return np.round(found.x).reshape(T, V) > 0.5


@dataclass(frozen=True, kw_only=True)
class GreedyHoles:
    """Cut the costliest leaf until the rest is cheap enough; with m holes, cut off their parents.

    Args:
        m: the most holes.
        thresholds: as in `NestedHoles`.
    """

    m: int = 3
    thresholds: tuple[float, ...] = default_thresholds()

    def __post_init__(self) -> None:
        _check(self.m, self.thresholds)

    def solve(self, tree: ProgramTree) -> NDArray[np.bool_]:
        """See `Holes.solve`; one path of cuts serves all thresholds, which nests them."""
        kept, open_rows = _trivial(tree, self.thresholds)
        left = np.ones(len(tree), dtype=np.bool_)
        costs = np.array([node.cost for node in tree.nodes])
        for row in reversed(open_rows):
            while costs[left].sum() > self.thresholds[row] + SLACK:
                self._cut(tree, left, costs)
            kept[row] = left
        return kept

    def _cut(self, tree: ProgramTree, left: NDArray[np.bool_], costs: NDArray[np.float64]) -> None:
        """Cut off one subtree, in place."""
        parents = {n.parent for v, n in enumerate(tree.nodes) if left[n.parent] and not left[v]}
        parents.discard(-1)
        if holes_in(tree, left) >= self.m:
            candidates = sorted(parents)
        else:
            candidates = [
                v for v in np.flatnonzero(left) if not any(left[c] for c in tree.children[v])
            ]
        worst = max(candidates, key=lambda v: costs[v])
        todo = [int(worst)]
        while todo:
            v = todo.pop()
            left[v] = False
            todo += tree.children[v]


def holes_in(tree: ProgramTree, kept: NDArray[np.bool_]) -> int:
    """Return how many subtrees are cut off right below what is kept."""
    below = (kept[n.parent] and not kept[v] for v, n in enumerate(tree.nodes) if n.parent >= 0)
    return sum(map(bool, below))


def _trivial(tree: ProgramTree, thresholds: Sequence[float]) -> tuple[NDArray[np.bool_], list[int]]:
    """Return rows with what is clear at once, and the numbers of the others."""
    kept = np.zeros((len(thresholds), len(tree)), dtype=np.bool_)
    if not len(tree):
        return kept, []
    total, root = sum(node.cost for node in tree.nodes), tree.nodes[0].cost
    for row, limit in enumerate(thresholds):
        kept[row] = total <= limit + SLACK
    unclear = [i for i, x in enumerate(thresholds) if root <= x + SLACK < total]
    return kept, [i for i in unclear if not kept[i].all()]


def _check(m: int, thresholds: Sequence[float]) -> None:
    rising = all(a < b for a, b in pairwise(thresholds))
    if m < 1 or not thresholds or not rising or thresholds[0] < 0:
        raise InvalidArgument(
            "holes: m must be 1 or more and thresholds a rising row of numbers, 0 or more, got "
            f"{m} and {tuple(thresholds)[:5]}."
        )
