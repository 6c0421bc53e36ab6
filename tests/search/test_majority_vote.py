"""MajorityVote agrees with counting by hand, and its accuracy is the binomial tail exactly."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binom

from genwright.core import Budget, InvalidArgument, Stop, Task
from genwright.search.majority_vote import MajorityVote
from genwright.testing import Scripted


def abstaining(answer):
    return None if answer == "-" else answer


def vote(script, *, batch=1, key=abstaining, **limits):
    strategy = MajorityVote(key=key, k=len(script), batch=batch)
    return strategy.run(Scripted(script), Task("?"), Budget(**limits), seed=0)


@given(st.text("35-", min_size=1, max_size=30), st.integers(1, 9))
@example(script="5335", batch=1)  # a lead equal to the draws left is not safe
def test_neither_batching_nor_the_early_stop_changes_the_answer(script, batch):
    chosen = vote(script, batch=batch).chosen
    by_hand = Counter(a for a in script if a != "-").most_common(1)
    assert (chosen and chosen.value) == (by_hand[0][0] if by_hand else None)


@pytest.mark.parametrize("p", [0.5, 0.6, 0.9])
def test_accuracy_is_the_binomial_tail(p):
    """Exact: all 2^7 scripts of right and wrong draws, each weighted by its probability."""
    right = [s for s in product([True, False], repeat=7) if vote(s, key=None).chosen.value]
    accuracy = sum(p ** sum(s) * (1 - p) ** (7 - sum(s)) for s in right)
    assert accuracy == pytest.approx(binom.sf(3, 7, p), abs=1e-12)


@pytest.mark.parametrize(
    ("limits", "stop", "n"),
    [({}, Stop.DECIDED, 3), ({"new_tokens": 2}, Stop.BUDGET, 2), ({"draws": 0}, Stop.BUDGET, 0)],
)
def test_it_says_why_it_stopped(limits, stop, n):
    outcome = vote("aaabb", **limits)
    assert (outcome.stop, len(outcome.samples)) == (stop, n)
    assert (outcome.chosen is None) == (n == 0)


def test_the_report_counts_votes_in_the_order_of_the_draws():
    outcome = vote("b-aab", batch=5)
    assert outcome.stop is Stop.COMPLETE
    assert outcome.info["votes"] == [2, 2]
    assert outcome.info["groups"] == [0, None, 1, 1, 0]
    assert outcome.info["agreement"] == 0.5
    assert outcome.chosen.value == "b"


def test_nobody_wins_when_every_draw_abstains():
    outcome = vote("---", batch=2)
    assert (outcome.chosen, outcome.stop) == (None, Stop.COMPLETE)
    assert (outcome.info["votes"], outcome.info["agreement"]) == ([], 0.0)


def test_the_key_sees_each_draw_once_and_draws_are_asked_for_in_order():
    seen = []
    generator = Scripted("abcde")
    MajorityVote(key=lambda a: seen.append(a) or a, k=5, batch=2).run(
        generator, Task("?"), Budget(), seed=7
    )
    assert seen == list("abcde")
    assert [(c.n, c.seed, c.first) for c in generator.calls] == [(2, 7, 0), (2, 7, 2), (1, 7, 4)]


def test_answers_that_cannot_be_compared_are_refused_with_advice():
    with pytest.raises(InvalidArgument, match="give a key"):
        vote([[1], [1]], key=None)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"batch": 0}])
def test_counts_below_one_are_refused(wrong):
    with pytest.raises(InvalidArgument, match="must be 1 or more, got 0"):
        MajorityVote(**wrong)
