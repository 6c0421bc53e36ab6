"""Only the chains with the most steps vote; with all of them it is the majority vote exactly."""

from collections import Counter
from fractions import Fraction
from functools import partial
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Budget, InvalidArgument, Stop, Task, build, describe
from genwright.search.complexity import ComplexExamples, ComplexVote, steps, top_weights
from genwright.search.majority_vote import MajorityVote
from genwright.testing import Scripted, Uniform
from genwright.testing.contracts import StrategyCase, check_contract
from genwright.verifiers.math_answer import MathKey

TASK = Task("?", key="t")


@pytest.mark.parametrize(
    ("chain", "n"),
    [
        ("", 0),
        ("\n \n\t\n", 0),
        ("a\nb\nc", 3),
        ("a\r\nb\r\n\r\nc\r\n", 3),
        ("1. a\n2. b\n3.\n", 2),
        ("a\nThe answer is 8.", 1),
        ("a\nSo, the final answer: 8", 1),
        ("a\n#### 8", 1),
        ("a\n**Answer:** 8", 1),
        ("3 + 5 = 8. The answer is 8.", 1),
        ("We look for the answer first", 1),
    ],
)
def test_steps_are_lines_that_say_more_than_the_answer(chain, n):
    assert steps(chain) == n


def drawn(pairs):
    return ["step\n" * n + f"The answer is {answer}." for answer, n in pairs]


def vote(pairs, **settings):
    strategy = ComplexVote(n=len(pairs), key=MathKey(), **settings)
    return strategy.run(Scripted(drawn(pairs)), TASK, Budget(), seed=0)


PAIRS = st.lists(st.tuples(st.sampled_from("357"), st.integers(0, 4)), min_size=1, max_size=9)


@given(PAIRS, st.integers(1, 9))
def test_where_all_may_vote_it_is_the_majority_vote(pairs, batch):
    generator, n = Scripted(drawn(pairs)), len(pairs)
    plain = MajorityVote(k=n, batch=n, key=MathKey()).run(generator, TASK, Budget(), 0)
    assert vote(pairs, top=1.0, batch=batch).chosen.value == plain.chosen.value


@given(PAIRS, st.floats(0.01, 1))
def test_the_weight_of_an_answer_is_its_mean_over_all_ways_to_break_ties(pairs, share):
    """Ties at the edge of the K broken by every order of the draws, averaged exactly."""
    pairs = pairs[:5]
    places = max(1, round(share * len(pairs)))
    votes, orders = Counter(), list(permutations(range(len(pairs))))
    for order in orders:
        ranked = sorted(order, key=lambda i: -pairs[i][1])  # stable: the order breaks ties
        votes.update(pairs[i][0] for i in ranked[:places])
    weights = top_weights([n for _, n in pairs], share)
    for answer in {a for a, _ in pairs}:
        mine = sum(w for (a, _), w in zip(pairs, weights, strict=True) if a == answer)
        assert mine == pytest.approx(float(Fraction(votes[answer], len(orders))))


def test_the_long_chains_outvote_the_many():
    pairs = [("3", 1)] * 5 + [("5", 4)] * 3
    assert vote(pairs, top=0.5).chosen.value.endswith("5.")
    assert vote(pairs, top=1.0).chosen.value.endswith("3.")
    outcome = vote(pairs, top=0.5)
    assert outcome.info["steps"] == [1] * 5 + [4] * 3
    assert outcome.info["votes"] == pytest.approx([1.0, 3.0])


def test_a_chain_without_an_answer_takes_no_place():
    chains = ["rambling\n" * 9] * 2 + ["a\nb\nThe answer is 3.", "a\nThe answer is 5."]
    strategy = ComplexVote(n=4, top=0.5, key=MathKey(extract="answer_line"))
    outcome = strategy.run(Scripted(chains), TASK, Budget(), 0)
    assert (outcome.chosen.value, outcome.info["votes"]) == (chains[2], [1.0])
    nothing = strategy.run(Scripted(["x"] * 4), TASK, Budget(), 0)
    assert (nothing.chosen, nothing.info["agreement"]) == (None, 0.0)


