"""The claims run at smoke scale, and their parts count as they should."""

from dataclasses import dataclass, replace

import pytest

from genwright.claims import b4, monkeys, structured_outputs, tdg
from genwright.claims.humaneval import pass_rows, passed, recorded_tasks
from genwright.core import GenwrightError, Ledger, Outcome, Samples, Task, solve
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.steering.matching import ALL_BYTES
from genwright.testing import Scripted
from genwright.verifiers.json_schema import JsonSchemaValid


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


def test_few_templates_are_among_the_many_and_no_held_out_one_is():
    for seed in range(5):
        held_out, few, many = tdg.split(seed)
        assert [len(part) for part in (held_out, few, many)] == [24, 24, 192]  # in three wordings
        names = [{t.name for t in part} for part in (held_out, few, many)]
        assert names[1] < names[2]
        assert not names[0] & names[2]
        assert sorted(t.structure for t in held_out) == sorted(t.structure for t in few)
        assert len({t.structure for t in few}) == 8
    items = tdg.problems(few, 50, seed=3)
    assert len({item.template for item in items[:24]}) == 24
    assert items == tdg.problems(few, 50, seed=3)


def test_decoders_are_trained_and_asked_what_none_of_them_read(tmp_path):
    pytest.importorskip("peft")
    path = str(tmp_path / "ledger.sqlite")
    jobs = [tdg.Job(arm, 1, path, rows=48, steps=2, tested=6) for arm in ("few", "many")]
    found, cost = tdg.compare(jobs)
    assert found["gain"] == [found["held_out_many"][0] - found["held_out_few"][0]]
    assert found["seen_loss"] == [found["seen_few"][0] - found["seen_many"][0]]
    assert cost.draws == 4 * 6
    with Ledger(path) as book:
        runs = {run.name: run.prompts() for run in book.runs()}
    assert runs["tdg: few, seen"].keys() == runs["tdg: many, seen"].keys()
    _, few, many = tdg.split(1)
    read = {i.question for part in (few, many) for i in tdg.problems(part, 48, 1)}
    assert not read & {prompt for prompts in runs.values() for prompt in prompts.values()}


def test_a_training_that_does_not_finish_is_no_result(monkeypatch):
    monkeypatch.setattr(tdg, "LATE", 0.1)
    with pytest.raises(GenwrightError, match="died, or took more than"):
        tdg.compare([tdg.Job("few", 1, ":memory:", rows=48, steps=1, tested=1)])


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


@dataclass(frozen=True)
class Obeys:
    """Draws from a script; steered, it must first compile what it obeys."""

    script: Scripted
    constraint: object = None

    def steered(self, constraint):
        return Obeys(self.script, constraint)

    def sample(self, prompt, n, *, seed, first=0):
        if self.constraint is not None:
            self.constraint.compile(ALL_BYTES)
        return self.script.sample(prompt, n, seed=seed, first=first)


@pytest.mark.parametrize(
    ("schema", "mode", "chosen", "drawn"),
    [
        ({"type": "integer"}, "free", "7", 4),
        ({"type": "integer"}, "error", "7", 4),
        ({"type": "array", "uniqueItems": True}, "error", None, 0),
        ({"type": "array", "uniqueItems": True}, "relax", "[1]", 4),
        ({"type": "array", "minItems": 2}, "relax", "[1, 1]", 2),
        ({"type": "boolean"}, "relax", None, 4),
    ],
)
def test_a_value_is_drawn_again_until_one_is_valid(schema, mode, chosen, drawn):
    script = Scripted(["x", "[1, 1]", "[1]", "7", "8"])
    task = Task("a", JsonSchemaValid(schema=schema), data={"schema": schema})
    (found,) = solve([task], Obeys(script), structured_outputs.Redraw(mode=mode)).outcomes
    assert (found.chosen and found.chosen.value) == chosen
    assert found.passed is (chosen is not None)
    assert len(found.samples) == drawn
    assert ("refused" in found.info) is (drawn == 0)
    shares = structured_outputs._shares(
        [Task("a", task.verifier, "a"), Task("b", task.verifier, "b")],
        {
            "a": replace(found, samples=said(found.samples)),
            "b": Outcome(None, Samples(), found.stop),
        },
    )
    assert shares["valid"] == (chosen is not None) / 2
    assert shares["first"] == 0
    assert shares["cut"] == (1.0 if drawn else 0.0)


def said(samples):
    return Samples(samples.values, info=[{"finish_reason": "length"}] * len(samples))


def test_strict_refuses_what_relaxed_takes():
    odd = '{"type": "array", "uniqueItems": true}'
    assert not structured_outputs.compiles((odd, "error"))
    assert structured_outputs.compiles((odd, "relax"))
    assert not structured_outputs.compiles(('{"type": 7}', "relax"))
    assert structured_outputs._second_opinion({"type": "integer"}, "3")
    assert not structured_outputs._second_opinion({"type": "integer"}, '"3"')
