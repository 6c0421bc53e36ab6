"""The constraint that a request asks for, in whichever of the API's fields it stands."""

import json
from typing import Any

from genwright.core import Constraint
from genwright.serving.faults import ApiError
from genwright.serving.openai_api import Settings
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.json_schema import JsonSchema


def constraint(body: Settings) -> tuple[Constraint, str] | None:
    """Return (what the answer must satisfy, the field that says so), or None.

    The same constraint may stand in several fields, as clients that know several servers send it.

    Raises:
        ApiError: two fields that ask for different things, or a field without its schema.
    """
    found = [(made, field) for made, field in _asked(body) if made is not None]
    for other, field in found[1:]:
        if other != found[0][0]:
            raise ApiError(
                400,
                f"{found[0][1]} and {field} ask for different forms; give one of them.",
                param=field,
            )
    return found[0] if found else None


def _asked(body: Settings) -> list[tuple[Any, str]]:
    asked: list[tuple[Any, str]] = []
    shape = body.response_format
    if shape is not None and shape.type == "json_object":
        asked.append((_schema({"type": "object"}), "response_format"))
    if shape is not None and shape.type == "json_schema":
        if shape.json_schema is None:
            raise ApiError(
                400,
                'response_format: type "json_schema" needs the field json_schema.',
                param="response_format",
            )
        asked.append((_schema(shape.json_schema.schema_), "response_format"))
    ways = body.structured_outputs
    if ways is not None:
        asked += [
            (_regex(ways.regex), "structured_outputs"),
            (_grammar(ways.grammar), "structured_outputs"),
            (_schema(ways.json_), "structured_outputs"),
            (_choice(ways.choice), "structured_outputs"),
        ]
    return [
        *asked,
        (_regex(body.guided_regex), "guided_regex"),
        (_grammar(body.guided_grammar), "guided_grammar"),
        (_schema(body.guided_json), "guided_json"),
        (_choice(body.guided_choice), "guided_choice"),
    ]


def _regex(pattern: str | None) -> Regex | None:
    return None if pattern is None else Regex(pattern=pattern)


def _grammar(text: str | None) -> Grammar | None:
    return None if text is None else Grammar(text=text)


def _schema(schema: Any) -> JsonSchema | None:
    """Write a schema as text, so that equal ones are compiled once; keys keep their order."""
    if schema is None:
        return None
    return JsonSchema(schema=schema if isinstance(schema, str) else json.dumps(schema))


def _choice(words: list[str] | None) -> Grammar | None:
    if words is None:
        return None
    return Grammar(
        text="start: " + " | ".join(json.dumps(word, ensure_ascii=False) for word in words)
    )
