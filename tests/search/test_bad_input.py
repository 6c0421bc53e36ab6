"""No draws, all failed, a tie, a verifier that raises, a budget below one draw: each says so."""

import pytest

from genwright.core import (
    Budget,
    Cost,
    GenwrightError,
    InvalidArgument,
    RunState,
    Stop,
    Task,
    build,
    solve,
)
from genwright.core.ledger import Ledger
from genwright.search.auto import Auto
from genwright.search.best_of_n import BestOfN
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.sequential import Sequential
from genwright.search.single import Single
from genwright.testing import Passes, Scripted

RATES = (0.05, 0.05)
ALL = [
    Single(),
    RepeatedSampling(n=4),
    RepeatedSampling(n=4, reliability=RATES),
    Sequential(n=4),
    Sequential(n=4, reliability=RATES),
    BestOfN(n=4),
    BestOfN(n=4, reliability=RATES),
    MajorityVote(k=4),
    MajorityVote(k=4, reliability=RATES),
    Auto(n=4),
    Auto(n=4, right="many"),
]
CHECKING = [s for s in ALL if not isinstance(s, Single) and s != MajorityVote(k=4)]
NAME = [f"{type(s).__name__}-{i}" for i, s in enumerate(ALL)]


def run(strategy, script, judge=lambda value: value == "y", **limits):
    return strategy.run(Scripted(script), Task("?", Passes(judge)), Budget(**limits), seed=0)


@pytest.mark.parametrize("strategy", ALL, ids=NAME)
@pytest.mark.parametrize("limits", [{"draws": 0}, {"new_tokens": 0}, {"seconds": 0.0}])
def test_a_budget_of_nothing_draws_nothing_and_says_so(strategy, limits):
    outcome = run(strategy, "yyyy", **limits)
    assert (outcome.chosen, len(outcome.samples), outcome.stop) == (None, 0, Stop.BUDGET)
    assert outcome.passed is False


@pytest.mark.parametrize("strategy", ALL, ids=NAME)
def test_a_budget_smaller_than_one_draw_is_overshot_by_the_first_call_only(strategy):
    """Three tokens where a draw writes ten."""
    generator = Scripted("nnnn", costs=Cost(draws=1, new_tokens=10))
    task = Task("?", Passes(lambda value: value == "y"))
    outcome = strategy.run(generator, task, Budget(new_tokens=3), seed=0)
    assert len(generator.calls) == 1
    assert outcome.stop in (Stop.BUDGET, Stop.COMPLETE)


@pytest.mark.parametrize("strategy", ALL, ids=NAME)
def test_where_every_draw_failed_nothing_is_called_passed(strategy):
    result = solve(
        [Task("?", Passes(lambda _: False), "t")], Scripted(["a", "b", "c", "d"]), strategy
    )
    (outcome,) = result.outcomes
    assert outcome.passed is False
    assert outcome.stop is not Stop.PASSED


@pytest.mark.parametrize("strategy", ALL, ids=NAME)
def test_of_equals_the_one_drawn_first_is_returned(strategy):
    result = run(strategy, ["a", "b", "b", "a"], judge=lambda _: None)
    first = {"a": strategy != BestOfN(n=4)}  # a draw without a score is never chosen
    assert (result.chosen is not None and result.chosen.value == "a") == first["a"]
    assert run(strategy, "yyyy").chosen.value == "y"


@pytest.mark.parametrize("strategy", ALL, ids=NAME)
def test_undecided_is_neither_a_pass_nor_a_failure(strategy):
    outcome = run(strategy, "abcd", judge=lambda _: None)
    counts = {k: outcome.info[k] for k in ("passed", "failed", "undecided") if k in outcome.info}
    assert counts in ({}, {"passed": 0, "failed": 0, "undecided": 4})
    assert outcome.stop not in (Stop.PASSED, Stop.DECIDED)


@pytest.mark.parametrize("strategy", CHECKING)
def test_a_verifier_that_raises_fails_the_run_with_its_own_error(strategy):
    def broken(value):
        raise ZeroDivisionError("the verifier's own fault")

    with Ledger() as book:
        with pytest.raises(ZeroDivisionError, match="own fault") as told:
            solve([Task("?", Passes(broken))], Scripted("yyyy"), strategy, ledger=book, run_id="r")
        assert any("resumes" in note for note in told.value.__notes__)
        assert (book.run("r").state, "own fault" in book.run("r").message) == (
            RunState.FAILED,
            True,
        )


@pytest.mark.parametrize("strategy", ALL, ids=NAME)
def test_a_generator_that_returns_no_draw_is_named(strategy):
    class Empty(Scripted):
        def sample(self, prompt, n, *, seed, first=0):
            return super().sample(prompt, 0, seed=seed)

    with pytest.raises(GenwrightError, match="generator Empty returned 0 results"):
        strategy.run(Empty("y"), Task("?", Passes(bool)), Budget(), seed=0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"method": "sequential", "n": 1, "prior": [0, 1]}, "prior must be two numbers above 0"),
        ({"method": "sequential", "n": 1, "prior": [1]}, "prior must be two numbers above 0"),
        ({"method": "auto", "prior": [1, -1]}, "prior must be two numbers above 0"),
        ({"method": "repeated_sampling", "n": 1, "reliability": [0.9, 0.9]}, "says nothing"),
        ({"method": "b4", "alpha_xy": 0}, "alpha_xy must be above 0"),
        ({"method": "soft_b4", "beta_0": -1}, "beta_0 must be above 0"),
    ],
)
def test_priors_and_rates_out_of_range_are_refused_from_a_task_file_too(table, message):
    slot = "selector" if "b4" in table["method"] else "strategy"
    with pytest.raises(InvalidArgument, match=message):
        build(slot, table)
