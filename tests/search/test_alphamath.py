"""Searches over steps on sums small enough to know: right paths, rewards, resuming, bad input.

The task: reach exactly the target by adding digits; a step is a digit, "=" ends the sum.
"""

import json
import re
from dataclasses import dataclass, field
from itertools import product

import pytest

from genwright.core import (
    Budget,
    Cost,
    InvalidArgument,
    Ledger,
    Samples,
    Stop,
    Task,
    Verdict,
    child_seed,
    solve,
    uniform,
)
from genwright.search.alphamath import StepBeam, StepMCTS
from genwright.search.steps import Observation, StepFormat, continued
from genwright.search.tree import Tree
from genwright.testing import Scripted

FINAL = "="


@dataclass(frozen=True)
class Digits:
    """Draws a step after `prompt`: one of the letters, each with its own chance."""

    letters: str = "123="
    calls: list = field(default_factory=list, repr=False, compare=False)

    def sample(self, prompt, n, *, seed, first=0):
        self.calls.extend((prompt, child_seed(seed, first + i)) for i in range(n))
        letters = [
            self.letters[int(uniform(child_seed(seed, first + i), 0) * len(self.letters))]
            for i in range(n)
        ]
        cost = Cost(draws=1, new_tokens=1)
        info = [{"tokens": [ord(letter)]} for letter in letters]
        return Samples(letters, [-1.0] * n, [cost] * n, info)


def total(text):
    return sum(map(int, re.findall(r"\d", text)))


class Sum:
    """Passes a text whose digits add up to the target."""

    def __init__(self, target, undecided=False):
        self.target, self.undecided, self.seen = target, undecided, []

    def check(self, samples):
        self.seen += samples.values
        if self.undecided:
            return [Verdict.undecided() for _ in samples]
        return [
            Verdict.ok() if total(value) == self.target else Verdict.fail()
            for value in samples.values
        ]


def perfect(target):
    """1 where a sum can still reach its target (or has), else -1."""

    def value(prompts):
        solutions = [p.partition("?")[2] for p in prompts]
        return [
            1.0 if (total(s) == target if "=" in s else total(s) <= target) else -1.0
            for s in solutions
        ]

    return value


def run(strategy, *, target=5, budget=None, generator=None, verifier=None, seed=3):
    task = Task("sum?", verifier or Sum(target))
    return strategy.run(generator or Digits(), task, budget or Budget(), seed)


SETTINGS = {"final": FINAL, "depth": 6}


@pytest.mark.parametrize("leaves", [1, 4])
def test_the_tree_rewards_what_the_check_says(leaves):
    """Every answer's node holds its reward once; every other end holds -1; Q stays in [-1, 1]."""
    outcome = run(StepMCTS(simulations=25, leaves=leaves, final=FINAL, depth=3))
    tree, info = Tree.load(outcome.info["tree"]), outcome.info
    kinds = set()
    for node in range(len(tree)):
        assert -1.0 <= tree.mean(node) <= 1.0
        path = "".join(info["texts"][i] for i in list(tree.path(node))[::-1])
        deep = tree.depth[node] == 3 and "=" not in path
        assert (info["ends"][node] == "depth") == deep
        if info["ends"][node]:
            right = total(path) == 5 and info["ends"][node] == "answer"
            assert (tree.visits[node], tree.total[node]) == (1, 1.0 if right else -1.0)
            assert tree.closed[node]
            kinds.add((info["ends"][node], right))
        assert info["passed"][node] == ((total(path) == 5) if "=" in path else None)
    assert kinds == {("answer", True), ("answer", False), ("depth", False)}
    assert total(outcome.chosen.value) == 5
    assert outcome.chosen.value.endswith("=")
    drawn = [outcome.samples[i].value for i in outcome.chosen.info["draws"]]
    assert "\n".join(drawn) == outcome.chosen.value


def test_visits_of_an_inner_node_are_its_own_evaluation_and_its_childrens():
    outcome = run(StepMCTS(simulations=25, value=lambda ps: [0.25] * len(ps), **SETTINGS))
    tree = Tree.load(outcome.info["tree"])
    expanded = [i for i in range(len(tree)) if tree.start[i] >= 0]
    assert len(expanded) == outcome.info["expanded"] == 25
    for node in expanded:
        assert tree.visits[node] == 1 + sum(tree.visits[c] for c in tree.children(node))
        below = sum(tree.total[c] for c in tree.children(node))
        assert tree.total[node] == pytest.approx(0.25 + below)


