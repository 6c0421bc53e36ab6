"""Other libraries get each row's own verdicts, and an undecided one as nothing rather than 0."""

import math

import pytest

from genwright.core import Verdict
from genwright.verifiers.adapters import as_inspect_scorer, as_trl_reward
from genwright.verifiers.json_schema import JsonFields


class Judge:
    """Gives the share of letters that are the gold's; cannot decide on an empty text."""

    def __init__(self, gold, batches=None):
        self.gold, self.batches = gold, batches

    def check(self, samples):
        if self.batches is not None:
            self.batches.append(list(samples.values))
        return [
            Verdict.undecided("empty") if not value else
            Verdict.ok() if set(value) == {self.gold} else
            Verdict.fail(score=value.count(self.gold) / len(value))
            for value in samples.values
        ]  # fmt: skip


def test_a_reward_is_the_rows_own_score():
    batches = []
    reward = as_trl_reward(lambda row: Judge(row["gold"], batches))
    found = reward(
        prompts=["p", "p", "q", "q"],
        completions=["aa", "ab", "ab", ""],
        completion_ids=[[1], [2], [3], [4]],
        gold=["a", "a", "b", "b"],
        trainer_state=object(),
        log_metric=None,
    )
    assert found == [1.0, 0.5, 0.5, None]
    assert batches == [["aa", "ab"], ["ab", ""]]  # a group at a time


def test_the_row_holds_the_prompt_and_the_columns_alone():
    rows = []

    def make(row):
        rows.append(row)
        return Judge("a")

    as_trl_reward(make)(["p"], ["a"], gold=["x"], completion_ids=[[7]], short=[], word="w")
    assert rows == [{"prompt": "p", "gold": "x"}]


def test_rows_that_differ_are_not_judged_together():
    reward = as_trl_reward(lambda row: Judge(row["gold"]))
    assert reward(["p"] * 3, ["a"] * 3, gold=["a", "b", "a"]) == [1.0, 0.0, 1.0]
    assert reward([], [], gold=[]) == []


def test_chat_completions_are_judged_by_their_last_message():
    talk = [{"role": "assistant", "content": '{"a": 1}'}]
    reward = as_trl_reward(lambda row: JsonFields(gold=row["gold"]))
    prompts = [[{"role": "user", "content": "?"}]] * 2
    assert reward(prompts, [talk, talk], gold=['{"a": 1}', '{"a": 2}']) == [1.0, 0.0]


def test_inspect_gets_means_without_the_undecided(tmp_path):
    inspect_ai = pytest.importorskip("inspect_ai")
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import generate

    answers = ["aa", "ab", ""]
    outputs = [ModelOutput.from_content("mockllm/model", text) for text in answers]
    for output in outputs:
        output.usage = ModelUsage()  # else the mock downloads a tokenizer to count with
    samples = [Sample(input=f"q{i}", target="a", metadata={"weight": i}, id=i) for i in range(3)]
    rows = []

    def make(row):
        rows.append(row)
        return Judge(row["target"])

    task = inspect_ai.Task(dataset=samples, solver=generate(), scorer=as_inspect_scorer(make))
    (log,) = inspect_ai.eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=str(tmp_path),
        display="none",
        max_samples=1,
    )
    assert log.status == "success", log.error
    (results,) = log.results.scores
    assert results.name == "genwright"
    assert results.metrics["mean"].value == 0.75
    scores = [sample.scores["genwright"] for sample in log.samples]
    assert [s.value for s in scores[:2]] == [1.0, 0.5]
    assert math.isnan(scores[2].value)
    assert [s.metadata["passed"] for s in scores] == [True, False, None]
    assert scores[2].metadata["evidence"] == "empty"
    assert [s.answer for s in scores] == answers
    wanted = [{"weight": i, "input": f"q{i}", "target": "a"} for i in range(3)]
    assert sorted(rows, key=lambda row: row["weight"]) == wanted
