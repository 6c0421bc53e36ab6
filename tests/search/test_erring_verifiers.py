"""What every method does when it is told that its verifier errs, and what it gains by it."""

import pytest

from genwright.core import Budget, InvalidArgument, Stop, Task, Verdict, child_seed, solve, uniform
from genwright.search.best_of_n import BestOfN
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.sequential import Sequential
from genwright.testing import Flaky, Passes, Scripted
from genwright.verifiers.repeat import Repeat

SAYS = {"y": True, "n": False, "?": None}
RATES = (0.05, 0.1)
METHODS = [
    RepeatedSampling(n=6, batch=2, reliability=RATES),
    Sequential(n=6, reliability=RATES),
    BestOfN(n=6, batch=2, reliability=RATES),
    MajorityVote(k=6, batch=2, reliability=RATES),
]


def run(strategy, script, **limits):
    """Draws are `y0`, `n1`, ...: their letter is what the verifier says of them."""
    values = [f"{letter}{i}" for i, letter in enumerate(script)]
    task = Task("?", Passes(lambda value: SAYS[value[0]]))
    return strategy.run(Scripted(values), task, Budget(**limits), seed=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("script", "chosen"),
    [("nnnnny", "y5"), ("nn?nnn", "?2"), ("nnnnnn", "n0"), ("yyyyyy", "y0"), ("??????", "?0")],
)
def test_the_likeliest_right_draw_is_returned(method, script, chosen):
    """A pass before an undecided draw before a failure; of equals the first."""
    assert run(method, script).chosen.value == chosen


@pytest.mark.parametrize("method", METHODS[:2])
def test_a_pass_ends_the_search_only_when_it_leaves_little_doubt(method):
    assert run(method, "yyyyyy").stop is Stop.PASSED
    late = run(method, "nnnnyn")
    assert (late.stop, late.chosen.value) == (Stop.COMPLETE, "y4")
    assert 0.5 < late.info["chance"] < 0.95
    bold = type(method)(n=6, reliability=RATES, sure=0.5)
    assert run(bold, "nnnnyn").stop is Stop.PASSED


@pytest.mark.parametrize("method", METHODS[:2])
def test_told_that_it_never_errs_it_does_what_it_does_untold(method):
    for script in ("nnynny", "nnnnnn", "n?nnnn", "yyyyyy"):
        size = {"batch": 2} if hasattr(method, "batch") else {}
        trusting = type(method)(n=6, **size)
        told = type(method)(n=6, reliability=(0.0, 0.0), **size)
        one, two = run(trusting, script), run(told, script)
        assert (one.chosen, one.stop, len(one.samples)) == (two.chosen, two.stop, len(two.samples))


@pytest.mark.parametrize(("price", "draws"), [(0.22, 2), (0.23, 1)])
def test_failures_of_a_verifier_that_rejects_right_draws_weigh_less(price, draws):
    """Uniform prior, half of the right draws rejected, one failure: E[p/2 | failure] = 2/9."""
    method = Sequential(n=2, price=price, prior=(1.0, 1.0), reliability=(0.0, 0.5))
    outcome = run(method, "nn")
    assert len(outcome.samples) == draws
    if draws == 1:
        assert (outcome.stop, outcome.info["forgone"]) == (Stop.GAVE_UP, pytest.approx(2 / 9))


def test_partial_credit_can_outweigh_a_doubtful_pass():
    """Three failures of score 0.9 and a pass, by a verifier that passes 30% of wrong draws."""
    scores = {"a": 0.9, "b": 0.2, "c": 0.1, "d": 0.1, "e": 0.1, "f": 1.0}
    judge = Passes(lambda v: Verdict(passed=scores[v] == 1.0, score=scores[v]))
    plain, told = (
        BestOfN(n=6, reliability=rates).run(Scripted("abcdef"), Task("?", judge), Budget(), 0)
        for rates in (None, (0.3, 0.0))
    )
    assert (plain.chosen.value, told.chosen.value) == ("f", "a")
    assert told.stop is Stop.COMPLETE
    early = BestOfN(n=6, batch=2, reliability=(0.3, 0.0))
    found = early.run(Scripted("fabcde"), Task("?", judge), Budget(), 0)
    assert len(found.samples) == 6  # a full score is no reason to end before the rest is seen


