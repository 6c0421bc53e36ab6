"""BestOfN returns the maximum over every draw it made, the first of equals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Budget, InvalidArgument, Stop, Task, Verdict
from genwright.search.best_of_n import BestOfN
from genwright.testing import Passes, Scripted

TASK = Task(
    "?", Passes(lambda score: Verdict(passed=None if score is None else score >= 1, score=score))
)
SCORES = st.lists(st.sampled_from([None, 0.0, 0.3, 0.7, 1.0]), min_size=1, max_size=12)


@given(SCORES, st.integers(1, 5))
def test_neither_batching_nor_the_stop_at_full_score_changes_the_choice(scores, batch):
    outcome = BestOfN(n=len(scores), batch=batch).run(Scripted(scores), TASK, Budget(), seed=0)
    known = [s for s in scores if s is not None]
    by_hand = scores.index(max(known)) if known else None
    chosen = outcome.chosen
    assert (chosen and chosen.value) == (None if by_hand is None else scores[by_hand])
    drawn = scores[: len(outcome.samples)]
    assert list(outcome.info["scores"]) == drawn
    assert outcome.stop is (Stop.COMPLETE if len(drawn) == len(scores) else Stop.DECIDED)
    if 1.0 in scores:
        assert len(drawn) == min(len(scores), (scores.index(1.0) // batch + 1) * batch)


def choose(values, score, **limits):
    generator = Scripted(values, logprobs=[-float(len(v)) for v in values])
    return BestOfN(n=len(values), score=score).run(generator, Task("?"), Budget(**limits), seed=0)


def test_any_score_of_a_draw_will_do_and_no_verifier_is_called():
    values = ["abc", "a", "abcd", "b"]
    assert choose(values, "logprob").chosen.value == "a"
    assert choose(values, lambda s: len(s.value)).chosen.value == "abcd"
    assert (
        choose(values, lambda s: len(s.value) if len(s.value) < 4 else None).chosen.value == "abc"
    )
    assert choose(values, lambda s: None).chosen is None
    assert choose(values, "logprob").cost.verifier_calls == 0


def test_the_budget_ends_it_with_the_best_so_far():
    outcome = choose(["abc", "a"], "logprob", draws=1)
    assert (outcome.stop, outcome.chosen.value) == (Stop.BUDGET, "abc")
    outcome = BestOfN(n=4).run(Scripted([0.1, 0.2, 0.3]), TASK, Budget(verifier_calls=3), seed=0)
    assert (outcome.stop, outcome.chosen.value, outcome.cost.verifier_calls) == (
        Stop.BUDGET,
        0.3,
        3,
    )


def test_a_score_that_cannot_be_had_is_refused():
    with pytest.raises(InvalidArgument, match="gives none"):
        BestOfN(n=1, score="logprob").run(Scripted("a"), Task("?"), Budget(), seed=0)
    with pytest.raises(InvalidArgument, match="NaN"):
        choose(["a"], lambda s: float("nan"))
    with pytest.raises(InvalidArgument, match="no verifier"):
        BestOfN(n=1).run(Scripted("a"), Task("?"), Budget(), seed=0)
    with pytest.raises(InvalidArgument, match="'verifer'"):
        BestOfN(n=1, score="verifer")
    with pytest.raises(InvalidArgument, match="n must be 1 or more"):
        BestOfN(n=0)
