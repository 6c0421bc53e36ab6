"""Sequential stops at the first pass, and what giving up forgoes is exactly what it says."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import beta

from genwright.core import Budget, Cost, InvalidArgument, Stop, Task
from genwright.search.sequential import Sequential, chance_of_success
from genwright.testing import Passes, Scripted

SAYS = {"y": True, "n": False, "?": None}


def run(strategy, script, **limits):
    task = Task("?", Passes(SAYS.__getitem__))
    return strategy.run(Scripted(script), task, Budget(**limits), seed=0)


@given(st.text("yn?", min_size=1, max_size=12))
def test_no_draw_is_made_beyond_the_first_pass(script):
    outcome = run(Sequential(n=len(script)), script)
    assert len(outcome.samples) == (script.find("y") + 1 or len(script))
    assert outcome.stop is (Stop.PASSED if "y" in script else Stop.COMPLETE)
    assert outcome.info["forgone"] == 0.0
    best = next((c for c in "y?" if c in script), None)
    assert (outcome.chosen and outcome.chosen.value) == best


@pytest.mark.parametrize(("prior", "failures", "left"), [((0.5, 0.5), 0, 3), ((0.3, 4.0), 7, 20)])
def test_the_chance_of_success_is_the_integral_over_the_posterior(prior, failures, left):
    a, b = prior[0], prior[1] + failures

    def none_passes(p):
        return p ** (a - 1) * (1 - p) ** (b - 1 + left) / beta(a, b)

    expected = 1 - quad(none_passes, 0, 1)[0]
    assert chance_of_success(prior, failures, left) == pytest.approx(expected, abs=1e-6)


def test_it_gives_up_at_the_first_draw_where_the_chance_is_below_the_price():
    n, price = 40, 0.2
    chances = [chance_of_success((0.5, 0.5), f, n - f) for f in range(n)]
    gives_up = next(f for f, chance in enumerate(chances) if chance < price)
    outcome = run(Sequential(n=n, price=price), "n" * n)
    assert 0 < gives_up < n
    assert (len(outcome.samples), outcome.stop) == (gives_up, Stop.GAVE_UP)
    assert outcome.info["forgone"] == chances[gives_up]
    assert outcome.passed is False


def test_undecided_draws_are_no_evidence_of_failure():
    chances = [chance_of_success((0.5, 0.5), 0, 40 - drawn) for drawn in range(40)]
    last = next(drawn for drawn, chance in enumerate(chances) if chance < 0.6)
    outcome = run(Sequential(n=40, price=0.6), "?" * 40)
    assert len(outcome.samples) == last
    assert outcome.passed is None


def test_the_mean_forgone_is_the_coverage_that_giving_up_costs():
    """Exact: p is Beta(1, 2), so the first pass of a task is at draw i with a known chance."""
    n, prior = 30, (1.0, 2.0)
    patient, hasty = Sequential(n=n, prior=prior), Sequential(n=n, prior=prior, price=0.55)

    def first_pass_at(i):  # no pass in i draws, then one: B(2, 2 + i) / B(1, 2)
        return beta(2, 2 + i) / beta(1, 2)

    scripts = {"n" * i + "y" * (n - i): first_pass_at(i) for i in range(n)}
    scripts["n" * n] = 1 - sum(scripts.values())
    solved = {s: sum(w for t, w in scripts.items() if run(s, t).passed) for s in (patient, hasty)}
    forgone = sum(w * run(hasty, t).info["forgone"] for t, w in scripts.items())
    assert 0.01 < solved[patient] - solved[hasty] == pytest.approx(forgone, rel=1e-9)


@pytest.mark.parametrize("limits", [{"draws": 10}, {"new_tokens": 10}, {"verifier_calls": 10}])
def test_a_budget_shortens_what_it_can_hope_for(limits):
    long = run(Sequential(n=1000, price=0.3), "n" * 1000, **limits)
    short = run(Sequential(n=10, price=0.3), "n" * 10)
    assert len(long.samples) == len(short.samples) < 10
    assert long.stop is Stop.GAVE_UP


@pytest.mark.parametrize("limit", ["draws", "verifier_calls"])
def test_a_tight_limit_is_known_before_the_first_draw(limit):
    outcome = run(Sequential(n=1000, price=0.6), "n", **{limit: 1})
    assert (len(outcome.samples), outcome.stop) == (0, Stop.GAVE_UP)
    assert outcome.info["forgone"] == pytest.approx(0.5)


def test_a_chance_equal_to_the_price_is_taken():
    price = chance_of_success((0.5, 0.5), 0, 5)
    assert len(run(Sequential(n=5, price=price), "ynnnn").samples) == 1


def test_a_spent_budget_is_no_giving_up():
    outcome = run(Sequential(n=9), "n" * 9, new_tokens=4)
    assert (outcome.stop, len(outcome.samples)) == (Stop.BUDGET, 4)
    assert outcome.cost == Cost(draws=4, new_tokens=4, verifier_calls=4)
    assert run(Sequential(n=9, price=1.0), "n" * 9, draws=0).stop is Stop.BUDGET


@pytest.mark.parametrize(
    "wrong",
    [{"n": 0}, {"n": 1, "price": 1.5}, {"n": 1, "price": float("nan")}]
    + [{"n": 1, "prior": prior} for prior in ((0.0, 1.0), (1.0,), (1.0, inf))],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidArgument):
        Sequential(**wrong)


def test_a_uniform_prior_gives_the_rule_of_succession():
    assert chance_of_success((1.0, 1.0), 5, 1) == pytest.approx(1 / 7)
