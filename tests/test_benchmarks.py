"""What the benchmarks stand on: documents that are what they are said to be, in a fair order."""

import json
from importlib import import_module

import pytest

for package in ("torch", "transformers", "xgrammar"):
    pytest.importorskip(package)
benchmark = import_module("schemas")

POINT = {"$ref": "#/definitions/point"}
SCHEMA = {
    "definitions": {"point": {"properties": {"y": True, "x": True}}},
    "properties": {"b": POINT, "a": {"items": POINT}},
    "allOf": [{"properties": {"d": True}}, {"properties": {"c": True}}],
    "patternProperties": {"^p": POINT},
    "additionalProperties": {"properties": {"n": True, "m": True}},
}
KJ = {"properties": {"k": True, "j": True}}
HG = {"properties": {"h": True, "g": True}}


@pytest.mark.parametrize(
    ("schema", "document", "wanted"),
    [
        (SCHEMA, '{"a":[{"x":1,"y":2}],"b":{"x":1}}', '{"b":{"x":1},"a":[{"y":2,"x":1}]}'),
        (SCHEMA, '{"c":1,"z":1,"d":2}', '{"d":2,"c":1,"z":1}'),
        (SCHEMA, '{"p1":{"x":1,"y":2}}', '{"p1":{"y":2,"x":1}}'),
        (SCHEMA, '{"other":{"m":1,"n":2}}', '{"other":{"n":2,"m":1}}'),
        ({"anyOf": [{"required": ["q"]}, KJ]}, '{"j":1,"k":2}', '{"k":2,"j":1}'),
        ({"if": {"required": ["j"]}, "then": KJ, "else": HG}, '{"g":1,"h":2}', '{"h":2,"g":1}'),
        ({"prefixItems": [KJ]}, '[{"j":1,"k":2}]', '[{"k":2,"j":1}]'),
        ({"items": [True, KJ]}, '[0,{"j":1,"k":2}]', '[0,{"k":2,"j":1}]'),
        (True, '{"j":1,"k":2}', '{"j":1,"k":2}'),
    ],
    ids=["refs", "parts", "patterns", "others", "branch", "condition", "tuple", "old", "any"],
)  # fmt: skip
def test_keys_come_in_the_order_that_holds(schema, document, wanted):
    before = json.loads(document)
    assert json.dumps(benchmark.ordered(before, [schema], schema), separators=(",", ":")) == wanted
    assert json.dumps(before, separators=(",", ":")) == document


def test_documents_are_what_they_are_said_to_be(shared_data, monkeypatch):
    data = shared_data("json/schemastore_instances.jsonl.gz").parents[1]
    monkeypatch.setenv("GENWRIGHT_DATA", str(data))
    monkeypatch.setattr(benchmark, "apart", lambda work, seconds: [])  # documents drawn: not here
    store = [case for case in benchmark.cases(40, 60) if case.part == "SchemaStore"]
    assert len(store) == 40
    for case in store:
        assert {valid for _, valid in case.documents} in ({True}, {True, False})
        for document, valid in case.documents:
            assert benchmark.passes(case.schema, document) == valid
