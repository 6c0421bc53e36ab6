"""Draws vote together exactly when they hold equal JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Samples
from genwright.verifiers.json_key import JsonKey
from genwright.verifiers.json_schema import JsonFields

key = JsonKey()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 3.0]) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy"), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_equal_keys_are_equal_values(first, second):
    same = JsonFields(gold=json.dumps(first)).check(Samples([json.dumps(second)]))[0].passed
    assert (key(json.dumps(first)) == key(json.dumps(second))) == same


@given(VALUES)
def test_layout_order_and_fences_do_not_matter(value):
    plain = key(json.dumps(value))
    assert plain is not None
    assert key(json.dumps(value, indent=3)) == plain
    assert key(f"Here it is:\n```json\n{json.dumps(value)}\n```") == plain
    if isinstance(value, dict):
        assert key(dict(reversed(value.items()))) == plain


@pytest.mark.parametrize("value", ["", "no", '{"a": 1', "NaN", '{"a":1,"a":1}', b"x", {1, 2}])
def test_what_is_no_json_casts_no_vote(value):
    assert key(value) is None


def test_known_answers():
    assert key('{"b": 3.0, "a": [true, 1]}') == '{"a":[true,1],"b":3}'
    assert key("[1, 2]") != key("[2, 1]")
    assert [key(text) for text in ("0.5", "0", "true", "1e2")] == ["0.5", "0", "true", "100"]
