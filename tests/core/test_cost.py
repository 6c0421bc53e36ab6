"""Costs add up, shares sum to the whole, and a budget stops at its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import AMOUNTS, Budget, Cost, InvalidArgument

whole = st.integers(0, 10**6)
costs = st.builds(
    Cost,
    draws=whole,
    new_tokens=whole,
    prompt_tokens=whole,
    verifier_calls=whole,
    joules_by=st.sampled_from(["", "measured", "estimated"]),
)


@given(costs, costs, costs)
def test_adding_is_associative_and_commutative(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Cost() == a


@given(costs, st.integers(1, 9))
def test_shares_sum_to_the_whole_and_differ_by_at_most_one(cost, n):
    shares = cost.split(n)
    assert sum(shares, Cost()) == cost
    assert max(s.draws for s in shares) - min(s.draws for s in shares) <= 1


def test_joules_from_two_ways_are_mixed():
    both = Cost(joules=1.0, joules_by="measured") + Cost(joules=2.0, joules_by="estimated")
    assert (both.joules, both.joules_by) == (3.0, "mixed")


@pytest.mark.parametrize("name", AMOUNTS)
def test_each_limit_is_spent_exactly_when_it_is_reached(name):
    budget = Budget(**{name: 3})
    assert not budget.is_spent(Cost(**{name: 2}))
    assert budget.is_spent(Cost(**{name: 3}))
    assert budget.after(Cost(**{name: 2})) == Budget(**{name: 1})
    assert budget.after(Cost(**{name: 5})) == Budget(**{name: 0})


def test_no_limits_are_never_spent_and_zero_is_spent_at_once():
    assert not Budget().is_spent(Cost(draws=10**9))
    assert Budget(new_tokens=0).is_spent(Cost())


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9))
def test_room_never_lets_draws_pass_the_limit(limit, made, wanted):
    room = Budget(draws=limit).room(Cost(draws=made), wanted)
    assert room == max(0, min(wanted, limit - made))


@given(st.integers(0, 99), st.integers(0, 99))
def test_the_tighter_of_two_budgets_keeps_the_lower_limit_and_the_limits_of_both(a, b):
    both = Budget(draws=a, seconds=1.5) & Budget(draws=b, joules=2.0)
    assert both == Budget(draws=min(a, b), seconds=1.5, joules=2.0)


def test_a_negative_limit_is_refused_by_name():
    with pytest.raises(InvalidArgument, match="new_tokens must be 0 or more, got -5"):
        Budget(new_tokens=-5)
    with pytest.raises(InvalidArgument, match="seconds"):
        Budget(seconds=float("nan"))


def test_only_what_was_spent_is_shown():
    assert Cost(draws=2, seconds=0.5).as_dict() == {"draws": 2, "seconds": 0.5}
