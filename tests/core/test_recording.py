"""A check is counted once in an attempt, and counted again after a kill as it was before it."""

from dataclasses import dataclass, field

import pytest

from genwright.core import Budget, Cost, Ledger, Outcome, Stop, Task, Verdict, solve
from genwright.testing import Scripted

CHECK = Cost(verifier_calls=1, seconds=2.0)


@dataclass(frozen=True)
class IsB:
    """Passes b; every check costs 2 seconds."""

    checked: list = field(default_factory=list, repr=False, compare=False)

    def check(self, samples):
        self.checked.extend(samples.values)
        return [Verdict(passed=v == "b", score=float(v == "b"), cost=CHECK) for v in samples.values]


@dataclass(frozen=True)
class Told:
    """Checks one draw at a time, then all again; notes what each verdict cost."""

    n: int
    costs: list = field(default_factory=list, repr=False, compare=False)
    killed: list = field(default_factory=list, repr=False, compare=False)

    def run(self, generator, task, budget, seed):
        drawn = generator.sample(task.prompt, self.n, seed=seed)
        for i in range(self.n):
            self.costs.append(task.verifier.check(drawn[i : i + 1])[0].cost)
            if i == 2 and self.killed and self.killed.pop():
                raise RuntimeError("killed")
        self.costs.append(sum((v.cost for v in task.verifier.check(drawn)), Cost()))
        return Outcome(drawn[self.n - 1], drawn, Stop.COMPLETE)


def test_only_the_first_of_equal_values_brings_its_cost():
    told, verifier = Told(4), IsB()
    result = solve([Task("p", verifier)], Scripted("aaba"), told, budget=Budget())
    assert told.costs == [CHECK, Cost(), CHECK, Cost(), Cost()]
    assert verifier.checked == ["a", "b"]
    assert result.cost.verifier_calls == 2
    assert result.outcomes[0].verdict.cost == CHECK  # what it took, whoever asked first


def test_equal_values_of_one_batch_are_charged_once():
    class Batch:
        def run(self, generator, task, budget, seed):
            drawn = generator.sample(task.prompt, 3, seed=seed)
            costs = [v.cost for v in task.verifier.check(drawn)]
            return Outcome(None, drawn, Stop.COMPLETE, {"calls": [c.verifier_calls for c in costs]})

    (outcome,) = solve([Task("p", IsB())], Scripted("aab"), Batch()).outcomes
    assert outcome.info["calls"] == [1, 0, 1]


def test_after_a_kill_the_strategy_counts_what_it_counted_before():
    ledger, verifier, told = Ledger(), IsB(), Told(4, killed=[True])
    with pytest.raises(RuntimeError):
        solve([Task("p", verifier)], Scripted("abca"), told, ledger=ledger, run_id="r")
    before = list(told.costs)
    told.costs.clear()
    solve([Task("p", verifier)], Scripted("abca"), told, ledger=ledger, run_id="r")
    assert told.costs == [*before, Cost(), Cost()]
    assert before == [CHECK] * 3
    assert verifier.checked == ["a", "b", "c"]
