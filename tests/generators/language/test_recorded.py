"""RecordedGenerator serves exactly the record, each draw once, in an order the seed decides."""

import gzip
import json
from collections import Counter
from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Generator, InvalidArgument, MissingFile, build, describe
from genwright.generators.language.recorded import RecordedGenerator

ROWS = [
    {"prompt": "p", "completions": ["a", "b", "c", "d"], "right": [1, 0, 0, 1], "model": "m"},
    {"prompt": "q", "completions": "x", "right": [1], "model": "m"},
    {"prompt": "p", "completions": ["e"], "right": [0], "model": "n"},
]


def recorded(**settings):
    return RecordedGenerator(**({"rows": ROWS} | settings))


@given(st.integers(0, 2**63), st.integers(0, 5))
def test_all_draws_of_a_prompt_are_its_record_however_they_are_asked_for(seed, cut):
    generator = recorded()
    drawn = generator.sample("p", 5, seed=seed)
    assert sorted(drawn.values) == list("abcde")
    halves = generator.sample("p", cut, seed=seed) + generator.sample(
        "p", 5 - cut, seed=seed, first=cut
    )
    assert halves == drawn
    assert recorded().sample("p", 5, seed=seed) == drawn
    assert drawn.cost.draws == 5


def test_every_order_is_equally_likely():
    """2,400 seeds, 24 orders of 4: chi-squared with 23 degrees passes 100 by chance in 1e-11."""
    rows = [{"prompt": "p", "completions": list("abcd")}]
    generator = recorded(rows=rows)
    counts = Counter("".join(generator.sample("p", 4, seed=s).values) for s in range(2400))
    expected = 2400 / factorial(4)
    assert len(counts) == factorial(4)
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 100


def test_prompts_have_orders_of_their_own():
    rows = [{"prompt": p, "completions": list(range(50))} for p in "pq"]
    generator = recorded(rows=rows)
    assert generator.sample("p", 50, seed=1) != generator.sample("q", 50, seed=1)


def test_rows_of_one_prompt_are_joined_and_counted():
    generator = recorded()
    assert isinstance(generator, Generator)
    assert generator.prompts == ["p", "q"]
    assert [generator.held(p) for p in ("p", "q", "r")] == [5, 1, 0]


def test_where_keeps_the_rows_of_one_kind():
    generator = recorded(where={"model": "m"})
    assert sorted(generator.sample("p", generator.held("p"), seed=0).values) == list("abcd")


def test_evidence_belongs_to_its_draw():
    drawn = recorded(info_fields=("right", "model")).sample("p", 5, seed=3)
    found = {s.value: (s.info["right"], s.info["model"]) for s in drawn}
    assert found == {"a": (1, "m"), "b": (0, "m"), "c": (0, "m"), "d": (1, "m"), "e": (0, "n")}


def test_draws_that_are_tables_give_one_field_and_keep_the_rest():
    rows = [{"prompt": ["chat"], "draws": [{"text": "a", "right": True}, {"text": "b"}]}]
    generator = recorded(rows=rows, values_field="draws", value_field="text")
    drawn = {s.value: s.info.get("right") for s in generator.sample(["chat"], 2, seed=0)}
    assert drawn == {"a": True, "b": None}
    with pytest.raises(InvalidArgument, match="draw 1 of row 1 has no field 'right'"):
        recorded(rows=rows, values_field="draws", value_field="right").sample(["chat"], 1, seed=0)


def test_what_is_handed_out_is_not_the_record_itself():
    generator = recorded()
    generator.sample("q", 1, seed=0).info[0]["right"] = "spoilt"
    assert "right" not in generator.sample("q", 1, seed=0).info[0]


@pytest.mark.parametrize(("n", "first"), [(6, 0), (1, 5), (-1, 0), (1, -1)])
def test_it_never_serves_more_than_it_holds(n, first):
    with pytest.raises(InvalidArgument, match="has 5 recorded"):
        recorded().sample("p", n, seed=0, first=first)


def test_mistakes_are_named():
    with pytest.raises(InvalidArgument, match="no record of the prompt 'zzz'; there are 2"):
        recorded().sample("zzz", 1, seed=0)
    with pytest.raises(InvalidArgument, match=r"row 1 has no field 'promt'.*Did you mean 'prompt'"):
        recorded(prompt_field="promt").sample("p", 1, seed=0)
    for wrong in ({"rows": ()}, {"path": "x.jsonl"}):
        with pytest.raises(InvalidArgument, match="either path or rows"):
            recorded(**wrong)


@pytest.mark.parametrize("name", ["draws.jsonl", "draws.jsonl.gz"])
def test_a_file_serves_the_same_draws_and_can_be_named_in_a_task_file(tmp_path, name):
    text = "\n".join(json.dumps(row) for row in ROWS) + "\n\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    generator = build("generator", {"method": "recorded_generator", "path": str(path)})
    assert generator.sample("p", 5, seed=2) == recorded().sample("p", 5, seed=2)
    assert build("generator", describe(generator)) == generator
    assert "rows" not in describe(generator)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"prompt": "p", "completions": []}\n{oops\n', ", line 2: "),
        ("a.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("a.jsonl", b"\xff\xfe", "after line 0"),
        ("a.jsonl.gz", b"not gzip", "after line 0"),
        ("a.jsonl.gz", gzip.compress(b'{"prompt": "p"}\n' * 99, mtime=0)[:-12], "after line"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=says):
        RecordedGenerator(path=path).sample("p", 1, seed=0)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFile, match="no file at"):
        RecordedGenerator(path=tmp_path / "none.jsonl").sample("p", 1, seed=0)


def test_codegen_draws_of_humaneval(shared_data):
    generator = RecordedGenerator(path=shared_data("code/humaneval_codegen16b_samples.jsonl.gz"))
    assert len(generator.prompts) == 131
    assert {generator.held(prompt) for prompt in generator.prompts} == {100}
    drawn = generator.sample(generator.prompts[0], 100, seed=0)
    assert "    return" in drawn.values[0]


def test_codellama_draws_of_cruxeval_keep_whether_they_were_right(shared_data):
    generator = RecordedGenerator(
        path=shared_data("code/cruxeval_codellama7b_samples.jsonl.gz"),
        prompt_field="id",
        values_field="generations",
        info_fields=("correct",),
        where={"mode": "input"},
    )
    drawn = generator.sample("sample_0", 10, seed=0)
    assert generator.held("sample_0") == 10
    assert {s.value: s.info["correct"] for s in drawn}["f([1, 1, 1, 1, 3, 3, 3])"] is False
