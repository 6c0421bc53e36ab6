"""Mutations keep programs whole, and do each kind of change; chance alone draws every program."""

import random
from collections import Counter

import pytest

from genwright.core import InvalidArgument
from genwright.search.mutations import Mutations, RandomPrograms, mutate, read_start, with_start
from genwright.search.symbolic import SYMBOLS, Program, simplify

HORNER = "v0 = x * c0; v1 = c1 + v0; v2 = x * v1; v3 = c2 + v2; v3"


def needed(program):
    """The values that the output rests on."""
    found, first = {program.output}, 1 + program.constants
    for i in range(len(program.operations) - 1, -1, -1):
        if first + i in found:
            found.update(program.operations[i][1:])
    return found


def test_ten_thousand_mutations_leave_programs_acyclic_and_connected():
    rng, program, sizes = random.Random(0), Program.parse("x"), Counter()
    for _ in range(10_000):
        child = mutate(program, rng, tuple(SYMBOLS), (8, 1, 2))
        values = 1 + child.constants + len(child.operations)
        assert needed(child) | {0} == set(range(values))  # Program itself refuses a circle
        assert simplify(child) == child
        sizes[len(child.operations)] += 1
        program = child if len(child.operations) < 30 else Program.parse("x")
    assert max(sizes) > 10


@pytest.mark.parametrize(
    ("weights", "changes"),
    [((1, 0, 0), {0, 1}), ((0, 1, 0), {-3, -2, -1, 0}), ((0, 0, 1), {-3, -2, -1, 0})],
)
def test_each_change_does_its_own(weights, changes):
    """An insertion adds at most one operation and never takes one away here; the others add none.

    An inserted constant may stand where an operation was, which goes with what only it needed.
    """
    rng, program, seen = random.Random(1), simplify(Program.parse(HORNER)), Counter()
    for _ in range(400):
        child = mutate(program, rng, ("add", "mul"), weights)
        seen[len(child.operations) - len(program.operations)] += 1
    allowed = changes | {-4, -3, -2, -1}
    assert set(seen) <= allowed
    assert seen[max(changes)] > 0


def test_a_population_has_clones_and_changed_children():
    parents = [f"{HORNER} @ 3", "v0 = x * x; v0 @ 1"]
    drawn = Mutations(max_operations=5).sample(parents, 400, seed=0).values
    children = [read_start(text) for text in drawn]
    shown = {simplify(read_start(parent)[0]) for parent in parents}
    same = [child for child, _ in children if child in shown]
    assert 140 < len(same) < 260  # binomial(400, 0.5): six standard deviations, chance < 1e-8
    assert len({start for _, start in children}) > 390
    assert max(len(child.operations) for child, _ in children) <= 5
    none = Mutations(max_operations=5, identity_rate=0.0).sample(parents[0], 200, seed=0).values
    assert all(read_start(text)[0] != simplify(Program.parse(HORNER)) for text in none)


def test_a_start_belongs_to_the_text():
    program = Program.parse("v0 = x * c0; v0")
    assert read_start(with_start(program, 12)) == (program, 12)
    assert read_start(str(program)) == (program, 0)
    for text in ("x @", "x @ -1", "x @ one", "x @ ²"):
        with pytest.raises(InvalidArgument, match="followed by a number"):
            read_start(text)


def test_random_programs_have_every_size_equally_often():
    drawn = RandomPrograms(max_operations=5).sample("ignored", 500, seed=1).values
    sizes = Counter(len(read_start(text)[0].operations) for text in drawn)
    assert sorted(sizes) == [1, 2, 3, 4, 5]
    assert min(sizes.values()) > 45  # mean 100, standard deviation 9: chance < 1e-8
    used = {name for text in drawn for name, _, _ in read_start(text)[0].operations}
    assert used == set(SYMBOLS)
    only = RandomPrograms(max_operations=3, operations=("mul",)).sample("", 50, seed=1).values
    assert {name for text in only for name, _, _ in read_start(text)[0].operations} == {"mul"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"operations": ("add", "pow")}, "operations must be of add"),
        ({"operations": ()}, "operations must be of add"),
        ({"max_operations": 0}, "max_operations must be 1 or more, got 0"),
        ({"identity_rate": 1.0}, r"identity_rate must be in \[0, 1\)"),
        ({"weights": (0.0, 1.0, 1.0)}, "weights must be three"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(InvalidArgument, match=said):
        Mutations(**settings)


def test_an_empty_population_is_refused():
    with pytest.raises(InvalidArgument, match="at least one program"):
        Mutations().sample([], 1, seed=0)
