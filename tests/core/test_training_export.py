"""The forms TRL trains on: who is in them, how draws are paired, and that `datasets` loads them."""

import json

import pytest

from genwright.core import InvalidArgument, Ledger, Task, Verdict, solve
from genwright.core.export import export
from genwright.core.training_export import training_rows
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.testing import Scripted

DRAWS = {
    "a": ["good 1", "bad 1", "good 2", "bad 2", "good 1", "odd", "good 3"],
    "b": ["bad 3"] * 7,
    "c": ["good 4"] * 7,
    "d": ["odd"] * 7,
}
"""Task a passes three ways and fails two; b only fails, c only passes, d is never decided."""


class Judge:
    """Passes good, fails bad, cannot decide on anything else."""

    def check(self, samples):
        verdicts = {"good": Verdict.ok(), "bad": Verdict.fail()}
        return [verdicts.get(v.split()[0], Verdict.undecided()) for v in samples.values]


@pytest.fixture(scope="module")
def run():
    ledger = Ledger()
    strategy = RepeatedSampling(n=7, batch=7, stop_on_pass=False)
    tasks = [Task(name, Judge(), f"task {name}") for name in DRAWS]
    solve(tasks, Scripted(DRAWS), strategy, ledger=ledger, run_id="r")
    return ledger.run("r")


WANTED = {
    "sft": [
        {"prompt": "a", "completion": "good 1"},
        {"prompt": "a", "completion": "good 2"},
        {"prompt": "a", "completion": "good 3"},
        {"prompt": "c", "completion": "good 4"},
    ],
    "preference": [
        {"prompt": "a", "chosen": "good 1", "rejected": "bad 1"},
        {"prompt": "a", "chosen": "good 2", "rejected": "bad 2"},
    ],
    "reward": [
        {"prompt": "a", "completion": "good 1", "label": True},
        {"prompt": "a", "completion": "bad 1", "label": False},
        {"prompt": "a", "completion": "good 2", "label": True},
        {"prompt": "a", "completion": "bad 2", "label": False},
        {"prompt": "a", "completion": "good 3", "label": True},
        {"prompt": "b", "completion": "bad 3", "label": False},
        {"prompt": "c", "completion": "good 4", "label": True},
    ],
}


@pytest.mark.parametrize("form", WANTED)
def test_who_is_in_it_and_how_they_pair(run, form):
    assert list(training_rows(run, form)) == WANTED[form]


@pytest.mark.parametrize("form", WANTED)
@pytest.mark.parametrize(("ending", "builder"), [("jsonl", "json"), ("parquet", "parquet")])
def test_datasets_loads_it(tmp_path, run, form, ending, builder):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / f"rows.{ending}"
    assert export(run, path, form) == len(WANTED[form])
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(builder, data_files=str(path), split="train", cache_dir=cache)
    assert loaded.to_list() == WANTED[form]


def test_a_task_without_outcome_still_has_its_prompt(run):
    ledger = Ledger()
    tasks = [Task("a", Judge(), "task a")]
    strategy = RepeatedSampling(n=7, batch=7, stop_on_pass=False)
    solve(tasks, Scripted(DRAWS), strategy, ledger=ledger, run_id="half")
    with ledger.write() as connection:
        connection.execute("DELETE FROM outcomes")
    assert list(training_rows(ledger.run("half"), "sft")) == WANTED["sft"][:3]


def test_chat_prompts_make_conversational_rows(tmp_path):
    class Chat(Scripted):
        def sample(self, prompt, n, *, seed, first=0):
            return super().sample("a", n, seed=seed, first=first)

    asked = [{"role": "user", "content": "?"}]
    ledger = Ledger()
    strategy = RepeatedSampling(n=2, batch=2, stop_on_pass=False)
    solve([Task(asked, Judge(), "t")], Chat(DRAWS), strategy, ledger=ledger, run_id="c")
    export(ledger.run("c"), tmp_path / "rows.jsonl", "preference")
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert row == {
        "prompt": asked,
        "chosen": [{"role": "assistant", "content": "good 1"}],
        "rejected": [{"role": "assistant", "content": "bad 1"}],
    }


def test_what_cannot_be_trained_on_is_told(tmp_path, run):
    ledger = Ledger()
    strategy = RepeatedSampling(n=7, batch=7, stop_on_pass=False)
    only_bad = [Task("b", Judge(), "task b")]
    solve(only_bad, Scripted(DRAWS), strategy, ledger=ledger, run_id="bad")
    for form, said in (("sft", "no draw passed"), ("preference", "one that failed")):
        with pytest.raises(InvalidArgument, match=said):
            export(ledger.run("bad"), tmp_path / "none.jsonl", form)
    assert export(ledger.run("bad"), tmp_path / "some.jsonl", "reward") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["some.jsonl"]
    with pytest.raises(InvalidArgument, match="'dpo'"):
        export(run, tmp_path / "a.jsonl", "dpo")  # pyright: ignore[reportArgumentType]


def test_draws_that_are_no_texts_are_told(tmp_path):
    class Any7:
        def check(self, samples):
            return [Verdict.ok() for _ in samples.values]

    ledger = Ledger()
    strategy = RepeatedSampling(n=1, batch=1)
    solve([Task("a", Any7(), "t")], Scripted([{"x": 1}]), strategy, ledger=ledger, run_id="j")
    with pytest.raises(InvalidArgument, match="texts"):
        export(ledger.run("j"), tmp_path / "a.jsonl", "sft")


def test_the_latest_verdict_on_a_draw_counts():
    ledger = Ledger()
    strategy = RepeatedSampling(n=7, batch=7, stop_on_pass=False)
    solve([Task("d", Judge(), "t")], Scripted(DRAWS), strategy, ledger=ledger, run_id="again")
    run = ledger.run("again")
    assert list(training_rows(run, "reward")) == []
    run.record_verdict("t", "a better one", "odd", Verdict.fail())
    run.record_verdict("t", "the best one", "odd", Verdict.ok())
    assert list(training_rows(run, "sft")) == [{"prompt": "d", "completion": "odd"}]
