"""The tree counts what happened, holds leaves without a trace, and comes back from JSON."""

import json
from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, uniform
from genwright.search.tree import PUCT, UCB, Tree

RULES = [PUCT(c=1.25), PUCT(c=0), UCB(c=2.0, low=-1.0, high=1.0), UCB(c=0)]


def grow(rule, seed, steps, *, leaves=1, width=3, deepest=4, tree=None, backed=None):
    """Expand leaves with random children, values, ends; return the tree and who backed up what."""
    tree = tree or Tree(worst=-1.0)
    backed = {} if backed is None else backed
    for _ in range(steps):
        held = [leaf for leaf in (tree.select(rule) for _ in range(leaves)) if leaf is not None]
        for leaf in held:
            n = int(uniform(seed, "n", leaf) * (width + 1))
            ends = [
                tree.depth[leaf] + 1 >= deepest or uniform(seed, leaf, i) < 0.3 for i in range(n)
            ]
            priors = [uniform(seed, "p", leaf, i) for i in range(n)]
            for node in (leaf, *tree.expand(leaf, priors, closed=ends)):
                tree.backup(node, 2 * uniform(seed, "v", node) - 1)
                backed.setdefault(node, []).append(2 * uniform(seed, "v", node) - 1)
    return tree, backed


@given(st.sampled_from(RULES), st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 6))
def test_visits_and_totals_are_what_was_backed_up_at_and_below_a_node(rule, seed, steps, leaves):
    tree, backed = grow(rule, seed, steps, leaves=leaves)
    for node in range(len(tree)):
        own = backed.get(node, [])
        below = tree.children(node)
        assert tree.visits[node] == len(own) + sum(tree.visits[c] for c in below)
        assert tree.total[node] == pytest.approx(sum(own) + sum(tree.total[c] for c in below))
        assert -1.0 <= tree.mean(node) <= 1.0


@given(st.sampled_from(RULES), st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 6))
def test_free_counts_the_leaves_that_can_be_selected(rule, seed, steps, leaves):
    tree, _ = grow(rule, seed, steps, leaves=leaves)
    for node in range(len(tree)):
        assert tree.held[node] == 0
        leaf = tree.start[node] < 0
        below = sum(tree.free[c] for c in tree.children(node))
        assert tree.free[node] == (below if not leaf else 0 if tree.closed[node] else 1)
        assert tree.closed[node] == (tree.free[node] == 0)


@given(st.sampled_from(RULES), st.integers(0, 10**6), st.integers(0, 8))
def test_holding_every_leaf_and_letting_go_leaves_no_trace(rule, seed, steps):
    tree, _ = grow(rule, seed, steps)
    before, free = tree.saved(), list(tree.free)
    held = []
    while (leaf := tree.select(rule)) is not None:
        held.append(leaf)
    assert sorted(held) == [i for i in range(len(tree)) if tree.start[i] < 0 and not tree.closed[i]]
    assert tree.free[0] == 0
    for leaf in held:
        tree.release(leaf)
    assert (tree.saved(), tree.free, tree.held) == (before, free, [0] * len(tree))


@given(st.sampled_from(RULES), st.integers(0, 10**6), st.integers(0, 8), st.integers(1, 5))
def test_a_saved_tree_grows_on_as_if_it_had_never_been_away(rule, seed, steps, more):
    tree, backed = grow(rule, seed, steps)
    copy = Tree.load(json.loads(json.dumps(tree.saved())))
    assert copy.saved() == tree.saved()
    assert copy.free == tree.free
    grow(rule, seed, more, tree=tree, backed=backed)
    grow(rule, seed, more, tree=copy)
    assert copy.saved() == tree.saved()


def family(values, visits, priors=None, penalties=()):
    """A root whose children have these means and visits."""
    tree = Tree(worst=-1.0)
    assert tree.select(PUCT()) == 0
    tree.expand(0, priors or [1.0] * len(values), penalties=penalties)
    for child, (value, n) in enumerate(zip(values, visits, strict=True), start=1):
        for _ in range(n):
            tree.backup(child, value)
    return tree