def test_the_prior_is_the_mean_not_the_sum_of_log_probabilities():
    """Two tokens of -1 and -3 nats: exp(-2)."""

    class Two:
        def sample(self, prompt, n, *, seed, first=0):
            return Samples(["="] * n, [-4.0] * n, None, [{"tokens": [1, 2]}] * n)

    outcome = run(StepMCTS(simulations=1, **SETTINGS), generator=Two())
    assert outcome.info["tree"]["prior"] == pytest.approx([1.0, 0.1353352832])


def test_equal_steps_are_one_child():
    outcome = run(StepMCTS(simulations=1, children=50, **SETTINGS))
    assert sorted(outcome.info["texts"][1:]) == ["1\n", "2\n", "3\n", "=\n"]
    assert len(outcome.samples) == 50


def test_with_enough_simulations_the_best_first_step_is_that_of_exhaustive_search():
    """Letters 3 and "=", target 3: enumeration says that of the first steps only 3 can be right."""
    letters, depth = "3=", 4
    ends = ["".join(p) for k in range(1, depth + 1) for p in product(letters, repeat=k)]
    right = [t for t in ends if t.count("=") == 1 and t[-1] == "=" and total(t) == 3]
    assert right == ["3="]
    strategy = StepMCTS(simulations=60, children=12, final=FINAL, depth=depth)
    outcome = run(strategy, target=3, generator=Digits(letters))
    tree = Tree.load(outcome.info["tree"])
    best = max(tree.children(0), key=tree.mean)
    assert outcome.info["texts"][best] == "3\n"
    assert outcome.stop is Stop.DECIDED  # all of the tree was solved
    assert outcome.chosen.value == "3\n="


@pytest.mark.parametrize("seed", range(8))
def test_with_a_perfect_value_a_beam_of_one_is_right_whenever_a_candidate_is(seed):
    """40 candidates of 4 letters: one is missing with chance 4 (3/4)^40 < 5e-5 at each of 6 steps.

    Where every letter is there, a right path is kept at each step.
    """
    strategy = StepBeam(b1=1, b2=40, value=perfect(5), **SETTINGS)
    outcome = run(strategy, seed=seed)
    assert total(outcome.chosen.value) == 5
    assert outcome.info["values"] == [1.0]


def test_a_beam_follows_its_value_by_hand():
    """Two beams: of a, b, c the values keep b and c; b ends, so one beam is left for the rest."""
    script = {"q": ["a", "b", "b", "c"], "qc\n": ["x=", "y="]}
    worth = {"qa\n": 0.1, "qb\n": 0.9, "qc\n": 0.5, "qc\nx=\n": 0.2, "qc\ny=\n": 0.3}
    asked = []

    def value(prompts):
        asked.append(list(prompts))
        return [worth[p] for p in prompts]

    strategy = StepBeam(b1=2, b2=2, value=value, final="b|=")
    outcome = strategy.run(Scripted(script), Task("q"), Budget(), 0)
    assert asked == [["qa\n", "qb\n", "qc\n"], ["qc\nx=\n", "qc\ny=\n"]]
    assert outcome.chosen.value == "b"
    assert outcome.info["values"] == [0.9, 0.3]
    assert (len(outcome.samples), outcome.stop) == (6, Stop.COMPLETE)


def test_without_checks_the_tree_is_walked_by_the_value():
    verifier = Sum(5)
    strategy = StepMCTS(simulations=30, check=False, value=perfect(5), **SETTINGS)
    outcome = run(strategy, verifier=verifier)
    assert verifier.seen == []
    assert total(outcome.chosen.value) == 5
    assert set(outcome.info["passed"]) == {None}


def test_a_pass_ends_the_search_where_it_may():
    strategy = StepMCTS(simulations=100, leaves=1, stop_on_pass=True, **SETTINGS)
    outcome = run(strategy)
    assert outcome.stop is Stop.PASSED
    assert outcome.info["expanded"] < 100
    assert total(outcome.chosen.value) == 5


# What is left out of the solution by mistake.


