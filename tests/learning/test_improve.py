"""The loop on a task small enough to watch: it resumes, keeps prompts apart, and scores."""

import pytest

pytest.importorskip("peft")

from genwright.core import Ledger, TaskFileError, UserError
from genwright.core.task_file import TaskFile
from genwright.learning.improve import improve, load_generator, measure_arm
from genwright.learning.scores import markdown

TASK = """
name = "echo"
workers = 2

[generator]
method = "local_lm"
model = "{model}"
dtype = "float32"
chat = false
max_new_tokens = 4

[prompts]
template = "say {{letter}}"
group = "set"
rows = [{{letter = "y", set = "one"}}, {{letter = "z", set = "two"}}]

[steering]
method = "regex"
pattern = "[a-z]{{2}}"

[verifier]
method = "regex_match"
pattern = "[a-z]{{2}}"
whole = true

[metrics]
right = {{ method = "exact_match", gold = "{{letter}}{{letter}}" }}

[strategy]
method = "majority_vote"
k = 3

[improve]
completion = "{{letter}}{{letter}}"
rounds = 1
round_prompts = 3
round_draws = 2

[improve.data]
template = "say {{letter}}"
rows = [{{letter = "a"}}, {{letter = "b"}}, {{letter = "c"}}, {{letter = "y"}}]

[improve.learner]
method = "supervised"
steps = 3
batch = 2
rank = 2
"""


@pytest.fixture
def task_file(tiny, tmp_path):
    (tmp_path / "echo.toml").write_text(TASK.format(model=tiny))
    return TaskFile.load(tmp_path / "echo.toml")


def test_the_loop_measures_trains_and_measures_and_a_second_start_does_nothing(task_file, tmp_path):
    stages = []
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        found = improve(task_file, ledger, tmp_path / "models", stage=stages.append)
        draws = sum(run.cost().draws for run in ledger.runs())
        again = improve(task_file, ledger, tmp_path / "models")
        assert sum(run.cost().draws for run in ledger.runs()) == draws
        train = ledger.run(found.runs["training"])
        split = {item.split: {row["letter"] for row in [item.data]} for item in train.items()}
        assert set(split) == {"train", "held-out"}
        trained = {item.data["prompt"] for item in train.items("train")}
        held_out = {f"say {item.data['letter']}" for item in train.items("held-out")}
        assert not trained & held_out
        assert len(train.metrics("supervised/loss")) == 3
    assert found.left_out == 1  # "say y" is asked in the end
    assert found.rows == 3
    assert [(m.stage, m.arm) for m in found.measurements] == [
        (when, arm) for when in ("before", "after") for arm in ("free", "steered", "full")
    ]
    steered = found.measurements[1]
    assert {group: s.rate for group, s in steered.scores.items()} == {"one": 1.0, "two": 1.0}
    (kept,) = found.accepted
    assert 1 <= kept <= 6
    assert [m.scores for m in again.measurements] == [m.scores for m in found.measurements]
    assert load_generator(tmp_path / "models") == found.generator
    table = markdown(found.measurements)
    assert table.count("\n") == 7
    card = (tmp_path / "models" / "round1" / "README.md").read_text()
    assert table in card
    assert found.runs["after, full"] in card


@pytest.mark.parametrize(("arm", "right"), [("free", 0.0), ("steered", 1.0), ("full", 1.0)])
def test_steering_by_row_holds_every_arm_but_the_free_one(arm, right, tiny, tmp_path):
    by_row = TASK.replace('"[a-z]{{2}}"', '"{{letter}}{{letter}}"', 1)
    (tmp_path / "echo.toml").write_text(by_row.format(model=tiny))
    task_file = TaskFile.load(tmp_path / "echo.toml")
    generator = task_file.build("generator", task_file.generator)
    measured = (task_file, task_file.tasks(), generator, "before", arm, Ledger(), "echo", None)
    scores = measure_arm(*measured).scores
    assert {group: s.metrics["right"] for group, s in scores.items()} == {
        "one": right,
        "two": right,
    }


def test_a_task_without_the_table_or_without_rows_says_so(task_file, tmp_path):
    with Ledger() as ledger:
        bare = task_file.model_copy(update={"improve": None})
        with pytest.raises(TaskFileError, match=r"needs an \[improve\] table"):
            improve(bare, ledger, tmp_path)
        data = task_file.improve.data.model_copy(update={"rows": [{"letter": "y"}]})
        plan = task_file.improve.model_copy(update={"data": data, "arms": []})
        with pytest.raises(UserError, match="gives no training rows"):
            improve(task_file.model_copy(update={"improve": plan}), ledger, tmp_path)
