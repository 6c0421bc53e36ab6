"""Strategies compared on shared draws: each is charged what it costs alone, and paid for once."""

import pytest

from genwright.core import (
    Budget,
    Cost,
    InvalidArgument,
    Ledger,
    Stop,
    Task,
    Verdict,
    child_seed,
    solve,
)
from genwright.search.best_of_n import BestOfN
from genwright.search.compare import compare
from genwright.search.contenders import contenders
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.sequential import Sequential
from genwright.search.single import Single
from genwright.testing import Passes, Scripted, Uniform

LETTERS = "aabc"
TASKS = [Task(f"p{i}", Passes(lambda v, right="abcd"[i]: v == right), f"t{i}") for i in range(4)]
STRATEGIES = {
    "single": Single(),
    "vote": lambda budget: MajorityVote(k=budget.draws),
    "repeated": lambda budget: RepeatedSampling(n=budget.draws, batch=1),
    "sequential": lambda budget: Sequential(n=budget.draws),
}


class Counted:
    """A generator that counts the draws it really makes."""

    def __init__(self, inner):
        self.inner, self.made = inner, 0

    def sample(self, prompt, n, *, seed, first=0):
        self.made += n
        return self.inner.sample(prompt, n, seed=seed, first=first)

    def __repr__(self):
        return "Counted"


def run(generator=None, strategies=STRATEGIES, budgets=(1, 4, 8), **more):
    return compare(TASKS, generator or Uniform(LETTERS), strategies, budgets, **more)


def alone(strategy, budget, task, seed=0):
    (outcome,) = solve([task], Uniform(LETTERS), strategy, budget=budget, seed=seed).outcomes
    return outcome


def test_every_strategy_does_and_is_charged_what_it_would_be_alone():
    found = run(seed=3)
    for cell in found.cells:
        make = STRATEGIES[cell.strategy]
        limit = Budget(draws=int(cell.budget))
        strategy = make(limit) if callable(make) else make
        outcomes = [alone(strategy, limit, task, seed=3) for task in TASKS]
        assert list(cell.passed) == [o.passed for o in outcomes]
        for task, cost, outcome in zip(TASKS, cell.costs, outcomes, strict=True):
            own = strategy.run(Uniform(LETTERS), task, limit, seed=child_seed(3, task.key))
            checks = (
                len(set(own.samples.values)) if cell.strategy in ("repeated", "sequential") else 0
            )
            assert (cost.draws, cost.verifier_calls) == (len(outcome.samples), checks)


def test_a_draw_is_made_once_whoever_asks_for_it():
    counted = Counted(Uniform(LETTERS))
    found = run(counted)
    assert counted.made == found.paid.draws == 8 * len(TASKS)  # nobody needs more than eight
    assert found.charged.draws > 2 * found.paid.draws
    assert found.before == Cost()


def test_the_grading_check_is_paid_and_not_charged():
    found = run(strategies={"vote": MajorityVote(k=3)}, budgets=[3])
    assert found.charged.verifier_calls == 0
    assert found.paid.verifier_calls == len(TASKS)


def test_going_on_pays_for_nothing_twice_and_a_further_strategy_uses_what_is_there():
    book, counted = Ledger(), Counted(Uniform(LETTERS))
    first = run(counted, ledger=book)
    again = run(counted, ledger=book)
    assert counted.made == again.paid.draws == 8 * len(TASKS)
    assert (again.id, again.cells, again.before) == (first.id, first.cells, first.paid)
    more = run(counted, {"best": BestOfN(n=9, score=lambda s: len(s.value))}, [9], ledger=book)
    assert (more.id, counted.made) == (first.id, 9 * len(TASKS))


def test_a_comparison_that_was_cut_off_goes_on_where_it_stopped(tmp_path):
    class Breaks(Counted):
        def sample(self, prompt, n, *, seed, first=0):
            if self.made >= 9:
                raise KeyboardInterrupt
            return super().sample(prompt, n, seed=seed, first=first)

        def __repr__(self):
            return "Counted"

    with Ledger(tmp_path / "book.sqlite") as book:
        broken = Breaks(Uniform(LETTERS))
        with pytest.raises(KeyboardInterrupt):
            run(broken, ledger=book)
        counted = Counted(Uniform(LETTERS))
        found = run(counted, ledger=book)
    assert broken.made + counted.made == 8 * len(TASKS)
    assert found.cells == run(Counted(Uniform(LETTERS))).cells
    assert found.before.draws == broken.made


def test_differences_are_paired_by_task_with_the_first_strategy():
    found = run()
    (single,) = (c for c in found.of("single") if c.budget == 8)
    (repeated,) = (c for c in found.of("repeated") if c.budget == 8)
    assert found.against(single) is None
    gain, test = found.against(repeated)
    differences = [a - b for a, b in zip(repeated.passed, single.passed, strict=True)]
    assert gain.estimate == pytest.approx(sum(differences) / 4)
    assert (test.first_only, test.second_only) == (differences.count(1), differences.count(-1))
    assert found.against(repeated, "repeated") is None