def test_a_tool_answers_before_the_value_is_read():
    seen = []

    def tool(before, step):
        return Observation(f"[{before.count(chr(10))}:{step}]\n") if step == "1" else None

    def value(prompts):
        seen.extend(prompts)
        return [0.0] * len(prompts)

    strategy = StepBeam(b1=1, b2=1, value=value, tool=tool, final=FINAL)
    strategy.run(Scripted({"q": ["1"], "q1\n[0:1]\n": ["="]}), Task("q"), Budget(), 0)
    assert seen == ["q1\n[0:1]\n", "q1\n[0:1]\n=\n"]


def test_too_many_errors_of_the_tool_in_a_row_end_a_solution():
    def tool(before, step):
        return Observation("Error\n", failed=step == "1")

    ends = []
    for steps in ("1111", "1112111"):
        script, text = {}, "q"
        for step in steps:
            script[text] = [step]
            text += f"{step}\nError\n"
        strategy = StepMCTS(
            simulations=len(steps), children=1, leaves=1, check=False, tool=tool, final=FINAL
        )
        outcome = strategy.run(Scripted(script), Task("q"), Budget(), 0)
        ends.append(outcome.info["ends"][1:])
    assert ends == [["", "", "", "errors"], ["", "", "", "", "", "", ""]]


@pytest.mark.parametrize(
    ("info", "step", "end"),
    [
        ({}, "1", ""),
        ({}, "=", "answer"),
        ({}, "  ", "garbled"),
        ({"finish_reason": "length"}, "1", "garbled"),
        ({"finish_reason": "length"}, "1=", "answer"),
        ({"end_logprob": -0.5}, "1", "garbled"),
    ],
)
def test_what_ends_a_solution(info, step, end):
    class One:
        def sample(self, prompt, n, *, seed, first=0):
            return Samples([step] * n, None, None, [info] * n)

    outcome = run(StepMCTS(simulations=1, **SETTINGS), generator=One())
    assert outcome.info["ends"] == ["", end]
    assert outcome.info["tree"]["prior"] == [1.0, 1.0]  # no log-probability is known


# Verifiers that err, and those that cannot tell.


def test_undecided_is_neither_right_nor_wrong():
    outcome = run(StepMCTS(simulations=20, **SETTINGS), verifier=Sum(5, undecided=True))
    tree = Tree.load(outcome.info["tree"])
    answers = [i for i, end in enumerate(outcome.info["ends"]) if end == "answer"]
    assert answers
    assert all(tree.visits[i] == 0 and tree.closed[i] for i in answers)
    assert outcome.chosen is not None  # it may be right
    assert outcome.verdict is None


def test_rewards_of_a_checker_that_errs_are_posterior_odds():
    """False accepts 0.2, rejects 0.1: P(right) is 0.9 / 1.1 where it passed, else 0.1 / 0.9."""
    outcome = run(StepMCTS(simulations=20, reliability=(0.2, 0.1), **SETTINGS))
    tree = Tree.load(outcome.info["tree"])
    found = {
        passed: tree.total[i]
        for i, passed in enumerate(outcome.info["passed"])
        if passed is not None
    }
    assert found == pytest.approx({True: 2 * 0.9 / 1.1 - 1, False: 2 * 0.1 / 0.9 - 1})


# Budgets, and starting again.


@pytest.mark.parametrize("strategy", [StepMCTS(**SETTINGS), StepBeam(b1=2, b2=3, **SETTINGS)])
@pytest.mark.parametrize("draws", [0, 1, 4, 17])
def test_a_budget_in_draws_is_exact_and_said(strategy, draws):
    outcome = run(strategy, budget=Budget(draws=draws))
    assert len(outcome.samples) <= draws
    assert outcome.stop is Stop.BUDGET or draws == 17
    assert draws or outcome.chosen is None


def test_a_budget_of_checks_leaves_the_rest_undecided():
    verifier = Sum(5)
    outcome = run(
        StepMCTS(simulations=20, **SETTINGS), verifier=verifier, budget=Budget(verifier_calls=2)
    )
    assert len(verifier.seen) == 2
    checked = [p for p in outcome.info["passed"] if p is not None]
    assert len(checked) == 2 < outcome.info["ends"].count("answer")


class Killed(BaseException):
    pass


