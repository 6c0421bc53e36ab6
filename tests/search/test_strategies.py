"""Laws of every strategy: seeds decide, budgets bind, batch size and runner change nothing."""

from dataclasses import fields, replace

import pytest

from genwright.core import Budget, Outcome, Stop, Task, Verdict, build, child_seed, describe
from genwright.core.runner import solve
from genwright.search.auto import Auto
from genwright.search.b4 import B4
from genwright.search.best_of_n import BestOfN
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.sequential import Sequential
from genwright.search.single import Single
from genwright.search.tested_selection import TestedSelection
from genwright.testing import Passes, Uniform
from genwright.testing.contracts import StrategyCase, check_contract

STRATEGIES = [
    Single(),
    RepeatedSampling(n=12, batch=5),
    RepeatedSampling(n=12, batch=5, stop_on_pass=False),
    MajorityVote(k=12, batch=5),
    BestOfN(n=12, batch=5),
    BestOfN(n=12, batch=5, score="logprob"),
    BestOfN(n=12, batch=5, score=lambda sample: sample.value % 7),
    Sequential(n=12),
    Sequential(n=12, price=0.6),
    RepeatedSampling(n=12, batch=5, reliability=(0.1, 0.05)),
    BestOfN(n=12, batch=5, reliability=(0.1, 0.05)),
    MajorityVote(k=12, batch=5, reliability=(0.1, 0.05)),
    Sequential(n=12, price=0.6, reliability=(0.1, 0.05)),
    Auto(n=12, batch=5, slack=0.0),
]
GENERATOR = Uniform(range(10))


def judge(value):
    if value == 0:
        return None
    return Verdict(passed=value == 9, score=value / 10 if value < 9 else 1.0)


TASK = Task("?", Passes(judge), key="t")


def seen(outcome: Outcome):
    chosen = None if outcome.chosen is None else outcome.chosen.value
    return chosen, list(outcome.samples.values), outcome.stop, dict(outcome.info)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_contract_of_strategies_is_kept(strategy):
    batch = getattr(strategy, "batch", 1)
    check_contract(StrategyCase(make=lambda: strategy, generator=GENERATOR, task=TASK, batch=batch))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_seed_decides_everything(strategy):
    runs = [strategy.run(GENERATOR, TASK, Budget(), seed) for seed in range(20)]
    again = [strategy.run(GENERATOR, TASK, Budget(), seed) for seed in range(20)]
    assert [seen(a) for a in runs] == [seen(b) for b in again]
    assert len({str(seen(a)) for a in runs}) > 1
    for seed, outcome in enumerate(runs):  # draws are the task's own row, from its start
        row = GENERATOR.sample("?", len(outcome.samples), seed=seed)
        assert outcome.samples == row


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("limit", ["draws", "new_tokens", "verifier_calls"])
@pytest.mark.parametrize("allowed", [0, 1, 4, 7])
def test_a_budget_is_overshot_by_one_batch_of_tokens_at_most(strategy, limit, allowed):
    budget = Budget(**{limit: allowed})
    batch = getattr(strategy, "batch", 1)
    for seed in range(20):
        outcome = strategy.run(GENERATOR, TASK, budget, seed)
        spent = getattr(outcome.cost, limit)
        assert spent <= (allowed if limit != "new_tokens" or not allowed else allowed + batch - 1)
        if allowed == 0:
            assert (outcome.chosen, len(outcome.samples)) == (None, 0)
        if outcome.stop is Stop.BUDGET:
            assert budget.is_spent(outcome.cost)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if hasattr(s, "batch")])
def test_the_choice_does_not_depend_on_the_batch(strategy):
    for seed in range(20):
        chosen = {
            seen(replace(strategy, batch=batch).run(GENERATOR, TASK, Budget(), seed))[0]
            for batch in (1, 3, 12)
        }
        assert len(chosen) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_runner_sees_what_a_direct_run_sees(strategy):
    (outcome,) = solve([TASK], GENERATOR, strategy, seed=5).outcomes
    alone = strategy.run(GENERATOR, TASK, Budget(), child_seed(5, "t"))
    assert seen(outcome) == seen(alone)
    if alone.verdict is not None:
        assert (outcome.verdict.passed, outcome.passed) == (alone.verdict.passed, alone.passed)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_costs_add_up_to_draws_and_checks(strategy):
    outcome = strategy.run(GENERATOR, TASK, Budget(), 3)
    assert outcome.cost.draws == outcome.cost.new_tokens == len(outcome.samples)
    checks = isinstance(strategy, RepeatedSampling | Sequential) or (
        isinstance(strategy, BestOfN) and strategy.score == "verifier"
    )
    checks = checks or isinstance(strategy, Auto)
    checks = checks or getattr(strategy, "reliability", None) is not None
    assert outcome.cost.verifier_calls == (len(outcome.samples) if checks else 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_fault_of_the_verifier_is_seen_not_swallowed(strategy):
    def broken(value):
        raise ZeroDivisionError

    task = replace(TASK, verifier=Passes(broken))
    outcome = strategy.run(GENERATOR, TASK, Budget(), 0)
    if outcome.cost.verifier_calls:
        with pytest.raises(ZeroDivisionError):
            strategy.run(GENERATOR, task, Budget(), 0)
    else:
        assert seen(strategy.run(GENERATOR, task, Budget(), 0)) == seen(outcome)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_is_frozen_and_takes_keywords_only(strategy):
    with pytest.raises(AttributeError):
        strategy.n = 3
    if fields(strategy):
        with pytest.raises(TypeError):
            type(strategy)(3)


def test_task_files_can_name_every_strategy_and_what_it_is_made_of():
    table = {"method": "majority_vote", "k": 4, "key": {"method": "math_key"}}
    assert type(build("strategy", table).key).__name__ == "MathKey"
    tested = build(
        "strategy", {"method": "tested_selection", "selector": {"method": "b4", "beta_0": 1e4}}
    )
    assert tested == TestedSelection(selector=B4(beta_0=1e4))
    assert describe(tested)["selector"] == {"method": "b4", "alpha_xy": 1e3, "beta_0": 1e4}
    for strategy in STRATEGIES:
        if not callable(getattr(strategy, "score", None)):
            assert build("strategy", describe(strategy)) == strategy
