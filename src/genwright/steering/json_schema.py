"""Hold a draw to a JSON Schema.

Choose it for extraction, tool calls and every typed answer. The default whitespace is compact: a
weak model may otherwise write spaces until its budget ends.

Geng et al. 2025, "JSONSchemaBench: A Rigorous Benchmark of Structured Outputs for Language Models",
arXiv:2501.10868, for what engines support and how to measure it. Ours: where llguidance refuses a
schema, xgrammar is tried, or (`on_unsupported="relax"`) the parts that cannot be enforced are
dropped and named by pointer. Neither makes an invalid value valid: check the finished one with the
verifier for JSON schemas, which `report.exact` says is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from genwright.core import (
    CompiledConstraint,
    ConstraintError,
    InvalidArgument,
    Vocabulary,
    method,
)
from genwright.steering import xgrammar_matching
from genwright.steering.matching import compile_matcher, refusal, require_llguidance
from genwright.steering.schema_report import (
    Ignored,
    SchemaReport,
    check_schema,
    culprit,
    ignored,
)

_CHOICES = {
    "engine": ("auto", "llguidance", "xgrammar"),
    "on_unsupported": ("error", "relax"),
    "whitespace": ("compact", "flexible"),
}


@method(paper="arXiv:2501.10868")
@dataclass(frozen=True, kw_only=True)
class JsonSchema:
    """The JSON values that a schema allows, with keys in the order in which the schema has them.

    Args:
        schema: the schema, as a table or as JSON text.
        engine: `"auto"` tries llguidance, then xgrammar.
        on_unsupported: what to do about keywords that llguidance does not know: `"error"` refuses
            (or leaves the schema to xgrammar, under `"auto"`), `"relax"` goes on without them.
        whitespace: `"compact"` allows none between the parts of a value, `"flexible"` allows any.
        name: what an endpoint is told the schema is called.

    Raises:
        InvalidArgument: an engine, a way or a whitespace that there is not.
    """

    schema: Mapping[str, Any] | bool | str
    engine: Literal["auto", "llguidance", "xgrammar"] = "auto"
    on_unsupported: Literal["error", "relax"] = "error"
    whitespace: Literal["compact", "flexible"] = "compact"
    name: str = "answer"

    def __post_init__(self) -> None:
        for field, allowed in _CHOICES.items():
            if getattr(self, field) not in allowed:
                came, names = getattr(self, field), ", ".join(allowed)
                raise InvalidArgument(f"JsonSchema: {field} must be one of {names}, got {came!r}.")

    @property
    def table(self) -> Any:
        """The schema, parsed.

        Raises:
            ConstraintError: the text is no JSON, or the value is no schema; with its place.
        """
        schema: Any = self.schema
        if isinstance(self.schema, str):
            try:
                schema = json.loads(self.schema)
            except json.JSONDecodeError as error:
                raise ConstraintError(f"JsonSchema: the schema is no JSON: {error}.") from error
        check_schema(schema)
        return schema

    @property
    def report(self) -> SchemaReport:
        """Which engine will steer, and which keywords it will not enforce.

        Raises:
            ConstraintError: the schema is malformed, contradicts itself, or is refused under
                `engine="llguidance"`; with the JSON pointer of the culprit.
        """
        return self._plan()[0]

    def compile(self, vocabulary: Vocabulary) -> CompiledConstraint:
        """Prepare for one vocabulary.

        Raises:
            ConstraintError: as for `report`; or no engine takes the schema.
        """
        report, form = self._plan()
        if report.engine == "llguidance":
            return compile_matcher("JsonSchema", form, vocabulary)
        loose = self.whitespace == "flexible"
        text = json.dumps(self.table)
        try:
            return xgrammar_matching.compile_schema(text, vocabulary, any_whitespace=loose)
        except ConstraintError as error:
            if not report.refused:
                raise
            raise ConstraintError(
                f"JsonSchema: llguidance refuses {report.refused} {error}"
            ) from error

    def grammar(self) -> str | None:
        """Return llguidance's form of the language, or None where xgrammar will walk it."""
        report, form = self._plan()
        return form if report.engine == "llguidance" else None

    def response_format(self) -> dict[str, Any]:
        """Return OpenAI's `response_format` for this schema."""
        named = {"name": self.name, "schema": self.table, "strict": True}
        return {"type": "json_schema", "json_schema": named}

    def _plan(self) -> tuple[SchemaReport, str]:
        """Choose the engine; return the report and llguidance's form of the grammar."""
        table = self.table
        if self.engine == "xgrammar":
            return SchemaReport(engine="xgrammar", ignored=_unknown("it was asked for")), ""
        if table is False:
            raise ConstraintError("JsonSchema: nothing satisfies the schema `false`.")
        strict = self._form(table, lenient=False)
        reason, _ = refusal(strict)
        if not reason:
            return SchemaReport(engine="llguidance"), strict
        place = culprit(table, reason, lambda part: refusal(self._form(part, lenient=False))[0])
        refused = f"#{place}: {' '.join(reason.split())}."
        if reason.startswith("Unsatisfiable"):
            raise ConstraintError(f"JsonSchema: nothing satisfies {refused}")
        if self.on_unsupported == "relax":
            relaxed = self._form(table, lenient=True)
            still, warnings = refusal(relaxed)
            if not still:
                dropped = ignored(table, warnings)
                return SchemaReport(engine="llguidance", refused=refused, ignored=dropped), relaxed
        if self.engine == "auto":
            unknown = _unknown(f"llguidance refused {refused}")
            return SchemaReport(engine="xgrammar", refused=refused, ignored=unknown), ""
        raise ConstraintError(
            f"JsonSchema: llguidance refuses {refused} Set on_unsupported = 'relax' to go on "
            "without it, or engine = 'auto' to let xgrammar try."
        )

    def _form(self, schema: Any, *, lenient: bool) -> str:
        """Write a schema in llguidance's form."""
        options = {"whitespace_flexible": self.whitespace == "flexible", "lenient": lenient}
        matcher = require_llguidance("JsonSchema").LLMatcher
        if isinstance(schema, bool):  # llguidance's options have no place in a boolean
            schema = {} if schema else {"enum": []}
        try:
            return matcher.grammar_from_json_schema(json.dumps(schema), overrides=options)
        except (ValueError, RecursionError) as error:
            raise ConstraintError(
                f"JsonSchema: llguidance cannot read the schema: {error}. It reads JSON of fewer "
                "than 128 levels; move deep parts into $defs and refer to them by $ref."
            ) from error


def _unknown(why: str) -> tuple[Ignored, ...]:
    reason = f"xgrammar does not say which keywords it enforces; {why}"
    return (Ignored(pointer="", keyword="", reason=reason),)
