"""Word problems come from GSM8K where it is, and are generated otherwise; each has its answer."""

import gzip
import json
import re

import pytest

from genwright.core import InvalidArgument, MissingFile, Samples
from genwright.synthesis.math_structures import math_bank
from genwright.synthesis.word_problems import GSM8K, WordProblems
from genwright.verifiers.math_answer import MathAnswer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / GSM8K
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt") as file:
        for i in range(6):
            file.write(json.dumps({"question": f"{i}+1?", "answer": f"sum\n#### {i + 1}"}) + "\n")
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    return tmp_path


def test_gsm8k_is_taken_where_it_is_found(folder):
    rows = WordProblems(n=4, seed=3).rows()
    assert [row["origin"] for row in rows] == ["gsm8k"] * 4
    assert all(int(r["question"].split("+")[0]) + 1 == int(r["answer"]) for r in rows)
    assert rows == WordProblems(n=4, seed=3).rows()
    assert len({r["question"] for r in WordProblems(n=99).rows()}) == 6
    orders = {tuple(r["question"] for r in WordProblems(n=6, seed=s).rows()) for s in range(9)}
    assert len(orders) > 1
    assert WordProblems(n=1, gsm8k=str(folder / GSM8K)).rows()[0]["origin"] == "gsm8k"
    assert WordProblems(n=1, gsm8k="never").rows()[0]["origin"] == "generated"


def test_without_it_problems_are_generated(tmp_path, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    rows = WordProblems(n=60, seed=1).rows()
    assert {row["origin"] for row in rows} == {"generated"}
    assert len({row["question"] for row in rows}) == 60
    assert len({row["structure"] for row in rows}) >= 12
    assert rows == WordProblems(n=60, seed=1).rows() != WordProblems(n=60, seed=2).rows()
    for row in rows:
        right, wrong = MathAnswer(gold=row["answer"]).check(
            Samples([row["solution"], f"#### {int(row['answer']) + 1}"])
        )
        assert (right.passed, wrong.passed) == (True, False)


def test_no_question_comes_twice():
    rows = WordProblems(gsm8k="never", n=3000).rows()
    assert len(rows) == len({row["question"] for row in rows}) == 3000


def test_a_split_has_its_own_wordings():
    bank = {structure.name: structure for structure in math_bank().structures}
    for split, other in (("train", "held_out"), ("held_out", "train")):
        for row in WordProblems(gsm8k="never", n=56, split=split).rows():
            structure = bank[row["structure"]]
            assert any(says(w, row["question"]) for w in getattr(structure, split))
            assert not any(says(w, row["question"]) for w in getattr(structure, other))


def says(wording, question):
    form = re.sub(r"\\{\w+\\}", "(.+)", re.escape(wording))
    return re.fullmatch(form, question) is not None


def test_what_is_held_out_is_not_trained_on():
    rows = {
        split: WordProblems(gsm8k="never", n=400, split=split).rows()
        for split in ("train", "held_out")
    }
    train, held_out = ({row["question"] for row in part} for part in rows.values())
    assert len(train) == len(held_out) == 400
    assert not train & held_out


def test_the_real_file_holds_answers_that_the_verifier_reads(shared_data):
    rows = WordProblems(gsm8k=str(shared_data(GSM8K)), n=40).rows()
    for row in rows:
        assert MathAnswer(gold=row["answer"]).check(Samples([row["solution"]]))[0].passed


def test_wrong_settings_say_so(tmp_path):
    with pytest.raises(InvalidArgument, match="n must be 1"):
        WordProblems(n=0)
    with pytest.raises(InvalidArgument, match="'test'"):
        WordProblems(split="test")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MissingFile, match="nowhere"):
        WordProblems(gsm8k=str(tmp_path / "nowhere.gz")).rows()
