"""A mistake in a task file is answered with the line, the key and the nearest valid name."""

import gzip
import json
from dataclasses import dataclass

import pytest

from genwright.core import MissingFile, TaskFileError, Verdict, method
from genwright.core.task_file import TaskFile, fill, find_task, read_jsonl


@method()
@dataclass(frozen=True)
class SaysGold:
    """Pass a draw that is the gold text."""

    gold: str

    def check(self, samples):
        return [Verdict.ok() if value == self.gold else Verdict.fail() for value in samples.values]


GOOD = """
name = "sums"
seed = 3

[generator]
method = "local_lm"
model = "tiny"

[prompts]
rows = [{question = "1 + 1?", answer = "2"}, {question = "2 + 2?", answer = "4"}]
template = "Q: {question}"

[verifier]
method = "says_gold"
gold = "{answer}"

[strategy]
method = "majority_vote"
k = 5

[budget]
draws = 5
"""


def write(tmp_path, text):
    path = tmp_path / "sums.toml"
    path.write_text(text)
    return path


def test_a_row_makes_a_task_with_its_own_verifier(tmp_path):
    task_file = TaskFile.load(write(tmp_path, GOOD))
    first, second = task_file.tasks()
    assert (first.prompt, first.verifier.gold) == ("Q: 1 + 1?", "2")
    assert (second.prompt, second.verifier.gold) == ("Q: 2 + 2?", "4")
    assert first.key != second.key
    assert task_file.build("strategy", task_file.strategy).k == 5
    assert task_file.budgets()[0].limits() == {"draws": 5}


STEERED = """
[[steering]]
method = "regex"
pattern = "{answer}|[0-9]{2}"

[[steering]]
method = "regex"
pattern = "[0-9]+"

[metrics]
gold = { method = "says_gold", gold = "{answer}" }
"""


def test_steering_and_metrics_that_name_a_field_are_made_for_each_row(tmp_path):
    task_file = TaskFile.load(write(tmp_path, GOOD + STEERED))
    first, second = task_file.tasks()
    assert [c.pattern for c in first.steering] == ["2|[0-9]{2}"]
    assert [c.pattern for c in second.steering] == ["4|[0-9]{2}"]
    assert [t.metrics["gold"].gold for t in (first, second)] == ["2", "4"]
    rows = [task.data for task in (first, second)]
    assert [c.pattern for c in task_file.constraints(rows)] == ["[0-9]+"]
    assert TaskFile.load(write(tmp_path, GOOD)).tasks()[0].steering == []
    (tmp_path / "x.txt").touch()
    everywhere = TaskFile.load(write(tmp_path, GOOD + STEERED + '[data]\nanswer = "x.txt"\n'))
    assert everywhere.steered_by_row() == []  # a name of [data] is the same for every row
    assert everywhere.constraints()[0].pattern == f"{tmp_path / 'x.txt'}|[0-9]{{2}}"


def test_steering_by_a_field_that_a_row_lacks_or_nobody_has_names_the_line(tmp_path):
    text = GOOD + STEERED.replace("{answer}|[0-9]{2}", "{form}")
    task_file = TaskFile.load(write(tmp_path, text))
    with pytest.raises(TaskFileError, match=r"sums\.toml:\d+: nothing is called \{form\}"):
        task_file.constraints(task_file.rows())
    rows = 'question = "1 + 1?", answer = "2", form = "2"'
    other = text.replace('question = "1 + 1?", answer = "2"', rows)
    with pytest.raises(TaskFileError, match=r"nothing is called \{form\}; .*question"):
        TaskFile.load(write(tmp_path, other)).tasks()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 3", "sede = 3", r"sums.toml:3: sede: unknown key.*Did you mean 'seed'"),
        ("seed = 3", "seed = -3", r"sums.toml:3: seed: .*got -3"),
        ("draws = 5", "drws = 5", r"sums.toml:22: budget.drws: unknown key.*'draws'"),
        ("template = ", "tempalte = ", r"sums.toml:11: prompts.tempalte: .*'template'"),
        ('name = "sums"', "", r"sums.toml:1: name: is required"),
        ("rows = [", 'file = "x"\nrows = [', r"sums.toml:9: prompts: give exactly one of"),
        ("k = 5", "k = ", r"not valid TOML"),
    ],
)
def test_a_wrong_key_or_value_names_its_line(tmp_path, old, new, message):
    with pytest.raises(TaskFileError, match=message):
        TaskFile.load(write(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{question}", "{qestion}", r"sums.toml:11: .*qestion.*Did you mean 'question'"),
        ('"{answer}"', '"{anser}"', r"nothing is called \{anser\}.*Did you mean 'answer'"),
        ("says_gold", "says_golt", r"sums.toml:14: no verifier.*Did you mean 'says_gold'"),
        ("gold =", "golt =", r"no key 'golt'.*Did you mean 'gold'"),
    ],
)
def test_a_wrong_method_or_field_is_named(tmp_path, old, new, message):
    task_file = TaskFile.load(write(tmp_path, GOOD.replace(old, new, 1)))
    with pytest.raises(TaskFileError, match=message):
        task_file.tasks()


def test_a_missing_file_suggests_its_neighbour(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)
    with pytest.raises(MissingFile, match=r"Did you mean 'sums\.toml'"):
        TaskFile.load(tmp_path / "sms.toml")
    monkeypatch.chdir(tmp_path)
    assert find_task("sums").resolve() == path
    with pytest.raises(MissingFile, match="there are: sums"):
        find_task("summs")


def test_data_files_are_found_beside_the_task_file_or_missed_by_name(tmp_path):
    text = GOOD.replace("[generator]", '[data]\ndatabase = "some.sqlite"\n\n[generator]', 1)
    task_file = TaskFile.load(write(tmp_path, text))
    with pytest.raises(MissingFile, match=r"\[data\] database = 'some.sqlite'"):
        task_file.files()
    (tmp_path / "some.sqlite").touch()
    assert task_file.files() == {"database": str(tmp_path / "some.sqlite")}


def test_the_same_prompt_twice_has_two_keys_and_a_group_stands_in_the_key(tmp_path):
    row = "{question = 'a', set = 'x', answer = '1'}"
    rows = f"rows = [{row}, {row}]"
    text = GOOD.replace(
        GOOD[GOOD.index("rows") : GOOD.index("template")], rows + "\ngroup = 'set'\n"
    )
    keys = [task.key for task in TaskFile.load(write(tmp_path, text)).tasks()]
    assert len(set(keys)) == 2
    assert all(key.startswith("x/") for key in keys)


def test_rows_may_come_from_a_packed_file(tmp_path):
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as out:
        out.write(json.dumps({"question": "a", "answer": "b"}) + "\n\n")
    cut = GOOD[GOOD.index("rows") : GOOD.index("template")]
    task_file = TaskFile.load(write(tmp_path, GOOD.replace(cut, 'file = "rows.jsonl.gz"\n')))
    assert task_file.tasks()[0].prompt == "Q: a"
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(TaskFileError, match=r"bad.jsonl:2: not JSON"):
        list(read_jsonl(tmp_path / "bad.jsonl"))


def test_a_field_alone_keeps_its_type_and_other_braces_stay():
    assert fill("{n}", {"n": 3}, strict=True) == 3
    assert fill('{"a": {n}} {m}', {"n": 3}, strict=True) == '{"a": 3} {m}'
    assert fill({"x": ["{n}", 1]}, {"n": None}, strict=True) == {"x": [None, 1]}
