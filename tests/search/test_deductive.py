"""Unanimity decides who votes, plurality what is chosen; compared with both rules by hand."""

from collections import Counter
from functools import partial
from itertools import product

import pytest

from genwright.core import Budget, InvalidArgument, Samples, Stop, Task, build, describe, solve
from genwright.search.deductive import UnanimityPlurality
from genwright.search.majority_vote import MajorityVote
from genwright.testing import Scripted, Uniform
from genwright.testing.contracts import StrategyCase, check_contract
from genwright.verifiers.deduction import SymbolicStepVerifier
from genwright.verifiers.natural_program import ChainAnswer
from genwright.verifiers.prompted_steps import PromptedStepVerifier

TASK = Task("?", key="t")


def chain(answer, valid):
    """Three steps; an invalid one uses a number from nowhere in the second, None has no step."""
    if valid is None:
        return f"The answer is {answer}."
    middle = "1 + 1 = 2" if valid else "77 + 1 = 78"
    return (
        f"#1. There are {answer} pens.\n#2. (by #1) {answer} * 1 = {answer}\n"
        f"#3. (by #1) {middle}\n#4. (by #2) So the answer is {answer}."
    )


def run(chains, *, budget=Budget(), **settings):
    strategy = UnanimityPlurality(k=len(chains), **settings)
    return strategy.run(Scripted(chains), TASK, budget, seed=0)


@pytest.mark.parametrize("only_top", [0, 1, 2])
def test_the_choice_is_the_one_made_by_hand_on_all_small_scripts(only_top):
    kinds = [("3", True), ("3", False), ("5", True), ("5", None), ("7", False)]
    for drawn in product(kinds, repeat=4):
        votes = Counter(answer for answer, _ in drawn)
        least = [n for _, n in votes.most_common(only_top or None)][-1]
        checked = [(a, v) for a, v in drawn if votes[a] >= least]
        by_hand = next(
            side
            for side in (
                [a for a, v in checked if v],
                [a for a, v in checked if v is None],
                [a for a, _ in drawn],
            )
            if side
        )
        outcome = run([chain(*kind) for kind in drawn], only_top=only_top)
        chosen = ChainAnswer()(outcome.chosen.value)
        assert chosen == Counter(by_hand).most_common(1)[0][0]
        assert [v for v in outcome.info["valid"] if v != "unchecked"] == [v for _, v in checked]


def test_where_all_chains_are_valid_it_is_the_majority_vote():
    generator = Uniform([chain(a, True) for a in "34455"])
    for seed in range(20):
        ours = UnanimityPlurality(k=9).run(generator, TASK, Budget(), seed)
        vote = MajorityVote(k=9, key=ChainAnswer()).run(generator, TASK, Budget(), seed)
        assert ours.chosen.value == vote.chosen.value


def test_the_chosen_draw_is_itself_valid():
    outcome = run([chain("3", False), chain("3", True), chain("5", True), chain("3", True)])
    assert outcome.chosen.value == chain("3", True)
    assert outcome.info["voters"] == "valid"
    assert outcome.info["votes"] == [3, 1]


def test_a_model_may_check_what_it_drew_and_its_replies_are_paid_from_the_same_budget():
    class Draws:
        def sample(self, prompt, n, *, seed, first=0):
            values = [chain("3", True)] * n if prompt == "?" else ["yes"] * n
            return Scripted(values).sample(prompt, n, seed=seed)

    strategy = UnanimityPlurality(k=2, steps=PromptedStepVerifier(k=3))
    outcome = strategy.run(Draws(), TASK, Budget(), seed=0)
    assert outcome.info["valid"] == [True, True]
    assert outcome.info["checking"]["draws"] == 3 * 3  # three steps; the second chain is the first
    assert outcome.cost.draws == 2 + 3 * 3
    cut = strategy.run(Draws(), TASK, Budget(draws=6), seed=0)
    assert (cut.stop, cut.info["valid"], cut.info["voters"]) == (
        Stop.BUDGET,
        [None, None],
        "undecided",
    )
    assert cut.cost.draws == 5  # two chains and three replies; three more would be too many
    (recorded,) = solve([TASK], Draws(), strategy, budget=Budget(), seed=0).outcomes
    assert recorded.cost.draws == outcome.cost.draws


@pytest.mark.parametrize(("limit", "checked"), [(0, 0), (1, 0), (3, 1), (5, 1), (6, 2), (9, 2)])
def test_a_budget_of_checks_ends_the_checking(limit, checked):
    strategy = UnanimityPlurality(k=2)
    chains = [chain("3", True), chain("5", True)]
    cut = strategy.run(Scripted(chains), TASK, Budget(verifier_calls=limit), 0)
    assert cut.info["valid"].count(True) == (checked if limit else 0)
    assert cut.stop is (Stop.COMPLETE if limit >= 6 else Stop.BUDGET)


def test_a_limit_on_draws_does_not_limit_checks_that_draw_nothing():
    outcome = run([chain("3", True)] * 2, budget=Budget(draws=2, new_tokens=2))
    assert (outcome.info["valid"], outcome.stop) == ([True, True], Stop.COMPLETE)


def test_nobody_votes_where_no_draw_has_an_answer():
    outcome = run(["none", "nothing"])
    assert (outcome.chosen, outcome.info["voters"]) == (None, "nobody")
    empty = run(["none"], budget=Budget(draws=0))
    assert (empty.chosen, empty.stop, len(empty.samples)) == (None, Stop.BUDGET, 0)


def test_the_contract_of_strategies_is_kept():
    generator = Uniform([chain("3", True), chain("3", False), chain("5", True), chain("5", None)])
    make = partial(UnanimityPlurality, k=9, batch=3)
    check_contract(StrategyCase(make=make, generator=generator, task=TASK, batch=3))


def test_a_task_file_can_name_it_and_what_it_is_made_of():
    steps = {"method": "symbolic_step_verifier", "checks": ["calculation"]}
    built = build("strategy", {"method": "unanimity_plurality", "k": 4, "steps": steps})
    assert built == UnanimityPlurality(k=4, steps=SymbolicStepVerifier(checks=("calculation",)))
    assert build("strategy", describe(built)) == built


def test_a_verifier_that_raises_is_seen():
    class Broken:
        def check(self, samples: Samples) -> list:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run([chain("3", True)], steps=Broken())


@pytest.mark.parametrize("wrong", [{"k": 0}, {"batch": 0}, {"only_top": -1}])
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(InvalidArgument, match="UnanimityPlurality"):
        UnanimityPlurality(**wrong)