@dataclass(frozen=True)
class Mortal:
    """Digits that dies after so many calls, once."""

    inner: Digits
    left: list = field(repr=False, compare=False)

    def sample(self, prompt, n, *, seed, first=0):
        if self.left and self.left[0] == len(self.inner.calls) // 5:
            self.left.clear()
            raise Killed
        return self.inner.sample(prompt, n, seed=seed, first=first)


@pytest.mark.parametrize("after", [0, 1, 7, 19])
def test_a_killed_search_resumes_with_the_same_tree_and_pays_for_nothing_twice(after, tmp_path):
    strategy = StepMCTS(simulations=25, leaves=4, **SETTINGS)
    whole = run(strategy, seed=child_seed(3, "one"))
    book, digits, verifier = Ledger(tmp_path / "l.sqlite"), Digits(), Sum(5)
    generator, task = Mortal(digits, [after]), Task("sum?", verifier, "one")
    with pytest.raises(Killed):
        solve([task], generator, strategy, ledger=book, run_id="r", seed=3)
    assert len(digits.calls) == 5 * after
    (outcome,) = solve([task], generator, strategy, ledger=book, run_id="r", seed=3).outcomes
    assert json.loads(json.dumps(dict(outcome.info))) == json.loads(json.dumps(dict(whole.info)))
    assert outcome.samples == whole.samples
    assert len(digits.calls) == len(set(digits.calls)) == len(whole.samples)
    assert len(verifier.seen) == len(set(verifier.seen))
    again = book.run("r").outcomes()["one"]  # the tree is in the ledger
    assert Tree.load(again.info["tree"]).saved() == whole.info["tree"]


# Bad input.


def test_a_generator_that_ends_at_once_and_draws_that_all_failed_are_told_apart():
    empty = run(StepMCTS(simulations=3, **SETTINGS), generator=Scripted([""] * 9))
    assert (empty.chosen, empty.stop) == (None, Stop.DECIDED)
    assert empty.info["ends"] == ["", "garbled"]
    failed = run(StepMCTS(simulations=3, **SETTINGS), target=99)
    assert failed.chosen is None
    assert False in failed.info["passed"]


def test_one_child_a_node_is_a_plain_walk():
    outcome = run(StepMCTS(simulations=9, children=1, **SETTINGS))
    tree = Tree.load(outcome.info["tree"])
    assert tree.depth == list(range(len(tree)))
    assert outcome.stop is Stop.DECIDED


def test_a_verifier_that_raises_is_heard():
    class Broken:
        def check(self, samples):
            raise RuntimeError("no prover")

    with pytest.raises(RuntimeError, match="no prover"):
        run(StepMCTS(simulations=20, **SETTINGS), verifier=Broken())


def test_a_task_without_verifier_is_refused_when_answers_are_to_be_checked():
    with pytest.raises(InvalidArgument, match="check=False"):
        StepMCTS(simulations=20, **SETTINGS).run(Digits(), Task("sum?"), Budget(), 3)


@pytest.mark.parametrize("values", [[0.5], [2.0] * 4, [float("nan")] * 4])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(InvalidArgument, match=r"in \[-1, 1\]"):
        run(StepBeam(b1=1, b2=40, value=lambda prompts: values, **SETTINGS))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (StepMCTS, {"simulations": 0}),
        (StepMCTS, {"children": 0}),
        (StepMCTS, {"leaves": 0}),
        (StepMCTS, {"c_puct": -1.0}),
        (StepMCTS, {"reliability": (0.6, 0.5)}),
        (StepMCTS, {"reliability": (-0.1, 0.0)}),
        (StepMCTS, {"depth": 0}),
        (StepMCTS, {"final": "("}),
        (StepBeam, {"b1": 0}),
        (StepBeam, {"b2": 0}),
        (StepBeam, {"delimiter": ""}),
        (StepFormat, {"most_errors": -1}),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong):
    with pytest.raises(InvalidArgument):
        kind(**wrong)


def test_messages_and_open_chat_turns_of_an_endpoint_are_refused():
    class Chat:
        chat = True

    assert continued(Chat(), "q", "") == "q"
    with pytest.raises(InvalidArgument, match="chat=False"):
        continued(Chat(), "q", "a step\n")
    with pytest.raises(InvalidArgument, match="give it a text"):
        continued(object(), [{"role": "user", "content": "q"}], "a step\n")