def test_a_tight_budget_is_kept_and_said():
    generator = Scripted(drawn([("3", 1)] * 9))
    outcome = ComplexVote(n=9, batch=4).run(generator, TASK, Budget(draws=5), 0)
    assert (len(outcome.samples), outcome.stop) == (5, Stop.BUDGET)
    none = ComplexVote(n=9).run(generator, TASK, Budget(draws=0), 0)
    assert (none.chosen, none.stop) == (None, Stop.BUDGET)


def test_the_contract_of_strategies_is_kept():
    generator = Uniform(drawn([("3", 1), ("5", 2), ("7", 3), ("5", 0)]))
    make = partial(ComplexVote, n=9, batch=3, key=MathKey())
    check_contract(StrategyCase(make=make, generator=generator, task=TASK, batch=3))
    assert build("strategy", describe(make())) == make()


EXAMPLES = [
    {"question": "q" * (9 - n), "answer": "step\n" * n + "#### 1", "formula": "+" * (n % 3)}
    for n in range(8)
]


@given(st.permutations(range(8)), st.integers(0, 5))
def test_the_order_of_examples_does_not_change_what_is_chosen(order, seed):
    shuffled = [EXAMPLES[i] for i in order]
    for settings in ({}, {"prefer": "random"}, {"measure": "formula"}, {"prefer": "simple"}):
        chooser = ComplexExamples(k=3, **settings)
        there = [EXAMPLES[i] for i in chooser.choose(EXAMPLES, seed=seed)]
        assert [shuffled[i] for i in chooser.choose(shuffled, seed=seed)] == there


def test_each_measure_ranks_by_what_it_says():
    assert ComplexExamples(k=3).choose(EXAMPLES, seed=0) == [7, 6, 5]
    assert ComplexExamples(k=3, prefer="simple").choose(EXAMPLES, seed=0) == [0, 1, 2]
    assert ComplexExamples(k=3, measure="question").choose(EXAMPLES, seed=0) == [0, 1, 2]
    assert set(ComplexExamples(k=2, measure="formula").choose(EXAMPLES, seed=0)) == {2, 5}
    chosen = {
        tuple(ComplexExamples(k=1, measure="formula").choose(EXAMPLES, seed=s)) for s in range(40)
    }
    assert chosen == {(2,), (5,)}  # ties at random: one seed in 2^39 would not show both
    anything = {
        ComplexExamples(k=1, prefer="random").choose(EXAMPLES, seed=s)[0] for s in range(200)
    }
    assert anything == set(range(8))  # missed with chance below 8 (7/8)^200 < 1e-10


def test_a_prompt_holds_the_examples_and_ends_where_the_answer_begins():
    rows = [
        {"question": "1+1?", "answer": "1+1=2\nThe answer is 2"},
        {"question": "?", "answer": ""},
    ]
    made = ComplexExamples(k=1).prompt(
        rows, "2+2?", seed=0, example="Q: {question}\nA: {answer}\n\n"
    )
    assert made == "Q: 1+1?\nA: 1+1=2\nThe answer is 2\n\nQ: 2+2?\nA: "


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ComplexVote(n=0), "n must be"),
        (lambda: ComplexVote(top=0.0), "top"),
        (lambda: ComplexVote(top=1.5), "top"),
        (lambda: ComplexExamples(k=0), "k must be"),
        (lambda: ComplexExamples(measure="length"), "measure"),
        (lambda: ComplexExamples(prefer="best"), "prefer"),
        (lambda: ComplexExamples().choose(EXAMPLES[:3], seed=0), "from 3"),
        (lambda: ComplexExamples(k=1, field="anwser").choose(EXAMPLES, seed=0), "answer"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call()
