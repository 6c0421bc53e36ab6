"""Single, RepeatedSampling and Sequential: which draw, how many, and why they ended."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Budget, Cost, GenwrightError, InvalidArgument, Samples, Stop, Task
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.single import Single
from genwright.testing import Passes, Scripted

SAYS = {"y": True, "n": False, "?": None}


def run(strategy, script, **limits):
    task = Task("?", Passes(SAYS.__getitem__))
    return strategy.run(Scripted(script), task, Budget(**limits), seed=0)


@given(st.text("yn?", min_size=1, max_size=12), st.integers(1, 5))
def test_the_first_pass_is_returned_else_the_first_undecided_draw(script, batch):
    outcome = run(RepeatedSampling(n=len(script), batch=batch), script)
    best = next((c for c in "y?" if c in script), None)
    assert (outcome.chosen and outcome.chosen.value) == best
    assert outcome.passed == {"y": True, "?": None, None: False}[best]
    drawn = script[: len(outcome.samples)]
    whole_batches = -(-(script.find("y") + 1) // batch) * batch or len(script)
    assert len(drawn) == min(whole_batches, len(script))
    assert outcome.stop is (Stop.PASSED if "y" in script else Stop.COMPLETE)
    assert dict(outcome.info) == {
        "passed": drawn.count("y"),
        "failed": drawn.count("n"),
        "undecided": drawn.count("?"),
    }


def test_measuring_coverage_makes_every_draw():
    outcome = run(RepeatedSampling(n=6, batch=4, stop_on_pass=False), "nyynny")
    assert (outcome.stop, outcome.info["passed"], len(outcome.samples)) == (Stop.COMPLETE, 3, 6)


def test_checks_are_paid_from_the_same_budget():
    outcome = run(RepeatedSampling(n=9, batch=4), "n" * 9, verifier_calls=6)
    assert (outcome.stop, len(outcome.samples)) == (Stop.BUDGET, 6)
    assert outcome.cost == Cost(draws=6, new_tokens=6, verifier_calls=6)
    slow = Task("?", Passes(lambda _: False, cost=Cost(verifier_calls=1, seconds=3.0)))
    outcome = RepeatedSampling(n=9, batch=2).run(Scripted("n" * 9), slow, Budget(seconds=7), seed=0)
    assert len(outcome.samples) == 4  # two batches of 6 s: looked at between calls


@pytest.mark.parametrize("draws", range(5))
def test_a_limit_on_draws_is_exact(draws):
    outcome = run(RepeatedSampling(n=9, batch=3), "n" * 9, draws=draws)
    assert (len(outcome.samples), outcome.stop) == (draws, Stop.BUDGET)


def test_single_makes_one_draw_or_none():
    outcome = run(Single(), "ny")
    assert (outcome.chosen.value, outcome.stop, outcome.cost.verifier_calls) == (
        "n",
        Stop.COMPLETE,
        0,
    )
    assert outcome.passed is None  # nobody checked it yet
    assert run(Single(), "y", draws=0).stop is Stop.BUDGET


def test_a_task_without_a_verifier_is_refused_before_a_draw_is_paid():
    generator = Scripted("y")
    with pytest.raises(InvalidArgument, match="no verifier"):
        RepeatedSampling(n=1).run(generator, Task("?"), Budget(), seed=0)
    assert generator.calls == []


def test_parts_that_return_too_little_are_named():
    class Short(Scripted):
        def sample(self, prompt, n, *, seed, first=0):
            return super().sample(prompt, n - 1, seed=seed, first=first)

    class Silent:
        def check(self, samples: Samples):
            return []

    with pytest.raises(GenwrightError, match="generator Short returned 1 results where 2"):
        RepeatedSampling(n=2).run(
            Short("yy"), Task("?", Passes(SAYS.__getitem__)), Budget(), seed=0
        )
    with pytest.raises(GenwrightError, match="verifier Silent returned 0"):
        RepeatedSampling(n=2).run(Scripted("yy"), Task("?", Silent()), Budget(), seed=0)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 1, "batch": 0}])
def test_counts_below_one_are_refused(wrong):
    with pytest.raises(InvalidArgument, match="must be 1 or more, got 0"):
        RepeatedSampling(**wrong)


def test_the_chance_of_a_pass_within_n_is_one_minus_all_failing():
    """Exact: all 3^4 scripts, each weighted by its probability."""
    p = {"y": 0.2, "n": 0.5, "?": 0.3}
    total = {True: 0.0, False: 0.0, None: 0.0}
    for script in product("yn?", repeat=4):
        weight = p[script[0]] * p[script[1]] * p[script[2]] * p[script[3]]
        total[run(RepeatedSampling(n=4, batch=3), "".join(script)).passed] += weight
    assert total[True] == pytest.approx(1 - 0.8**4)
    assert total[False] == pytest.approx(0.5**4)
