"""Votes agree with sums by hand, whatever the weights, ties and abstentions."""

from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Samples
from genwright.search.voting import count, vote

BALLOTS = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 3)))


@given(BALLOTS, st.sampled_from(["share", "first", "abstain"]))
@example([("a", 1), ("b", 2), ("a", 1)], "first")
@example([("b", 1), ("a", 1)], "abstain")
@example([("b", 1), ("a", 1)], "share")
def test_the_win_is_shared_among_the_heaviest_answers_as_asked(ballots, ties):
    sums = {}
    for answer, weight in ballots:
        if answer is not None and weight:
            sums[answer] = sums.get(answer, 0) + weight
    leaders = [a for a in sums if sums[a] == max(sums.values())]
    result = vote(Samples(ballots), key=lambda b: b[0], weight=lambda s: s.value[1], ties=ties)
    assert dict(zip(result.answers, result.weights, strict=True)) == sums
    if ties == "abstain" and len(leaders) > 1:
        leaders = []
    leaders = leaders[:1] if ties == "first" else leaders
    shares = dict(zip(result.answers, result.shares, strict=True))
    assert shares == {a: 1 / len(leaders) if a in leaders else 0 for a in sums}
    assert (result.winner is None) == (not leaders)
    if leaders:
        assert ballots[result.representative][0] == leaders[0]
        assert ballots[result.representative][1] > 0
        assert result.agreement == sums[leaders[0]] / sum(sums.values())
    else:
        assert (result.representative, result.agreement) == (None, 0.0)


def test_groups_say_which_answer_each_draw_holds():
    result = count(["x", None, "y", "x"], [1, 1, 1, 0])
    assert result.groups == (0, None, 1, None)
    assert result.answers == ("x", "y")


def test_without_a_key_the_value_itself_is_the_answer():
    assert vote(Samples(["4", "4", "5"]), None).answers == ("4", "5")
    with pytest.raises(InvalidArgument, match="cannot be hashed"):
        vote(Samples([{}]), None)


@pytest.mark.parametrize("weight", [-1.0, nan, inf])
def test_weights_must_be_finite_and_not_negative(weight):
    with pytest.raises(InvalidArgument, match="weight"):
        count(["a"], [weight])


def test_an_unknown_way_to_treat_ties_is_named():
    with pytest.raises(InvalidArgument, match="'last'"):
        count([], [], ties="last")
