"""Schemas that people wrote, and the tokens of a real model: what is drawn is valid."""

import gzip
import json
import re
from itertools import islice

import jsonschema_rs
import numpy as np
import pytest

from genwright.core import ConstraintError, uniform
from genwright.generators.language.embedded import EMBEDDED, resolve
from genwright.steering.json_schema import JsonSchema
from genwright.steering.matching import ALL_BYTES

BEYOND = re.compile(rb"[0-9][eE]\+?[0-9]{3}")
"""A number that may be beyond a double, which JSON allows and its readers do not."""

CLOSING = [*b'"}]', 256, *b":,0123456789truefalsn-T.Z{["]
"""Bytes that bring a JSON value to its end, the best first; 256 is the end itself."""


def walked(state, seed, steps, longest=1500):
    """Take random allowed bytes, then bytes that close; return the text, or None if it went on."""
    data = bytearray()
    for step in range(longest):
        mask = state.mask()
        allowed = np.flatnonzero(mask[:256]).tolist()
        if step < steps and allowed:
            byte = allowed[int(uniform(seed, step) * len(allowed))]
        elif state.accepting:
            return bytes(data)
        else:
            byte = next((b for b in CLOSING if mask[b]), None)
            byte = allowed[0] if byte is None else byte
        data.append(byte)
        state.advance(byte)
    return None


def schemas(path, most=12_000):
    """Every 40th schema of the benchmark that is not too long for a short test."""
    with gzip.open(path, "rt") as lines:
        for line in islice(lines, 0, None, 40):
            if len(line) < most:
                yield json.loads(line)["schema"]


def test_what_is_drawn_from_real_schemas_is_valid(shared_data):
    """20 schemas that llguidance takes whole, three walks of 0, 15 and 60 random bytes each."""
    taken = finished = 0
    for schema in schemas(shared_data("json/jsonschemabench.jsonl.gz")):
        constraint = JsonSchema(schema=schema, engine="llguidance")
        try:
            compiled = constraint.compile(ALL_BYTES)
        except ConstraintError:
            continue
        taken += 1
        validator = jsonschema_rs.validator_for(schema, validate_formats=False)
        for walk, steps in enumerate((0, 15, 60)):
            text = walked(compiled.start(), walk, steps)
            if text is None or BEYOND.search(text):
                continue
            finished += 1
            assert validator.is_valid(json.loads(text)), (schema, text)
        if taken == 20:
            break
    assert taken == 20
    assert finished >= 45


@pytest.fixture(scope="module")
def real():
    """The vocabulary of the embedded model."""
    transformers = pytest.importorskip("transformers")
    from genwright.generators.language.tokens import vocabulary

    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve(EMBEDDED))
    return vocabulary(tokenizer, 49152, frozenset({2}), "embedded")


def test_forced_tokens_are_what_any_logits_would_choose(real):
    """Where tokens are forced, each is the only one its mask allows: argmax under every logits."""
    schema = {
        "type": "object",
        "properties": {
            "customer_name": {"enum": ["Ada Lovelace", "Alan Turing"]},
            "delivery_status": {"const": "shipped on time"},
            "quantity": {"type": "integer", "minimum": 1, "maximum": 99},
        },
        "required": ["customer_name", "delivery_status", "quantity"],
        "additionalProperties": False,
    }
    compiled = JsonSchema(schema=schema).compile(real)
    forced = written = 0
    for walk in range(8):
        state, tokens = compiled.start(), []
        while not state.accepting:
            for token in state.forced():
                assert np.flatnonzero(state.mask()).tolist() == [token]
                state.advance(token)
                tokens.append(token)
                forced += 1
            if state.accepting:
                break
            allowed = np.flatnonzero(state.mask())
            tokens.append(int(allowed[int(uniform(walk, len(tokens)) * len(allowed))]))
            state.advance(tokens[-1])
        jsonschema_rs.validate(schema, json.loads(real.decode(tokens)))
        written += len(tokens)
    assert forced > written / 2
