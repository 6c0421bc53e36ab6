"""The fakes serve exactly their script, or exactly the distribution they promise."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Cost, Generator, InvalidArgument, Samples, Verdict, Verifier
from genwright.testing import Passes, Scripted, Uniform


@given(st.integers(0, 6), st.integers(0, 6))
def test_scripted_serves_any_window_of_its_values(first, n):
    script = Scripted("abcdef", logprobs=[-0.5 * i for i in range(6)])
    if first + n > 6:
        with pytest.raises(AssertionError, match="holds 6 draws"):
            script.sample("p", n, seed=0, first=first)
    else:
        drawn = script.sample("p", n, seed=9, first=first)
        assert drawn.values == list("abcdef")[first : first + n]
        assert drawn.logprobs == [-0.5 * i for i in range(first, first + n)]
        assert drawn.cost.draws == drawn.cost.new_tokens == n


def test_scripted_is_a_generator_that_notes_its_calls():
    script = Scripted([1, 2, 3])
    assert isinstance(script, Generator)
    script.sample("p", 2, seed=5)
    script.sample("q", 1, seed=5, first=2)
    assert script.calls == [("p", 2, 5, 0), ("q", 1, 5, 2)]


def test_scripted_by_prompt_refuses_a_prompt_it_does_not_know():
    script = Scripted({"p": "ab", "q": "c"})
    assert script.sample("p", 2, seed=0).values == ["a", "b"]
    assert script.sample("q", 1, seed=0).values == ["c"]
    with pytest.raises(AssertionError, match="no script for the prompt 'r'"):
        script.sample("r", 1, seed=0)
    with pytest.raises(AssertionError, match="holds 1 draws"):
        script.sample("q", 2, seed=0)


def test_scripted_costs_are_per_draw_and_must_reach():
    script = Scripted("abc", costs=[Cost(draws=1, money=0.5), Cost(draws=1, money=2.0)])
    assert script.sample("p", 1, seed=0, first=1).cost == Cost(draws=1, money=2.0)
    with pytest.raises(AssertionError, match="2 costs"):
        script.sample("p", 3, seed=0)


def test_scripted_refuses_a_negative_window():
    with pytest.raises(AssertionError):
        Scripted("abc").sample("p", 2, seed=0, first=-1)
    with pytest.raises(AssertionError):
        Scripted("abc").sample("p", -1, seed=0)


@given(st.integers(0, 2**63 - 1), st.integers(0, 5), st.integers(0, 5))
def test_uniform_draws_do_not_depend_on_how_they_are_asked_for(seed, a, b):
    coin = Uniform(["heads", "tails", "edge"])
    halves = coin.sample("p", a, seed=seed) + coin.sample("q", b, seed=seed, first=a)
    assert coin.sample("p", a + b, seed=seed) == halves


def test_uniform_draws_every_choice_about_equally_often():
    """False alarm below 1e-9: 3,000 draws, each count within 6.6 deviations of 1,000."""
    drawn = Uniform("abc").sample("p", 3000, seed=1)
    for choice in "abc":
        assert abs(drawn.values.count(choice) - 1000) < 6.6 * (3000 * 2 / 9) ** 0.5


def test_uniform_knows_the_probability_of_a_value_listed_twice():
    drawn = Uniform("aab").sample("p", 40, seed=1)
    expected = {"a": log(2 / 3), "b": log(1 / 3)}
    assert set(drawn.values) == {"a", "b"}
    assert drawn.logprobs == [expected[value] for value in drawn.values]


def test_uniform_needs_a_choice():
    with pytest.raises(InvalidArgument, match="choices is empty"):
        Uniform([])


def test_passes_turns_answers_into_verdicts():
    table = {"yes": True, "no": False, "?": None, "half": Verdict.fail(score=0.5)}
    verifier = Passes(table.get, cost=Cost(verifier_calls=1, seconds=2.0))
    assert isinstance(verifier, Verifier)
    verdicts = verifier.check(Samples(list(table)))
    assert [v.passed for v in verdicts] == [True, False, None, False]
    assert [v.score for v in verdicts] == [1.0, 0.0, None, 0.5]
    assert verdicts[0].cost == Cost(verifier_calls=1, seconds=2.0)


def test_passes_lets_a_bug_in_the_predicate_through():
    with pytest.raises(ZeroDivisionError):
        Passes(lambda value: 1 / value > 0).check(Samples([0]))
