"""The integer program finds the optimum that trying every nest of subtrees finds."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.assurance.nested_holes import (
    GreedyHoles,
    NestedHoles,
    default_thresholds,
    holes_in,
)
from genwright.assurance.program_tree import Node, ProgramTree
from genwright.core import InvalidArgument


def tree_of(parents, costs):
    nodes = tuple(
        Node(f"n{i}", p, 0, 0, c) for i, (p, c) in enumerate(zip(parents, costs, strict=True))
    )
    return ProgramTree("", nodes, "python")


@st.composite
def trees(draw, most=8):
    n = draw(st.integers(1, most))
    parents = [-1] + [draw(st.integers(0, i - 1)) for i in range(1, n)]
    costs = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]), min_size=n, max_size=n))
    return tree_of(parents, costs)


def subtrees(tree, limit, m):
    """Every set of nodes that may be kept at one threshold, by enumeration."""
    n, found = len(tree), []
    for bits in range(2**n):
        kept = np.array([bits >> v & 1 for v in range(n)], dtype=bool)
        whole = all(
            node.parent < 0 or kept[node.parent] or not kept[v] for v, node in enumerate(tree.nodes)
        )
        cost = sum(node.cost for v, node in enumerate(tree.nodes) if kept[v])
        if whole and cost <= limit and holes_in(tree, kept) <= m:
            found.append(kept)
    return found


def best_nest(tree, thresholds, m):
    """The most nodes that nested subtrees keep in all, by trying every pair of neighbours."""
    best = [(kept, int(kept.sum())) for kept in subtrees(tree, thresholds[0], m)]
    for limit in thresholds[1:]:
        best = [
            (kept, int(kept.sum()) + max(s for inner, s in best if not (inner & ~kept).any()))
            for kept in subtrees(tree, limit, m)
        ]
    return max(score for _, score in best)


@settings(max_examples=40)
@given(trees(), st.integers(1, 3), st.sampled_from([(0.0, 1.0), (0.3, 0.9, 2.1), (1.0,)]))
def test_the_optimum_is_that_of_enumeration(tree, m, thresholds):
    kept = NestedHoles(m=m, thresholds=thresholds).solve(tree)
    assert kept.sum() == best_nest(tree, thresholds, m)


def test_what_a_strict_threshold_keeps_is_kept_though_less_would_be_lost_without():
    """Alone, 1 nat would keep the left branch and 1.5 nats the right one, in place of the left."""
    parents, costs = [-1, 0, 1, 1, 0, 4, 4, 4, 4], [0, 1, 0, 0, 1.5, 0, 0, 0, 0]
    strict, loose = NestedHoles(thresholds=(1.0, 1.5)).solve(tree_of(parents, costs))
    assert (strict <= loose).all()
    assert strict.sum() + loose.sum() == 8


def test_the_optimum_of_a_tree_of_twelve_nodes():
    tree = tree_of(
        [-1, 0, 0, 1, 1, 2, 2, 3, 3, 5, 5, 6], [0, 1, 0.5, 1, 0.25, 0.5, 2, 0, 3, 0.25, 0.5, 1]
    )
    for m in (1, 2, 3):
        kept = NestedHoles(m=m, thresholds=(1.0, 2.5)).solve(tree)
        assert kept.sum() == best_nest(tree, (1.0, 2.5), m)


@pytest.mark.parametrize("kind", [NestedHoles, GreedyHoles])
@settings(max_examples=40)
@given(tree=trees(most=12), m=st.integers(1, 4))
def test_what_is_kept_is_a_nested_row_of_affordable_subtrees_with_few_holes(kind, tree, m):
    thresholds = default_thresholds(6)
    rows = kind(m=m, thresholds=thresholds).solve(tree)
    assert rows.shape == (6, len(tree))
    for kept, limit in zip(rows, thresholds, strict=True):
        assert sum(n.cost for v, n in enumerate(tree.nodes) if kept[v]) <= limit + 1e-6
        assert all(kept[n.parent] for v, n in enumerate(tree.nodes) if kept[v] and n.parent >= 0)
        assert holes_in(tree, kept) <= m
    assert all((tight <= loose).all() for tight, loose in pairwise(rows))


@settings(max_examples=40)
@given(trees(most=10), st.integers(1, 3))
def test_greedy_keeps_no_more_than_the_optimum(tree, m):
    greedy, exact = (k(m=m, thresholds=(0.2, 1.5)).solve(tree) for k in (GreedyHoles, NestedHoles))
    assert greedy.sum() <= exact.sum()


def test_greedy_by_hand():
    tree = tree_of([-1, 0, 1, 1, 0], [0, 1.0, 3.0, 2.0, 0.5])
    (kept,) = GreedyHoles(m=2, thresholds=(4.0,)).solve(tree)
    assert kept.tolist() == [True, True, False, True, True]  # the leaf of 3 nats goes
    (kept,) = GreedyHoles(m=1, thresholds=(3.0,)).solve(tree)
    assert kept.tolist() == [True, False, False, False, True]  # no second hole: its parent goes


def test_one_wrong_leaf_costs_one_hole_where_the_simple_rule_needs_more():
    tree = tree_of([-1, 0, 0, 0, 1, 1], [0, 1.5, 0.0, 0.0, 1.6, 1.6])
    exact, greedy = (k(m=3, thresholds=(1.4,)).solve(tree)[0] for k in (NestedHoles, GreedyHoles))
    assert exact.tolist() == [True, False, True, True, False, False]
    assert greedy.sum() <= exact.sum()


@pytest.mark.parametrize("kind", [NestedHoles, GreedyHoles])
def test_bad_arguments_are_refused(kind):
    for wrong in (
        {"m": 0},
        {"thresholds": ()},
        {"thresholds": (1.0, 1.0)},
        {"thresholds": (-1.0,)},
    ):
        with pytest.raises(InvalidArgument, match="holes"):
            kind(**wrong)


def test_the_published_objective_has_the_same_optimum():
    """The program of the paper's code, as described, solved by z3 with the same trees."""
    z3 = pytest.importorskip("z3")
    rng = np.random.default_rng(5)
    for _ in range(6):
        n = int(rng.integers(4, 9))
        parents = [-1] + [int(rng.integers(0, i)) for i in range(1, n)]
        costs = rng.integers(0, 9, n) / 4
        tree, limits, m = tree_of(parents, costs.tolist()), (0.5, 1.5, 3.0), 2
        solver = z3.Optimize()
        keep = [[z3.Bool(f"k{t}_{v}") for v in range(n)] for t in range(len(limits))]
        for t, limit in enumerate(limits):
            pairs = [(v, p) for v, p in enumerate(parents) if p >= 0]
            solver.add(*(z3.Implies(keep[t][v], keep[t][p]) for v, p in pairs))
            spent = z3.Sum([z3.If(keep[t][v], z3.RealVal(float(costs[v])), 0) for v in range(n)])
            solver.add(spent <= limit)
            open_ = [z3.If(z3.And(keep[t][p], z3.Not(keep[t][v])), 1, 0) for v, p in pairs]
            solver.add(z3.Sum(open_) <= m)
            if t:
                solver.add(*(z3.Implies(keep[t - 1][v], keep[t][v]) for v in range(n)))
        total = z3.Sum([z3.If(b, 1, 0) for row in keep for b in row])
        solver.maximize(total)
        assert solver.check() == z3.sat
        kept = NestedHoles(m=m, thresholds=limits).solve(tree)
        assert solver.model().eval(total).as_long() == kept.sum()
