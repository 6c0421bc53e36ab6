"""JSON as a vote: draws that say the same value vote together, however they write it.

Choose it as the key of majority voting over structured answers. Keys are sorted and blanks dropped,
and 3 is 3.0, as in the known answer's comparison (`JsonFields`); the order of an array counts.

RFC 8785, "JSON Canonicalization Scheme", for sorted keys and no blanks. Ours: Python's shortest
decimal form of a number, which differs from the RFC's only in exponents.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from genwright.core import method
from genwright.verifiers.json_schema import parsed_json


@method(paper="RFC 8785")
@dataclass(frozen=True, kw_only=True)
class JsonKey:
    """The canonical text of the JSON in a draw; None, which casts no vote, where there is none."""

    def __call__(self, value: Any) -> str | None:
        """Return the canonical text of a draw; text may stand in a code fence."""
        parsed, error = parsed_json(value)
        if error:
            return None
        try:
            return json.dumps(
                _plain(parsed), sort_keys=True, separators=(",", ":"), allow_nan=False
            )
        except (TypeError, ValueError):  # a value that is no JSON, handed over already parsed
            return None


def _plain(value: Any) -> Any:
    """Write whole floats as integers, all through a value."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {key: _plain(inner) for key, inner in pairs}
    if isinstance(value, list):
        return [_plain(inner) for inner in cast("list[Any]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value