def test_undecided_choices_are_counted_apart():
    tasks = [Task("p", Passes(lambda _: None), "a"), Task("q", Passes(lambda _: True), "b")]
    found = compare(tasks, Uniform("x"), {"single": Single()}, [1])
    (cell,) = found.cells
    assert cell.passed == (None, True)
    assert (cell.accuracy.estimate, cell.accuracy.n, cell.accuracy.excluded) == (1.0, 1, 1)
    none = compare(tasks[:1], Uniform("x"), {"s": Single(), "v": MajorityVote(k=1)}, [1])
    assert none.cells[0].accuracy is None
    assert none.against(none.cells[1]) is None


def test_the_truth_may_grade_what_a_verifier_that_errs_has_chosen():
    always = [Task(t.prompt, Passes(lambda _: True), t.key) for t in TASKS]
    graders = {t.key: t.verifier for t in TASKS}
    strategies = {"repeated": RepeatedSampling(n=4)}
    (fooled,) = compare(always, Uniform(LETTERS), strategies, [4]).cells
    (graded,) = compare(always, Uniform(LETTERS), strategies, [4], graders=graders).cells
    assert fooled.accuracy.estimate == 1.0
    assert graded.accuracy.estimate < 1.0
    assert graded.costs == fooled.costs


def test_a_task_that_nothing_can_check_is_graded_all_the_same():
    bare = [Task(t.prompt, key=t.key) for t in TASKS]
    graders = {t.key: t.verifier for t in TASKS}
    (voted,) = compare(bare, Uniform(LETTERS), {"v": MajorityVote(k=4)}, [4], graders=graders).cells
    (seen,) = run(strategies={"v": MajorityVote(k=4)}, budgets=[4]).cells
    assert (voted.passed, voted.costs) == (seen.passed, seen.costs)
    with pytest.raises(InvalidArgument, match="no verifier"):
        compare(bare, Uniform(LETTERS), {"r": RepeatedSampling(n=4)}, [4], graders=graders)


def test_other_budgets_than_draws_bind():
    found = run(strategies={"repeated": RepeatedSampling(n=99, batch=1)}, budgets=[2, 5],
                unit="new_tokens")  # fmt: skip
    for cell in found.cells:
        assert all(cost.new_tokens <= cell.budget for cost in cell.costs)
        assert any(cost.new_tokens == cell.budget for cost in cell.costs)


def test_a_strategy_that_cannot_run_is_refused_before_anything_is_paid():
    counted = Counted(Uniform(LETTERS))
    with pytest.raises(InvalidArgument, match=r"b4 cannot run on these tasks.*entry_point"):
        run(counted, {"single": Single(), **contenders("b4")})
    assert counted.made == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strategies": {}}, "needs a task, a strategy and a budget"),
        ({"budgets": []}, "needs a task, a strategy and a budget"),
        ({"budgets": [0, 1]}, "above 0"),
        ({"unit": "tokens"}, "unit must be one of draws"),
    ],
)
def test_bad_input_is_refused(changed, message):
    with pytest.raises(InvalidArgument, match=message):
        run(**changed)
    with pytest.raises(InvalidArgument, match="lacks one"):
        compare([Task("p", key="p")], Uniform("x"), STRATEGIES, [1])


def test_draws_of_another_generator_are_not_taken_for_its_own():
    book = Ledger()
    first = run(ledger=book)
    with pytest.raises(InvalidArgument, match="start another comparison"):
        run(Uniform("xyz"), ledger=book, comparison=first.id)


def test_the_strategy_s_own_account_counts_where_it_knows_of_more():
    class Dear:
        def run(self, generator, task, budget, seed):
            outcome = Single().run(generator, task, budget, seed)
            return type(outcome)(
                outcome.chosen, outcome.samples, Stop.COMPLETE, cost=Cost(seconds=2.0)
            )

    (cell,) = compare(TASKS, Uniform(LETTERS), {"dear": Dear()}, [1]).cells
    assert cell.costs[0] == Cost(draws=1, new_tokens=1, seconds=2.0)
    assert cell.mean("seconds") == 2.0


def test_verdicts_with_scores_and_scripts_are_shared_too():
    judge = Passes(lambda v: Verdict(passed=v == "c", score=1.0 if v == "c" else 0.5))
    task = Task("p", judge, "p")
    with pytest.raises(AssertionError, match="asked for draws"):  # a script that is too short
        compare([task], Scripted("ab"), {"repeated": RepeatedSampling(n=3)}, [3])
    found = compare([task], Scripted("abc"), {"repeated": RepeatedSampling(n=3)}, [3])
    assert found.cells[0].passed == (True,)
