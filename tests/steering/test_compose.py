"""An intersection is the AND of its languages; a machine is its own; the control is uniform."""

from collections import Counter

import numpy as np
import pytest

from genwright.core import ConstraintError, InvalidArgument
from genwright.steering.compose import Intersection
from genwright.steering.grammar import Regex
from genwright.steering.matching import ALL_BYTES
from genwright.steering.python_machine import PythonMachine
from genwright.steering.random_valid import RandomValid
from genwright.testing import ConstraintCase, check_contract

PARTS = (Regex(pattern="a*b*"), Regex(pattern="(ab|aa|b)*"), Regex(pattern="[ab]{2,5}"))
EVEN = PythonMachine(
    begin=0,
    step=lambda state, byte: (state + (byte == ord("a"))) % 2 if byte in b"ab" else None,
    done=lambda state: state == 0,
)


def test_an_intersection_holds_what_all_parts_hold(tiny, language):
    alone = [language(part, tiny, 3) for part in PARTS]
    assert language(Intersection(parts=PARTS), tiny, 3) == set.intersection(*alone)


def test_parts_that_share_no_beginning_are_refused(tiny):
    with pytest.raises(ConstraintError, match="Regex, Regex contradict"):
        Intersection(parts=(Regex(pattern="a"), Regex(pattern="b"))).compile(tiny)
    with pytest.raises(InvalidArgument, match="at least one"):
        Intersection(parts=())


def test_an_intersection_forces_no_token_that_a_part_forbids():
    state = Intersection(parts=(Regex(pattern="abc"), Regex(pattern="ab?"))).compile(ALL_BYTES)
    assert state.start().forced() == [ord("a"), ord("b")]


def test_a_machine_allows_what_it_steps_through(tiny, language):
    found = language(EVEN, tiny, 3)
    assert {tiny.decode(s).count(b"a") % 2 for s in found} == {0}
    everything = language(Regex(pattern="[ab]*"), tiny, 3)
    assert found == {s for s in everything if tiny.decode(s).count(b"a") % 2 == 0}


def test_a_machine_that_can_do_nothing_is_refused(tiny):
    stuck = PythonMachine(begin=0, step=lambda state, byte: None, done=lambda state: False)
    with pytest.raises(ConstraintError, match="no token"):
        stuck.compile(tiny)


@pytest.mark.parametrize(
    ("constraint", "members", "outsiders"),
    [(EVEN, ["aa", "abab"], ["a", "c"]), (Intersection(parts=PARTS), ["aab"], ["ba", "a"])],
)
def test_composed_constraints_keep_the_contract(constraint, members, outsiders):
    check_contract(
        ConstraintCase(
            make=lambda: constraint, vocabulary=ALL_BYTES, members=members, outsiders=outsiders
        )
    )


def test_the_control_draws_each_allowed_token_equally_often(tiny):
    """First tokens of `[ab]`+ over 5 tokens: 5 outcomes at 1/5; 6 sigma of 2,000 is below 1e-8."""
    control = RandomValid(constraint=Regex(pattern="[ab]+"), vocabulary=tiny, max_tokens=1)
    counts = Counter(info["tokens"][0] for info in control.sample("", 2000, seed=1).info)
    assert set(counts) == set(range(5))
    assert max(abs(n - 400) for n in counts.values()) < 6 * np.sqrt(2000 * 0.2 * 0.8)


def test_the_control_ends_where_it_may_and_says_when_it_was_cut(tiny):
    control = RandomValid(constraint=Regex(pattern="a{3}"), vocabulary=ALL_BYTES, max_tokens=3)
    cut = RandomValid(constraint=Regex(pattern="a{3}"), vocabulary=ALL_BYTES, max_tokens=2)
    assert [s.info["finished"] for s in cut.sample("", 2, seed=0)] == [False, False]
    assert control.sample("", 1, seed=0).values == ["aaa"]
    with pytest.raises(InvalidArgument, match="max_tokens"):
        RandomValid(constraint=Regex(pattern="a"), vocabulary=tiny, max_tokens=0)