def test_verdicts_outvote_a_small_majority_and_not_a_large_one():
    """Draws say their answer first, then what the verifier says of them."""

    def vote(*values, reliability):
        method = MajorityVote(k=len(values), key=lambda v: v[0], reliability=reliability)
        task = Task("?", Passes(lambda v: SAYS[v[1]]))
        return method.run(Scripted(values), task, Budget(), seed=0)

    draws = ("5n1", "5n2", "5n3", "7y1")
    assert vote(*draws, reliability=None).chosen.value == "5n1"
    assert vote(*draws, reliability=(0.05, 0.05)).chosen.value == "7y1"
    assert vote(*draws, reliability=(0.45, 0.45)).chosen.value == "5n1"
    mixed = vote("5n1", "5y2", "5y3", "7y1", reliability=(0.05, 0.05))
    assert mixed.chosen.value == "5n1"  # its answer is right, whatever was said of this draw
    assert mixed.info["chances"][0] > 0.8 > mixed.info["chances"][1]


def test_a_lead_in_votes_does_not_end_what_verdicts_can_still_turn():
    draws = ["5n1", "5n2", "5n3", "5n4", "7y1", "7y2"]
    task = Task("?", Passes(lambda v: SAYS[v[1]]))
    method = MajorityVote(k=6, batch=1, key=lambda v: v[0], reliability=(0.05, 0.05))
    outcome = method.run(Scripted(draws), task, Budget(), seed=0)
    assert (outcome.chosen.value, outcome.stop) == ("7y1", Stop.COMPLETE)


def test_a_verdict_on_equal_draws_counts_once():
    task = Task("?", Passes(lambda v: v == "7"))
    method = MajorityVote(k=4, reliability=(0.3, 0.3))
    equal = method.run(Scripted(["5", "7", "7", "5"]), task, Budget(), seed=0)
    few = MajorityVote(k=2, reliability=(0.3, 0.3)).run(
        Scripted(["5", "7"]), task, Budget(), seed=0
    )
    odds = [o.info["chances"][1] / o.info["chances"][0] for o in (equal, few)]
    assert odds[0] == pytest.approx(odds[1])  # one verdict each, and as many votes each


def test_methods_that_are_told_choose_right_more_often_at_a_flaky_verifier():
    """400 tasks, 3 of 12 values right, 8 draws, a verifier that is wrong one time in five.

    Asked again inside `Repeat`, the errors must fall by more than half. Found are 181 and 45: half
    of the first and the second are 5.6 standard errors apart (one-sided chance 1e-8).
    """

    def tasks(wrap):
        truth = Passes(lambda v: v[0] < 3)
        return [Task("p", wrap(Flaky(truth, 0.2, 0.2, seed=i)), key=str(i)) for i in range(400)]

    class Draws:
        def sample(self, prompt, n, *, seed, first=0):
            drawn = [(int(12 * uniform(child_seed(seed, k))), k) for k in range(first, first + n)]
            return Scripted(drawn).sample(prompt, n, seed=seed)

    def wrong(strategy, wrap):
        found = solve(tasks(wrap), Draws(), strategy, seed=0).outcomes
        return sum(o.chosen is None or o.chosen.value[0] >= 3 for o in found)

    plain = wrong(RepeatedSampling(n=8), lambda v: v)
    told = wrong(
        RepeatedSampling(n=8, reliability=(0.2, 0.2)),
        lambda v: Repeat(verifier=v, reliability=(0.2, 0.2), doubt=0.01, most=15),
    )
    assert told < 0.5 * plain


@pytest.mark.parametrize("method", METHODS)
def test_rates_out_of_range_are_refused(method):
    count = {"k": 1} if isinstance(method, MajorityVote) else {"n": 1}
    for wrong in [(0.6, 0.6), (-0.1, 0.0), (0.1,)]:
        with pytest.raises(InvalidArgument, match=type(method).__name__):
            type(method)(**count, reliability=wrong)
    if hasattr(method, "sure"):
        with pytest.raises(InvalidArgument, match="sure"):
            type(method)(**count, sure=0.0)
    with pytest.raises(InvalidArgument, match="no verifier"):
        method.run(Scripted("a"), Task("?"), Budget(), seed=0)


def test_rates_are_no_use_where_the_verifier_is_not_asked():
    with pytest.raises(InvalidArgument, match="does not ask"):
        BestOfN(n=1, score="logprob", reliability=RATES)
