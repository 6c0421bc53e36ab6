"""JSON is parsed strictly, validated under its own draft, and scored leaf by leaf."""

import copy
import gzip
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Samples
from genwright.verifiers.json_schema import JsonFields, JsonSchemaValid

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "day": {"type": "string", "format": "date"},
        "legs": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def passed(schema, *drawn, **settings):
    return [
        v.passed for v in JsonSchemaValid(schema=schema, **settings).check(Samples(list(drawn)))
    ]


def test_valid_json_passes_also_from_a_fence():
    drawn = ['{"name": "UA"}', '```json\n{"name": "UA"}\n```', 'Here:\n```\n{"name": "UA"}',
             '{"name": "```x```"}', {"name": "UA"}]  # fmt: skip
    assert passed(SCHEMA, *drawn) == [True] * 5
    assert passed(json.dumps(SCHEMA), *drawn) == [True] * 5


def test_errors_come_with_their_json_pointers():
    text = '{"name": 1, "legs": [1, "x"], "a/b": 0, "day": "2013-02-30"}'
    [verdict] = JsonSchemaValid(schema=SCHEMA).check(Samples([text]))
    assert {e["at"] for e in verdict.evidence["errors"]} == {"/name", "/legs/1", "/day", ""}
    assert passed(SCHEMA, '{"name": "x", "day": "never"}', formats=False) == [True]
    [verdict] = JsonSchemaValid(schema={"items": False}).check(Samples([[0] * 99]))
    assert len(verdict.evidence["errors"]) == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "x",}', "column"),
        ('{"name": "x"} and more', "Extra data"),
        ('{"name": "x", "name": "y"}', "stands twice"),
        ('{"name": NaN}', "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[1e999]", "beyond a double"),
        ('["\\ud800"]', "surrogate"),
        ('["\ud800"]', "surrogate"),
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 100_000, "nested deeper"),
        ("[" * 300 + "]" * 300, "nested deeper"),
        ("[" + "9" * 5000 + "]", "digits"),
        ("", "Expecting value"),
        ("I cannot", "Expecting value"),
        (b"{}", "bytes"),
        ({1: 2}, "key"),
    ],
    ids=str,
)
def test_what_is_not_json_fails_with_the_reason(text, reason):
    [verdict] = JsonSchemaValid(schema=True).check(Samples([text]))
    assert verdict.passed is False
    assert reason in verdict.evidence["errors"][0]["message"]


def test_many_keys_are_no_way_to_waste_time():
    pairs = ",".join(f'"k{i}":0' for i in range(100_000))
    start = time.monotonic()
    assert passed(True, f'{{{pairs},"k99999":1}}') == [False]
    assert time.monotonic() - start < 60  # milliseconds by counting; minutes by comparing pairs


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/x.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/absent"},
        {"$schema": "http://127.0.0.1:9/meta"},
        {"type": "nothing"},
        {"pattern": "("},
        "{",
    ],
)
def test_a_schema_that_is_wrong_or_remote_is_refused(schema):
    with pytest.raises(InvalidArgument, match="schema is not valid"):
        JsonSchemaValid(schema=schema).check(Samples(["1"]))


def test_a_schema_in_another_file_is_not_read(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"type": "integer"}')
    with pytest.raises(InvalidArgument, match="another document"):
        JsonSchemaValid(schema={"$ref": other.as_uri()}).check(Samples(["1"]))


@pytest.mark.parametrize("draft", ["draft7", "draft2020-12"])
def test_the_official_suite_agrees(shared_data, draft):
    """Every schema that needs no other document; formats have files of their own, left out."""
    path = shared_data(f"json/test_suite_{draft}.jsonl.gz")
    default = "http://json-schema.org/draft-07/schema#" if draft == "draft7" else None
    checked = 0
    with gzip.open(path, "rt") as file:
        groups = [json.loads(line) for line in file]
    for group in groups:
        schema = group["schema"]
        if "localhost" in json.dumps(group) or "format" in group["file"]:
            continue
        if default and isinstance(schema, dict):
            schema = {"$schema": default, **schema}
        drawn = [json.dumps(test["data"]) for test in group["tests"]]
        got = passed(schema, *drawn, formats=False)
        assert got == [test["valid"] for test in group["tests"]], group["description"]
        checked += len(got)
    assert checked > 700


GOLD = {"name": "UA", "legs": [1, 2], "crew": {"n": 3, "lead": None}, "tags": []}


def fields(drawn, gold=GOLD, schema=None):
    [verdict] = JsonFields(gold=gold, schema=schema).check(Samples([drawn]))
    return verdict.passed, verdict.score


def test_the_score_is_the_share_of_equal_fields():
    assert fields(json.dumps(GOLD)) == (True, 1.0)
    assert fields(GOLD, gold=json.dumps(GOLD)) == (True, 1.0)
    assert fields(json.dumps(GOLD | {"name": "AA"})) == (False, pytest.approx(5 / 6))
    assert fields(json.dumps(GOLD | {"more": 1})) == (False, pytest.approx(6 / 7))
    assert fields(json.dumps(GOLD | {"legs": [1]})) == (False, pytest.approx(5 / 6))
    assert fields("[]") == (False, 0.0)
    assert fields("nonsense") == (False, 0.0)


@pytest.mark.parametrize(
    ("gold", "drawn", "equal"),
    [(3, "3.0", True), (True, "1", False), (0, "false", False), (None, '""', False),
     ("3", '"3"', False), ('"3"', '"3"', True), ({}, "[]", False), ([], "[]", True),
     ([None], "[]", False), ({"a": None}, "{}", False)],
)  # fmt: skip
def test_kinds_differ_but_not_kinds_of_numbers(gold, drawn, equal):
    assert fields(drawn, gold)[0] is equal


def test_keys_with_slashes_are_not_paths():
    gold = {"a/b": 1, "a": {"b": 2}}
    assert fields(json.dumps(gold), gold) == (True, 1.0)
    assert fields('{"a": {"b": 2}}', gold) == (False, 0.5)


def test_equal_fields_do_not_excuse_a_broken_schema():
    assert fields('{"a": 1}', {"a": 1}, {"required": ["b"]}) == (False, 1.0)
    assert fields('{"a": 1}', {"a": 1}, {"required": ["a"]}) == (True, 1.0)


def test_gold_that_is_not_json_is_refused():
    with pytest.raises(InvalidArgument, match="gold must be JSON"):
        JsonFields(gold="{").check(Samples(["{}"]))


LEAF = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
TREE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(TREE, TREE)
def test_gold_passes_and_the_score_is_symmetric(a, b):
    a, b = {"root": a}, {"root": b}
    assert fields(json.dumps(a), copy.deepcopy(a)) == (True, 1.0)
    assert fields(json.dumps(a), b) == fields(json.dumps(b), a)
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert fields(json.dumps(a), b)[0] is same


@given(st.lists(TREE, max_size=4), st.randoms(use_true_random=False))
def test_a_batch_equals_single_checks_in_any_order(trees, rng):
    drawn = [json.dumps(tree) for tree in trees] + ["nonsense"]
    rng.shuffle(drawn)
    for check in (JsonFields(gold={"a": 1}), JsonSchemaValid(schema={"type": "array"})):
        batch = check.check(Samples(drawn))
        assert batch == [check.check(Samples([text]))[0] for text in drawn]
