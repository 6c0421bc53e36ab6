"""Bounds of a trie are those of a plain recursion, and what is written down comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.generators.language.trie import WRITTEN, Row, Trie

END = 9


def row(p, tokens=None):
    """A row whose last token ends the string."""
    p = np.array(p, float)
    tokens = np.array(tokens if tokens is not None else [*range(len(p) - 1), END])
    return Row(tokens, p, np.log(p), tokens == END)


def by_hand(node):
    """The bound by its definition: 1 where nobody looked, else the sum over what is allowed."""
    if not node.visited:
        return 1.0
    total = 0.0
    for token, p, ends in zip(node.row.tokens, node.row.p, node.row.ends, strict=True):
        child = node.children.get(int(token))
        total += p * (1.0 if ends or child is None else by_hand(child))
    return total


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_bounds_are_those_of_the_recursion_in_any_order(paths, seed):
    rng = np.random.default_rng(seed)
    trie = Trie()
    trie.learn(trie.root, row(rng.dirichlet(np.ones(6))[:5]))
    for path in paths:
        node = trie.root
        for token in path:
            found = node.row
            node = trie.child(node, token, float(found.p[token]))
            if not node.visited:
                trie.learn(node, row(rng.dirichlet(np.ones(6))[:5]))
    assert trie.root.bound == pytest.approx(by_hand(trie.root), rel=1e-13)
    assert trie.visited == 1 + len({p[:n] for p in paths for n in (1, 2)})


def test_a_dead_end_counts_for_nothing_and_closes():
    trie = Trie()
    trie.learn(trie.root, row([0.2, 0.3, 0.1]))
    for token in (0, 1):
        assert not trie.root.closed
        trie.learn(trie.child(trie.root, token, (0.2, 0.3)[token]), row([], []))
    assert trie.root.closed
    assert trie.root.bound == pytest.approx(0.1, rel=1e-15)


def test_what_is_left_is_no_rounding_of_what_was_taken():
    """A child of nearly all the mass leaves 1e-13, not the rounding of 1 - (1 - 1e-13)."""
    trie = Trie()
    trie.learn(trie.root, row([1 - 1e-9, 1e-13, 1e-300]))
    trie.learn(trie.child(trie.root, 0, 1 - 1e-9), row([], []))
    assert trie.root.bound == pytest.approx(1e-13, rel=1e-12, abs=0)


def test_rows_leave_when_room_is_short_and_bounds_stay():
    trie, wide = Trie(room=3000), row([0.5, 0.4, 0.05])
    trie.learn(trie.root, wide)
    child = trie.child(trie.root, 0, 0.5)
    trie.learn(child, row(np.full(200, 0.004), [*range(199), END]))
    trie.learn(trie.child(child, 3, 0.004), row(np.full(60, 0.001), [*range(59), END]))
    assert trie.row(trie.root) is None
    assert trie.root.bound == pytest.approx(0.45 + 0.5 * (0.796 + 0.004 * 0.06), rel=1e-12)
    trie.learn(trie.root, wide)
    assert trie.visited == 3
    assert trie.row(trie.root) is wide


def test_a_trie_is_read_back_without_the_rows_that_are_too_wide():
    trie = Trie()
    trie.learn(trie.root, row([0.5, 0.4, 0.05]))
    wide = trie.child(trie.root, 1, 0.4)
    trie.learn(wide, row(np.full(WRITTEN + 1, 0.001), [*range(300, 300 + WRITTEN), END]))
    trie.learn(trie.child(wide, 305, 0.001), row([0.1, 0.2]))
    records = list(trie.fresh_records())
    assert list(trie.fresh_records()) == []
    again = Trie()
    again.restore(reversed(records))
    assert again.root.bound == pytest.approx(trie.root.bound, rel=1e-14)
    assert again.row(again.root).tokens.tolist() == [0, 1, END]
    assert again.row(again.root).logprobs.tolist() == trie.root.row.logprobs.tolist()
    assert again.row(again.find([1])) is None
    assert again.find([1]).visited
    assert again.find([1, 305]).bound == pytest.approx(0.3)
    orphan = Trie()
    orphan.restore(records[2:])
    assert orphan.visited == 0


def test_what_is_known_is_not_overwritten_by_what_is_read_back():
    trie, other = Trie(), Trie()
    trie.learn(trie.root, row([0.5, 0.1]))
    other.learn(other.root, row([0.2, 0.1]))
    trie.restore(other.fresh_records())
    assert trie.root.bound == pytest.approx(0.6)