def test_puct_by_hand():
    """Four visits: 0.5 + 1 * 0.2 * 2 / 4 = 0.6 against 0.2 + 1 * 0.9 * 2 / 2 = 1.1, then held."""
    tree = family([0.5, 0.2], [3, 1], [0.2, 0.9])
    assert PUCT(c=1.0)(tree, 0) == 2
    assert PUCT(c=0.4)(tree, 0) == 2  # 0.54 against 0.56
    assert PUCT(c=0.35)(tree, 0) == 1  # 0.535 against 0.515
    assert tree.select(PUCT(c=1.0)) == 2
    # 2 held: (0.2 - 1) / 2 + 0.9 sqrt(5) / 3 = 0.27 against 0.5 + 0.2 sqrt(5) / 4 = 0.61
    assert tree.select(PUCT(c=1.0)) == 1


def test_ucb_by_hand():
    tree = family([0.5, 0.2, 0.2], [3, 1, 1], penalties=[0.0, 0.1, 0.0])
    score = [0.5 + 2 * sqrt(log(5) / 3), 0.2 + 2 * sqrt(log(5))]
    assert score[1] > score[0]
    assert UCB(c=2.0)(tree, 0) == 3  # like the second, without its penalty
    assert UCB(c=0.0)(tree, 0) == 1
    # scaled by 10, exploration weighs a tenth: 5 + 1.46 against 2 + 2.54
    assert UCB(c=2.0, low=0.0, high=0.1)(tree, 0) == 1


@pytest.mark.parametrize("rule", [PUCT(c=0.0), UCB(c=0.0, low=-1.0, high=1.0)])
def test_a_leaf_in_flight_counts_as_the_worst_for_those_above_it(rule):
    """Q of child 1 is 1.5 / 3; with a leaf below it held, (1.5 - 1) / 4 = 0.125 is below 0.3."""
    tree = family([0.5, 0.3], [1, 1])
    assert tree.select(rule) == 1
    for kid in tree.expand(1, [1.0, 1.0]):
        tree.backup(kid, 0.5)
    assert [tree.select(rule), tree.select(rule), tree.select(rule)] == [3, 2, 4]


def test_a_child_without_a_visit_comes_first():
    assert UCB(c=0.0)(family([0.9, 0.1], [1, 0]), 0) == 2


@pytest.mark.parametrize("rule", [PUCT(c=1.0), UCB(c=2.0)])
def test_of_equals_the_first_is_chosen(rule):
    assert rule(family([0.5, 0.5], [1, 1]), 0) == 1


@pytest.mark.parametrize("rule", RULES)
def test_a_tree_with_one_child_is_walked_to_its_end(rule):
    tree = Tree()
    for depth in range(5):
        assert tree.select(rule) == depth
        tree.expand(depth, [1.0], closed=[depth == 4])
        tree.backup(depth + 1, 0.5)
    assert tree.select(rule) is None
    assert all(tree.closed)


def test_a_node_all_of_whose_children_are_closed_is_closed_and_never_visited_again():
    tree = family([0.9, 0.1], [1, 1])
    assert tree.select(PUCT(c=0.0)) == 1
    tree.expand(1, [1.0, 1.0], closed=[True, True])
    assert tree.closed[1]
    assert [tree.select(PUCT(c=0.0)), tree.select(PUCT(c=0.0))] == [2, None]


@pytest.mark.parametrize("prior", [-0.1, 1.1, float("nan")])
def test_priors_out_of_range_are_refused(prior):
    tree = Tree()
    tree.select(PUCT())
    with pytest.raises(InvalidArgument, match=r"in \[0, 1\]"):
        tree.expand(0, [prior])


@pytest.mark.parametrize("kind", [PUCT, UCB])
@pytest.mark.parametrize("c", [-0.1, float("inf"), float("nan")])
def test_a_weight_of_exploration_out_of_range_is_refused(kind, c):
    with pytest.raises(InvalidArgument, match="0 or more"):
        kind(c=c)


def test_only_held_leaves_are_expanded_or_released():
    tree = Tree()
    for act in (lambda: tree.expand(0, [1.0]), lambda: tree.release(0), lambda: tree.release(7)):
        with pytest.raises(InvalidArgument, match="select returned"):
            act()
    with pytest.raises(InvalidArgument, match="finite"):
        tree.backup(0, float("nan"))


@pytest.mark.parametrize("change", [{"visits": []}, {"visits": [1, 2]}, {"parent": []}])
def test_a_damaged_tree_is_refused(change):
    with pytest.raises(InvalidArgument, match="one entry a node"):
        Tree.load(Tree().saved() | change)
