"""Rates of error are counted from labelled draws; a verdict weighs its likelihood ratio."""

from math import log

import pytest

from genwright.core import InvalidArgument, Verdict
from genwright.core.statistics import clopper_pearson
from genwright.verifiers.reliability import Reliability, checks, estimate, rates_of

LABELLED = (
    [(False, True)] * 3 + [(False, False)] * 37 + [(True, False)] * 2 + [(True, True)] * 18
    + [(True, None)] * 5 + [(False, None)]
)  # fmt: skip


def test_rates_come_from_decided_draws_with_exact_intervals():
    found = estimate(LABELLED)
    assert found.false_accept == clopper_pearson(3, 40)
    assert found.false_reject == clopper_pearson(2, 20)
    assert found.undecided == 6
    assert found.reliability == pytest.approx(Reliability(3.5 / 41, 2.5 / 21))


def test_no_error_among_few_draws_is_not_taken_for_none_ever():
    assert estimate([(True, True), (False, False)]).reliability == Reliability(0.25, 0.25)


@pytest.mark.parametrize("truth", [True, False])
def test_one_side_without_a_decided_draw_is_refused(truth):
    with pytest.raises(InvalidArgument, match=f"needs {'wrong' if truth else 'right'} draws"):
        estimate([(truth, True), (not truth, None)])


def test_a_verdict_weighs_its_likelihood_ratio_and_undecided_nothing():
    rates = Reliability(0.05, 0.1)
    assert rates.weight(Verdict.ok()) == pytest.approx(log(0.9 / 0.05))
    assert rates.weight(Verdict.fail()) == pytest.approx(log(0.1 / 0.95))
    assert rates.weight(Verdict.undecided()) == 0.0
    several = Verdict.ok({"checks": {"passed": 2, "failed": 1}})
    assert checks(several) == (2, 1)
    assert rates.weight(several) == pytest.approx(2 * log(0.9 / 0.05) + log(0.1 / 0.95))
    assert checks(Verdict.fail({"reason": "late"})) == (0, 1)


def test_a_verifier_that_never_errs_all_but_settles_it():
    assert Reliability().weight(Verdict.ok()) > 20
    assert Reliability().weight(Verdict.fail()) < -20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [((0.5,), "two rates"), ((-0.1, 0.0), "two rates"), ((0.0, 1.0), "two rates"),
     ((0.5, 0.5), "says nothing"), ((0.7, 0.6), "says nothing")],
)  # fmt: skip
def test_rates_out_of_range_are_refused(wrong, message):
    with pytest.raises(InvalidArgument, match=message):
        rates_of("X", wrong)


def test_no_rates_are_no_rates():
    assert rates_of("X", None) is None
    assert rates_of("X", [0.1, 0.2]) == Reliability(0.1, 0.2)
