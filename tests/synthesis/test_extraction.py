"""A record is what its text says, its schema accepts it, and held-out texts are not trained on."""

import json
import re
from pathlib import Path

import pytest

from genwright.core import InvalidArgument, Samples
from genwright.core.task_file import TaskFile
from genwright.synthesis.extraction import (
    ExtractionTexts,
    any_record_schema,
    extraction_templates,
    record_schemas,
)
from genwright.verifiers.json_schema import JsonFields, JsonSchemaValid

TASK = Path(__file__).parents[2] / "tasks" / "extraction.toml"


@pytest.fixture(scope="module")
def rows():
    return {split: ExtractionTexts(n=210, split=split).rows() for split in ("train", "held_out")}


def test_rows_are_new_valid_and_evenly_of_every_kind(rows):
    for split, part in rows.items():
        assert len({row["text"] for row in part}) == 210
        kinds = [row["kind"] for row in part]
        assert len(set(kinds)) == len(extraction_templates()) >= 6
        assert {row["split"] for row in part} == {split}
        for row in part:
            assert json.loads(row["record"])["kind"] == row["kind"]
            check = JsonFields(gold=row["record"], schema=row["schema"])
            assert check.check(Samples([row["record"]]))[0].passed


def test_a_schema_refuses_the_records_of_every_other_kind(rows):
    part = rows["train"][:14]
    for row in part:
        verdicts = JsonSchemaValid(schema=row["schema"]).check(Samples([r["record"] for r in part]))
        assert [v.passed for v in verdicts] == [r["kind"] == row["kind"] for r in part]


def test_the_text_says_every_value_of_the_record(rows):
    """Each value stands in the text in one of the ways its domain has."""
    ways = {
        t.name: {name: {v.answer: v.words for v in values} for name, values in t.parameters.items()}
        for t in extraction_templates()
    }
    for row in rows["train"] + rows["held_out"]:
        text = row["text"].lower()
        record = json.loads(row["record"])
        for name, words in ways[row["kind"]].items():
            said = words[json.dumps(record[name])]
            assert any(word.lower() in text for word in said), (name, row)


def test_dates_times_and_amounts_are_said_in_several_ways():
    parameters = {n: v for t in extraction_templates() for n, v in t.parameters.items()}
    said = {value.answer: value.words for name in parameters for value in parameters[name]}
    assert said['"2026-03-02"'] == ("2026-03-02", "March 2, 2026", "2 March 2026")
    assert said['"13:15"'] == ("13:15", "1:15 pm")
    assert said['"12:00"'] == ("12:00", "12:00 pm")
    assert said['"09:30"'] == ("09:30", "9:30 am")
    assert said["5.5"][:1] == ("$5.50",)
    assert "three" in said["3"]


def test_a_split_has_its_own_wordings(rows):
    frames = {template.name: template.frames for template in extraction_templates()}
    for split, other in (("train", "held_out"), ("held_out", "train")):
        for row in rows[split]:
            assert any(says(f, row["text"]) for f in getattr(frames[row["kind"]], split))
            assert not any(says(f, row["text"]) for f in getattr(frames[row["kind"]], other))


def says(frame, text):
    form = re.sub(r"\\{\w+\\}", "(.+)", re.escape(frame))
    return re.fullmatch(form, text, re.IGNORECASE) is not None


def test_what_is_held_out_is_not_trained_on(rows):
    assert not {r["text"] for r in rows["train"]} & {r["text"] for r in rows["held_out"]}
    for template in extraction_templates():
        assert not set(template.frames.train) & set(template.frames.held_out)
        assert len(template.frames.train) >= 4
        assert len(template.frames.held_out) >= 2


def test_a_seed_names_its_rows(rows):
    assert ExtractionTexts(n=20, split="train").rows() == rows["train"][:20]
    assert ExtractionTexts(n=20, seed=1, split="train").rows() != rows["train"][:20]


def test_the_task_file_steers_with_the_schema_of_the_records():
    task_file = TaskFile.load(TASK)
    (steering,) = task_file.steering
    assert json.loads(steering.model_dump()["schema"]) == any_record_schema()
    assert len(record_schemas()) == len(any_record_schema()["anyOf"])


def test_wrong_settings_say_so():
    with pytest.raises(InvalidArgument, match="n must be 1"):
        ExtractionTexts(n=0)
    with pytest.raises(InvalidArgument, match="'test'"):
        ExtractionTexts(split="test")  # pyright: ignore[reportArgumentType]
