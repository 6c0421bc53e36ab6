"""JsonSchema allows valid values alone, relaxes only what it reports, and points at mistakes."""

import gzip
import json

import jsonschema_rs
import pytest

from genwright.core import ConstraintError, InvalidArgument
from genwright.steering.json_schema import JsonSchema
from genwright.steering.matching import ALL_BYTES
from genwright.steering.membership import accepts, where_it_fails
from genwright.steering.random_valid import RandomValid

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCHEMAS = [
    PERSON,
    {"enum": ["a", 3, None, {"b": [1]}]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    {"type": "number", "minimum": 2, "maximum": 3},
    {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "maxLength": 6},
    {"type": "string", "format": "date"},
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"$ref": "#/$defs/n", "$defs": {"n": {"enum": [1, [2]]}}},
]
UNIQUE = {"properties": {"a": {"type": "array", "uniqueItems": True, "items": {"enum": [1]}}}}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_finished_random_draw_is_valid(schema):
    control = RandomValid(
        constraint=JsonSchema(schema=schema), vocabulary=ALL_BYTES, max_tokens=200
    )
    draws = [s.value for s in control.sample("", 12, seed=5) if s.info["finished"]]
    assert draws
    assert all(jsonschema_rs.is_valid(schema, json.loads(text)) for text in draws)


def test_whitespace_is_none_or_any():
    compact, flexible = JsonSchema(schema=PERSON), JsonSchema(schema=PERSON, whitespace="flexible")
    tight, loose = '{"name":"A","age":3}', '{ "name": "A",\n"age": 3 }'
    assert [accepts(c, ALL_BYTES, tight) for c in (compact, flexible)] == [True, True]
    assert [accepts(c, ALL_BYTES, loose) for c in (compact, flexible)] == [False, True]


@pytest.mark.parametrize(
    ("schema", "culprit"),
    [
        ({"properties": {"a": {"minLength": "x"}}}, "malformed at #/properties/a/minLength"),
        ({"type": "foo"}, "malformed at #/type"),
        ("{", "no JSON"),
        (3, "an object or a boolean, got int"),
        (False, "nothing satisfies"),
        (
            {"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]},
            "nothing satisfies",
        ),
        ({"type": "integer", "minimum": 5, "maximum": 3}, r"nothing satisfies #: .*5.*3"),
        ({"$ref": "#/x"}, "Pointer '/x' does not exist"),
    ],
)
def test_a_schema_that_is_none_or_contradicts_itself_is_named(schema, culprit):
    with pytest.raises(ConstraintError, match=culprit):
        JsonSchema(schema=schema).compile(ALL_BYTES)


def test_a_refusal_points_at_the_part_and_says_what_to_do():
    with pytest.raises(ConstraintError, match=r"#/properties/a: .*uniqueItems.*relax"):
        JsonSchema(schema=UNIQUE, engine="llguidance").compile(ALL_BYTES)


def test_relaxing_reports_what_is_not_enforced():
    report = JsonSchema(schema=UNIQUE, on_unsupported="relax").report
    assert (report.engine, report.exact) == ("llguidance", False)
    assert [i.pointer for i in report.ignored] == ["/properties/a/uniqueItems"]
    assert accepts(JsonSchema(schema=UNIQUE, on_unsupported="relax"), ALL_BYTES, '{"a":[1,1]}')


def test_a_format_that_nobody_knows_is_reported_wherever_it_stands():
    for name in ("", "colour"):
        part = {"type": "string", "format": name}
        once = JsonSchema(schema={"properties": {"a": part}}, on_unsupported="relax")
        assert [i.pointer for i in once.report.ignored] == ["/properties/a/format"]
        twice = JsonSchema(schema={"properties": {"a": part, "b": part}}, on_unsupported="relax")
        pointers = [i.pointer for i in twice.report.ignored]
        assert pointers == ["/properties/a/format", "/properties/b/format"]


@pytest.mark.parametrize("depth", [150, 5000])
@pytest.mark.parametrize("engine", ["auto", "llguidance"])
def test_a_schema_nested_too_deep_says_what_to_do(depth, engine):
    schema = {"type": "integer"}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(ConstraintError, match=r"levels|too deep"):
        JsonSchema(schema=schema, engine=engine).compile(ALL_BYTES)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_relaxing_a_supported_schema_changes_nothing(schema):
    relaxed = JsonSchema(schema=schema, on_unsupported="relax")
    assert relaxed.report == JsonSchema(schema=schema).report
    assert relaxed.report.exact


def test_xgrammar_takes_over_and_says_so():
    constraint = JsonSchema(schema={"type": "array", "uniqueItems": True, "items": {"enum": [1]}})
    assert constraint.report.engine == "xgrammar"
    assert not constraint.report.exact
    compiled = constraint.compile(ALL_BYTES)
    assert where_it_fails(compiled, ALL_BYTES, "[1]") is None
    assert where_it_fails(compiled, ALL_BYTES, "[2]") == ("[", "2]")
    state = compiled.start()
    other = state.fork()
    state.advance(ord("["))
    with pytest.raises(InvalidArgument, match="not allowed"):
        other.advance(ord("1"))


def test_choices_are_checked_and_endpoints_told():
    with pytest.raises(InvalidArgument, match="engine must be one of auto"):
        JsonSchema(schema={}, engine="outlines")
    told = JsonSchema(schema=json.dumps(PERSON), name="person").response_format()
    assert told["json_schema"] == {"name": "person", "schema": PERSON, "strict": True}


@pytest.mark.slow
def test_no_group_of_the_official_suite_is_over_accepted(shared_data):
    """llguidance alone: a schema is refused, or none of its invalid instances is accepted.

    The optional groups are left out: Rust's regular expressions are not ECMA 262's.
    """
    checked, over = 0, []
    with gzip.open(shared_data("json/test_suite_draft2020-12.jsonl.gz"), "rt") as lines:
        for group in map(json.loads, lines):
            if group["file"].startswith("optional/"):
                continue
            try:
                constraint = JsonSchema(schema=group["schema"], engine="llguidance")
                compiled = constraint.compile(ALL_BYTES)
            except ConstraintError:
                continue
            for case in group["tests"]:
                if not case["valid"]:
                    text = json.dumps(case["data"], separators=(",", ":"), ensure_ascii=False)
                    checked += 1
                    if where_it_fails(compiled, ALL_BYTES, text) is None:
                        over.append((group["file"], group["description"], case["description"]))
    assert over == []
    assert checked > 100
