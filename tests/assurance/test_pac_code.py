"""Partial programs hold what they say, and calibration keeps its promise on simulated programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.assurance.nested_holes import GreedyHoles, NestedHoles, default_thresholds
from genwright.assurance.pac_code import PACSet, PartialProgram, misses
from genwright.assurance.program_tree import Node, ProgramTree
from genwright.core import InvalidArgument


def scored(code, unsure="", cost=2.0):
    """One token a character; those of `unsure` cost."""
    at = code.find(unsure) if unsure else -1
    inside = range(at, at + len(unsure)) if unsure else range(0)
    return [(c.encode(), -cost if i in inside else -0.001) for i, c in enumerate(code)]


def partial(code, unsure, limit=1.0, **settings):
    tree = ProgramTree.from_python(code, scored(code, unsure))
    holes = NestedHoles(thresholds=(limit,), **settings)
    return PartialProgram(tree, holes.solve(tree)[0])


@pytest.mark.parametrize(
    ("code", "unsure", "shown", "members", "others"),
    [
        (
            "f(x, 10)",
            "10",
            "f(x, ??)",
            ["f(x, 10)", "f(x, y + 1)"],
            ["f(x)", "f(y, 10)", "g(x, 1)"],
        ),
        ("a + b * c", "b", "a + ?? * c", ["a + z * c", "a + f(1) * c"], ["a + b", "a - b * c"]),
        ("return xs[k]", "k", "return xs[??]", ["return xs[0]", "return xs[1:]"], ["return xs"]),
        ("x = 1", "x = 1", "??", ["x = 1", "import os"], ["1 +", "x = 1; y = 2"]),
        ("x = 1", "", "x = 1", ["x = 1", "x=1"], ["x = 2", "y = 1", "x = = 1"]),
    ],
)
def test_a_partial_program_holds_what_fills_its_holes(code, unsure, shown, members, others):
    found = partial(code, unsure)
    assert str(found) == shown
    assert [found.contains(p) for p in members] == [True] * len(members)
    assert [found.contains(p) for p in others] == [False] * len(others)


def test_an_sql_query_with_a_hole():
    code = "SELECT name FROM users WHERE age > 5"
    tree = ProgramTree.from_sql(code, scored(code, "5"))
    found = PartialProgram(tree, NestedHoles(thresholds=(1.0,)).solve(tree)[0])
    assert str(found) == "SELECT name FROM users WHERE age > ??"
    assert found.contains("select name from users where age > 71")
    assert not found.contains("SELECT name FROM users WHERE age < 5")
    assert found.holes == 1


CODES = ["f(x, 10) + y", "return [a for a in b if a > 1]", "x = {1: 'a', 2: g(h(3), k=4)}"]


@settings(max_examples=30)
@given(st.sampled_from(CODES), st.lists(st.floats(0, 3), min_size=60, max_size=60), st.data())
def test_own_source_is_always_held_and_holding_shrinks_with_what_is_kept(code, costs, data):
    tokens = [(c.encode(), -x) for c, x in zip(code, costs, strict=False)]
    tree = ProgramTree.from_python(code, tokens)
    rows = NestedHoles(m=2, thresholds=default_thresholds(5)).solve(tree)
    assert all(PartialProgram(tree, row).contains(code) for row in rows)
    other = data.draw(st.sampled_from([*CODES, "f(x, 11) + y", "f(x, 10) - y", "x = {1: 'a'}"]))
    held = [PartialProgram(tree, row).contains(other) for row in rows]
    assert held == sorted(held, reverse=True)


def test_what_cannot_be_parsed_is_all_hole_and_never_held_by_less():
    broken = ProgramTree.from_python("f(", scored("f("))
    everything = PartialProgram(broken, NestedHoles().solve(broken)[0])
    assert (str(everything), everything.holes, everything.share_kept) == ("??", 1, 0.0)
    assert everything.contains("x")
    assert everything.contains("((")
    assert not partial("x = 1", "").contains("((")


def simulated(rng, wrong=0.15, nodes=8):
    """A star of leaves, of which each is wrong by chance; a wrong leaf mostly costs more."""
    missed = rng.random(nodes) < wrong
    costs = np.where(missed, rng.exponential(2.0, nodes), rng.exponential(0.3, nodes))
    leaves = [Node(f"leaf {i}", 0, 0, 0, float(c)) for i, c in enumerate(costs)]
    truth = [Node(f"leaf {i}" + " other" * bool(x), 0, 0, 0) for i, x in enumerate(missed)]
    root = Node("root", -1, 0, 0)
    return tuple(ProgramTree("", (root, *row), "python") for row in (leaves, truth))


def test_the_miss_rate_is_kept_in_as_many_calibrations_as_promised():
    """The true miss rate of each level is known from 4,000 programs (standard error below 0.007).

    At most a share delta = 0.1 of calibrations may choose a level that misses more than epsilon.
    Among 200, more than 40 would do so with chance below 1e-5 at exactly that share; levels are
    few, so that the share is well below it, and 40 have a chance below 1e-6.
    """
    rng = np.random.default_rng(3)
    settings_ = PACSet(epsilon=0.25, delta=0.1, holes=GreedyHoles(thresholds=default_thresholds(8)))
    table = []
    for _ in range(4000):
        tree, truth = simulated(rng)
        rows = settings_.holes.solve(tree)
        table.append([not PartialProgram(tree, row).contains(truth) for row in rows])
    table = np.array(table)
    rate = table.mean(axis=0)
    assert rate[0] < 0.25 < rate[-1]  # some levels keep the promise and some would not
    broken = 0
    for _ in range(200):
        missed = table[rng.choice(4000, 60, replace=False)].sum(axis=0)
        level = settings_.calibrate_misses(missed, allowed=9).level  # k_max(60, 0.25, 0.1)
        broken += level >= 0 and rate[level] > 0.25 + 0.02
    assert broken <= 40


def test_calibration_takes_the_loosest_level_that_misses_few_enough():
    chooser = PACSet(holes=NestedHoles(thresholds=(0.0, 1.0, 2.0, 3.0)))
    for missed, allowed, level in (
        ([0, 1, 1, 4], 1, 2),
        ([0, 1, 1, 4], 4, 3),
        ([2, 2, 3, 4], 1, -1),
        ([0, 0, 0, 0], 0, 3),
    ):
        found = chooser.calibrate_misses(np.array(missed), allowed)
        assert found.level == level
        assert found.missed == (missed[level] if level >= 0 else 0)


def test_calibrating_and_predicting_from_end_to_end():
    code, right = "f(x, 10)", ["f(x, 10)"] * 12 + ["f(x, 11)"] * 8
    pairs = [(ProgramTree.from_python(code, scored(code, "10")), truth) for truth in right]
    chosen = PACSet(epsilon=0.3, delta=0.1, holes=NestedHoles(thresholds=(0.5, 9.0))).calibrate(
        pairs
    )
    assert (chosen.level, chosen.missed) == (0, 0)
    predicted = chosen.predict(pairs[0][0])
    assert str(predicted) == "f(x, ??)"
    assert predicted.share_kept == pytest.approx(5 / 6)
    assert misses(chosen.settings.holes, pairs[0][0], "f(x, 11)").tolist() == [0, 1]
    sure = PACSet(epsilon=0.3, delta=0.1, holes=NestedHoles(thresholds=(0.5, 9.0))).calibrate(
        [(tree, code) for tree, _ in pairs]
    )
    assert str(sure.predict(pairs[0][0])) == code
    strict = NestedHoles(thresholds=(0.5,))
    wrong = [(ProgramTree.from_python(code, scored(code)), "g(1)")] * 20
    assert (
        str(PACSet(epsilon=0.3, delta=0.1, holes=strict).calibrate(wrong).predict(wrong[0][0]))
        == "??"
    )


@pytest.mark.parametrize("n", [0, 1, 13])
def test_too_few_examples_are_an_error_that_names_how_many(n):
    tree = ProgramTree.from_python("x")
    assert 0.8**13 > 0.05 > 0.8**14
    with pytest.raises(InvalidArgument, match="at least 14"):
        PACSet(epsilon=0.2, delta=0.05).calibrate([(tree, "x")] * n)


def test_bad_levels_are_refused():
    for wrong in ({"epsilon": 0.0}, {"delta": 1.0}):
        with pytest.raises(InvalidArgument, match=r"in \(0, 1\)"):
            PACSet(**wrong).calibrate([])
