"""Predicate turns whatever a function says, or fails to say, into a verdict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Cost, InvalidArgument, Samples, Verdict, Verifier
from genwright.verifiers.predicate import Predicate


def ask(function, value=None, **settings):
    (verdict,) = Predicate(function=function, **settings).check(Samples([value]))
    return verdict


def test_answers_come_in_order_and_are_counted():
    verdicts = Predicate(function=lambda v: v > 1).check(Samples([1, 2, 3]))
    assert [(v.passed, v.score) for v in verdicts] == [(False, 0.0), (True, 1.0), (True, 1.0)]
    assert sum((v.cost for v in verdicts), Cost()).verifier_calls == 3


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_score_passes_from_the_threshold_on(score, threshold):
    verdict = ask(lambda _: score, threshold=threshold)
    assert (verdict.passed, verdict.score) == (score >= threshold, score)


def test_by_default_only_a_full_score_passes():
    assert ask(lambda _: 0.999).passed is False
    assert ask(lambda _: 1.0).passed is True


@pytest.mark.parametrize("answer", [np.True_, np.float32(1.0), np.array(1.0), 1])
def test_numbers_and_booleans_of_numpy_count(answer):
    assert ask(lambda _: answer).passed is True


def test_a_verdict_is_handed_on_with_the_cost_it_measured():
    cost = Cost(verifier_calls=1, money=2.0)
    verdict = Verdict(passed=False, score=0.25, evidence="why", cost=cost)
    assert ask(lambda _: verdict) == verdict
    timed = ask(lambda _: Verdict.fail("why"))
    assert (timed.evidence, timed.passed) == ("why", False)
    assert timed.cost.seconds > 0


def test_an_exception_is_undecided_and_shows_its_last_line():
    def broken(value):
        return {}[value]

    verdict = ask(broken, "key")
    assert (verdict.passed, verdict.score) == (None, None)
    assert verdict.evidence["error"] == "KeyError: 'key'"
    assert verdict.evidence["where"].startswith("broken, line ")


@pytest.mark.parametrize("answer", [None, "yes", "1", float("nan"), -0.1, 1.1, [1], object()])
def test_an_answer_that_is_none_is_undecided(answer):
    assert ask(lambda _: answer).passed is None


def test_an_interrupt_is_not_swallowed():
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(InvalidArgument, match="threshold"):
        Predicate(function=bool, threshold=threshold)


def test_it_is_a_verifier():
    assert isinstance(Predicate(function=bool), Verifier)
