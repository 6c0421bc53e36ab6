"""The claims run at smoke scale, and their parts count as they should."""

import pytest

from genwright.claims import b4, monkeys, structured_outputs, tdg
from genwright.claims.humaneval import pass_rows, passed, recorded_tasks
from genwright.core import Ledger, Samples, solve
from genwright.search.repeated_sampling import RepeatedSampling


@pytest.fixture
def data(shared_data, monkeypatch):
    """Point the claims at the data, or skip."""

    def needs(*names):
        for name in names:
            path = shared_data(name)
            monkeypatch.setenv("GENWRIGHT_DATA", str(path.parents[1]))

    return needs


def test_b4_beats_codet_in_simulation():
    found = b4.run("smoke", seed=2)
    assert found.holds, found.metrics
    assert found.metrics["simulated_maxpass"] < found.metrics["simulated_codet"]


def test_vetting_catches_what_running_does_not():
    found = tdg.run("smoke", seed=1)
    assert found.metrics["defects"] == 60
    assert found.metrics["caught"] >= 0.7  # the claim's refutation, with room for 60 draws
    assert found.metrics["caught_by_running"] == 0
    assert found.metrics["false_alarms"] == 0


def test_a_majority_that_ties_is_right_by_its_share():
    draws = Samples(["The answer is 1", "The answer is 2", "no", "The answer is 3"])
    assert monkeys._majority(draws, [True, False, False, False]) == pytest.approx(1 / 3)
    assert monkeys._majority(draws[1:3], [True, False]) == 1
    assert monkeys._majority(Samples(["no idea"]), [False]) == 0


def test_a_row_says_which_tests_a_program_passes_and_late_ones_fail():
    slow = "def f(x):\n    while x > 1: pass\n    return x\n"
    tests = ["assert f(1) == 1", "assert f(2) == 2", "assert f(0) == 1", "assert f(1) == 1"]
    assert pass_rows([slow, "broken("], tests) == [[True, False, False, True], [False] * 4]


def test_recorded_programs_are_judged_by_humanevals_tests(data):
    data("code/humaneval.jsonl.gz", "code/humaneval_codegen16b_samples.jsonl.gz")
    tasks, generator = recorded_tasks(seed=1, limit=3)
    book = Ledger()
    found = solve(tasks, generator, RepeatedSampling(n=5, stop_on_pass=False), ledger=book, seed=1)
    for task, outcome in zip(tasks, found.outcomes, strict=True):
        flags = passed(book.run(found.run_id), task.key, outcome.samples)
        assert flags.count(True) == outcome.info["passed"]
        assert flags.count(False) == outcome.info["failed"]
        assert all(value.startswith(task.prompt) for value in outcome.samples.values)
    everything, _ = recorded_tasks(seed=2)
    assert len(everything) == 131
    assert [t.key for t in tasks] != [t.key for t in everything[:3]]


@pytest.mark.slow
def test_coverage_of_recorded_draws_grows_by_a_power_law(data):
    data("code/humaneval.jsonl.gz", "code/humaneval_codegen16b_samples.jsonl.gz")
    assert monkeys.run("smoke", seed=0).holds


def test_strict_refuses_what_relaxed_takes():
    odd = '{"type": "array", "uniqueItems": true}'
    assert not structured_outputs.compiles((odd, "error"))
    assert structured_outputs.compiles((odd, "relax"))
    assert not structured_outputs.compiles(('{"type": 7}', "relax"))
    assert structured_outputs._second_opinion({"type": "integer"}, "3")
    assert not structured_outputs._second_opinion({"type": "integer"}, '"3"')
