"""reasoning-gym's own answers pass its own checks here, and corrupted ones do not."""

import pytest

from genwright.core import InvalidArgument, Samples
from genwright.synthesis.reasoning_gym import ReasoningGym
from genwright.verifiers.reasoning_gym_answer import ReasoningGymAnswer

pytest.importorskip("reasoning_gym")
DATASETS = ["chain_sum", "leg_counting", "simple_equations", "word_sorting"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_each_entry_accepts_its_answer_and_refuses_another(dataset):
    rows = ReasoningGym(dataset=dataset, n=4, seed=3).rows()
    for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
        draws = [
            row["answer"],
            f"I think so.\n<answer>no</answer> wait: <answer> {row['answer']} </answer>",
            f"<answer>{row['answer']}</answer> <answer>none</answer>",
            "none",
            7,
        ]
        verdicts = ReasoningGymAnswer(task=row["task"]).check(Samples(draws))
        assert [v.passed for v in verdicts] == [True, True, False, False, False]
        if other["answer"] != row["answer"]:
            swapped = ReasoningGymAnswer(task=row["task"]).check(Samples([other["answer"]]))
            assert swapped[0].passed is False


def test_a_seed_names_its_rows():
    first, again, other = (ReasoningGym(dataset="chain_sum", n=3, seed=s).rows() for s in (1, 1, 2))
    assert first == again
    assert [r["question"] for r in first] != [r["question"] for r in other]


def test_settings_reach_the_data_set_and_its_check():
    config = {"min_terms": 9, "max_terms": 9}
    (row,) = ReasoningGym(dataset="chain_sum", n=1, config=config).rows()
    assert sum(row["question"].count(sign) for sign in (" + ", " - ")) == 8
    assert ReasoningGymAnswer(task=row["task"]).check(Samples([row["answer"]]))[0].passed


def test_a_check_that_fails_itself_is_undecided():
    (row,) = ReasoningGym(dataset="chain_sum", n=1).rows()
    gone = {**row["task"], "dataset": "no_such"}
    (verdict,) = ReasoningGymAnswer(task=gone).check(Samples(["1"]))
    assert verdict.passed is None
    assert "no_such" in verdict.evidence["reason"]


def test_partial_credit_is_kept():
    (row,) = ReasoningGym(dataset="simple_equations", n=1).rows()
    near = f"x = {row['answer']}"
    (verdict,) = ReasoningGymAnswer(task=row["task"]).check(Samples([near]))
    assert verdict.passed is False
    assert 0 <= verdict.score < 1


def test_wrong_settings_say_so():
    with pytest.raises(InvalidArgument, match="Did you mean 'chain_sum'"):
        ReasoningGym(dataset="chain_sums").rows()
    with pytest.raises(InvalidArgument, match="refuses the settings"):
        ReasoningGym(dataset="chain_sum", config={"colour": 1}).rows()
    with pytest.raises(InvalidArgument, match="n must be 1"):
        ReasoningGym(dataset="chain_sum", n=0)
    with pytest.raises(InvalidArgument, match="lacks config, index"):
        ReasoningGymAnswer(task={"dataset": "chain_sum", "seed": 0, "size": 1})
