"""JSON checked against a schema, or field by field against a known answer.

Choose `JsonSchemaValid` where only the form is known, `JsonFields` where the right value is known
too and a draw that has most of it deserves a score.

JSON Schema, drafts 4 to 2020-12 (https://json-schema.org/specification), by the library
jsonschema-rs; RFC 8259 for the text itself. Ours: stricter than RFC 8259 asks, a repeated key, NaN,
Infinity, a number beyond a double and a lone surrogate are errors, because readers disagree on
them; JSON nested deeper than 200 levels is refused.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import jsonschema_rs

from genwright.core import InvalidArgument, Samples, Verdict, method
from genwright.verifiers._text import fenced

DEPTH = 200
"""Levels of nesting; validators give up a little above it."""

SHOWN = 5
"""Errors that the evidence keeps."""


@method(paper="https://json-schema.org/draft/2020-12")
@dataclass(frozen=True, kw_only=True)
class JsonSchemaValid:
    """Passes a draw that is JSON and valid under a schema.

    The draft is the one that `$schema` names, 2020-12 where it names none. References outside the
    schema are never fetched.

    Args:
        schema: the schema, or its JSON text.
        formats: whether `format` is checked ("date", "email", ...) or only a remark.
    """

    schema: Mapping[str, Any] | bool | str
    formats: bool = True

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Parse and validate each draw; text may stand in a code fence.

        Raises:
            InvalidArgument: the schema itself is not valid, or refers to another document.
        """
        validator = _validator(self.schema, self.formats)
        return [self._judge(validator, value) for value in samples.values]

    def _judge(self, validator: Any, value: Any) -> Verdict:
        parsed, error = parsed_json(value)
        errors = [error] if error else schema_errors(validator, parsed)
        return Verdict.fail({"errors": errors}) if errors else Verdict.ok()


@method(paper="")
@dataclass(frozen=True, kw_only=True)
class JsonFields:
    """Scores a draw by the share of fields that equal those of a known answer.

    A field is a leaf: a text, number, boolean, null or empty container, at its JSON pointer. The
    score is the number of equal fields over the number of fields in either, so that an invented
    field costs as much as a missing one. A draw passes when all are equal and the schema, if there
    is one, accepts it. 3 equals 3.0; true does not equal 1.

    Args:
        gold: the known answer, or its JSON text.
        schema: a schema the draw must also satisfy, or its JSON text; None for none.
    """

    gold: Any
    schema: Mapping[str, Any] | bool | str | None = None

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Parse each draw and compare it leaf by leaf.

        Raises:
            InvalidArgument: gold is not JSON, or the schema is not valid.
        """
        gold, error = parsed_json(self.gold)
        if error:
            raise InvalidArgument(f"JsonFields: gold must be JSON: {error['message']}.")
        validator = None if self.schema is None else _validator(self.schema, True)
        wanted = dict(_leaves(gold))
        return [self._judge(wanted, validator, value) for value in samples.values]

    def _judge(self, wanted: dict[str, Any], validator: Any, value: Any) -> Verdict:
        parsed, error = parsed_json(value)
        if error:
            return Verdict.fail({"errors": [error]})
        got = dict(_leaves(parsed))
        places = sorted(wanted.keys() | got.keys())
        wrong = [p for p in places if p not in wanted or p not in got or wanted[p] != got[p]]
        score = 1 - len(wrong) / len(places)
        evidence = {
            "fields": [
                {"at": p}
                | {
                    name: leaves[p][1]
                    for name, leaves in (("gold", wanted), ("got", got))
                    if p in leaves
                }
                for p in wrong[:SHOWN]
            ],
            "errors": [] if validator is None else schema_errors(validator, parsed),
        }
        if wrong or evidence["errors"]:
            return Verdict.fail(evidence, score=score)
        return Verdict.ok()


def parsed_json(value: Any) -> tuple[Any, dict[str, str]]:
    """Return (parsed value, {}) or (None, error with `at` and `message`).

    Text is parsed, from its first code fence if it is not JSON by itself; anything else is taken
    as already parsed.
    """
    parsed: Any = value
    if isinstance(value, str):
        inside = fenced(value)
        parsed, error = _loads(value)
        if error and inside is not None:
            parsed, error = _loads(inside)
        if error:
            return None, error
    too_deep = _too_deep(parsed)
    return (None, {"at": "", "message": too_deep}) if too_deep else (parsed, {})


def schema_errors(validator: Any, value: Any) -> list[dict[str, str]]:
    """Return the first errors, each with the JSON pointer of the value it is about."""
    errors: list[dict[str, str]] = []
    try:
        for error in validator.iter_errors(value):
            errors.append({"at": _pointer(error.instance_path), "message": error.message[:300]})
            if len(errors) == SHOWN:
                break
    except (ValueError, UnicodeError) as error:  # what is not JSON at all: bytes, sets, ...
        errors.append({"at": "", "message": str(error)})
    return errors


def _loads(text: str) -> tuple[Any, dict[str, str]]:
    """Parse strictly."""
    try:
        text.encode()
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        json.dumps(value, ensure_ascii=False).encode()  # finds escaped lone surrogates
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return None, {"at": "", "message": f"not JSON: {error.msg} at {place}"}
    except UnicodeEncodeError:
        return None, {"at": "", "message": "not JSON: a lone surrogate is no character"}
    except RecursionError:
        return None, {"at": "", "message": f"nested deeper than {DEPTH} levels"}
    except ValueError as error:
        return None, {"at": "", "message": f"not JSON: {error}"}
    return value, {}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        again = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {again[:80]!r} stands twice in one object")
    return made


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is beyond a double")
    return number


def _too_deep(value: Any) -> str:
    level: list[Any] = [value]
    for _ in range(DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner += cast("Mapping[Any, Any]", item).values()
            elif isinstance(item, list):
                inner += cast("list[Any]", item)
        if not inner:
            return ""
        level = inner
    return f"nested deeper than {DEPTH} levels"


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield (JSON pointer, (kind, value)) for every leaf."""
    if isinstance(value, Mapping) and value:
        for key, inner in cast("Mapping[Any, Any]", value).items():
            yield from _leaves(inner, f"{at}{_pointer([key])}")
    elif isinstance(value, list) and value:
        for place, inner in enumerate(cast("list[Any]", value)):
            yield from _leaves(inner, f"{at}/{place}")
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        yield at, ("number" if number else type(cast("Any", value)).__name__, value)


def _pointer(path: list[Any]) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _validator(schema: Mapping[str, Any] | bool | str, formats: bool) -> Any:
    text = schema if isinstance(schema, str) else json.dumps(schema, default=dict)
    return _compiled(text, formats)


@lru_cache(maxsize=256)
def _compiled(text: str, formats: bool) -> Any:
    try:
        return jsonschema_rs.validator_for(
            json.loads(text), validate_formats=formats, retriever=_refuse
        )
    except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
        first = str(error).partition("\n")[0]
        raise InvalidArgument(f"the JSON schema is not valid: {first}; correct it.") from error


def _refuse(address: str) -> Any:
    raise ValueError(f"{address} is another document; write what it holds into $defs")
