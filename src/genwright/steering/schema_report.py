"""What of a JSON Schema an engine honours, found before a draw is paid for.

A malformed schema is answered with the JSON pointer of the mistake, a refused one with the pointer
of the smallest part that is refused by itself, a relaxed one with the pointer of every keyword that
will not be enforced.

Geng et al. 2025, "JSONSchemaBench: A Rigorous Benchmark of Structured Outputs for Language Models",
arXiv:2501.10868, Section 3 (declared and empirical coverage). Ours: the pointers.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import jsonschema_rs

from genwright.core import ConstraintError

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "additionalItems", "contains", "not", "if", "then", "else"),
    *("propertyNames", "unevaluatedItems", "unevaluatedProperties"),
)
_DRAFTS = re.compile(r"https?://json-schema\.org/(draft-0[467]|draft/20(19-09|20-12))/schema#?$")


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A keyword that the mask does not enforce: where it stands, and what the engine said."""

    pointer: str
    keyword: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SchemaReport:
    """What will steer a draw.

    Args:
        engine: `"llguidance"` or `"xgrammar"`.
        refused: why llguidance refused the schema as it stands; empty where it did not.
        ignored: keywords that are not, or may not be, enforced while drawing. A finished value
            must be validated where this is not empty.
    """

    engine: str
    refused: str = ""
    ignored: tuple[Ignored, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether every finished draw satisfies the schema by construction."""
        return not self.ignored


def check_schema(schema: Any) -> None:
    """Refuse what is not a JSON Schema.

    Raises:
        ConstraintError: with the JSON pointer of the mistake.
    """
    if not isinstance(schema, Mapping | bool):
        raise ConstraintError(
            f"JsonSchema: a schema is an object or a boolean, got {type(schema).__name__}."
        )
    if isinstance(schema, Mapping):
        table = dict(cast("Mapping[str, Any]", schema))
        if not _DRAFTS.match(str(table.get("$schema", ""))):
            table.pop("$schema", None)
        schema = table
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        raise ConstraintError(
            f"JsonSchema: malformed at #{pointer(*error.instance_path)}: {error.message}."
        ) from error


def parts(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield (path, subschema) for the schema and every schema in it, outermost first."""
    yield path, schema
    if not isinstance(schema, Mapping):
        return
    table = cast("Mapping[str, Any]", schema)
    for key, value in table.items():
        if key in _MAPS and isinstance(value, Mapping):
            for name, child in cast("Mapping[str, Any]", value).items():
                yield from parts(child, (*path, key, name))
        elif isinstance(value, list) and key in (*_LISTS, "items"):
            for i, child in enumerate(cast("list[Any]", value)):
                yield from parts(child, (*path, key, i))
        elif key in _SINGLE:
            yield from parts(value, (*path, key))


def culprit(schema: Any, refusal: str, refuse: Callable[[Any], str]) -> str:
    """Return the JSON pointer of the smallest part that is refused by itself for the same reason.

    Args:
        schema: the schema as a whole.
        refusal: why it is refused.
        refuse: maps a schema to the reason for refusing it, or to `""`.
    """
    found: tuple[Any, ...] = ()
    for path, part in parts(schema):
        inside = path[: len(found)] == found and len(path) > len(found)
        if inside and refuse(_with_definitions(part, schema)) == refusal:
            found = path
    return pointer(*found)


def ignored(schema: Any, warnings: list[str]) -> tuple[Ignored, ...]:
    """Turn the warnings of a lenient compilation into pointers."""
    found: list[Ignored] = []
    for warning in warnings:
        quoted = re.search(r"Unimplemented keys: (\[.*\])", warning)
        unknown = re.search(r"Unknown format: ?(.*?)(?: ?\(\d+ times\))?$", warning)
        word = re.match(r"\w+", warning)
        keywords: list[str] = json.loads(quoted[1]) if quoted else [word[0]] if word else []
        if unknown:
            keywords = ["format"]
        places = [
            Ignored(pointer=pointer(*path, keyword), keyword=keyword, reason=warning)
            for keyword in keywords
            for path, part in parts(schema)
            if isinstance(part, Mapping)
            and keyword in part
            and (not unknown or part[keyword] == unknown[1])
        ]
        found += places or [Ignored(pointer="", keyword=", ".join(keywords), reason=warning)]
    return tuple(found)


def pointer(*path: Any) -> str:
    """Write a path as a JSON pointer (RFC 6901); the whole schema is `""`."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _with_definitions(part: Any, schema: Any) -> Any:
    """Give a part the definitions of the whole, so that its references still lead somewhere."""
    if not isinstance(part, Mapping) or not isinstance(schema, Mapping):
        return cast("Any", part)
    whole = cast("Mapping[str, Any]", schema)
    shared = {k: whole[k] for k in ("$schema", "$defs", "definitions") if k in whole}
    return {**shared, **cast("Mapping[str, Any]", part)}
