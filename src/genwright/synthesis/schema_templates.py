"""Templates for any database, made from its own schema.

Use them for a database nobody wrote a bank for; edit the wordings afterwards, if at all. Some
twenty kinds of question (`schema_wordings.toml`) are applied to every table and join that has what
they need, with the database's own values, and its names said in words (`schema.said`).

Ours; the kinds follow the usual text-to-SQL benchmarks (Yu et al. 2018, "Spider",
arXiv:1809.08887, Section 3).
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genwright.synthesis.schema import Column, Join, Schema, Table, read_schema
from genwright.synthesis.templates import FIELD, Template, TemplateBank, Value, Wordings

NUMBERS = 9
"""How many thresholds are offered for a measure: its inner deciles."""

NAMES = 200
"""The most labels that are offered."""

IRREGULAR = {"person": "people", "child": "children", "man": "men", "woman": "women"}
SAME = frozenset({"series", "species", "staff", "status", "data", "media", "details", "news"})


@dataclass(frozen=True)
class Ground:
    """What the fields of a kind stand for on one table or join.

    Args:
        fixed: field -> (in SQL, in words).
        parameters: field -> values.
        allowed: fields -> combinations that occur.
    """

    fixed: Mapping[str, tuple[str, str]]
    parameters: Mapping[str, tuple[Value, ...]]
    allowed: Mapping[tuple[str, ...], frozenset[tuple[str, ...]]] = field(default_factory=dict)


def schema_templates(database: str | Path) -> TemplateBank:
    """Make templates for a SQLite or DuckDB file.

    Raises:
        MissingFile: no such file, or neither kind.
    """
    data = tomllib.loads(
        Path(__file__).with_name("schema_wordings.toml").read_text(encoding="utf-8")
    )
    common = {name: _common(entry) for name, entry in data["values"].items()}
    phrases = {
        name: Wordings(train=tuple(w["train"]), held_out=tuple(w["held_out"]))
        for name, w in data["phrases"].items()
    }
    schema = read_schema(database)
    made: dict[str, Template] = {}
    for name, ground in _grounds(schema):
        for kind in data["kind"]:
            template = _template(kind, name, ground, common, phrases)
            if template is not None:
                made.setdefault(template.answer, template)  # joins of one table share its kinds
    return TemplateBank(tuple(made.values()))


def _common(entry: Mapping[str, Any]) -> tuple[Value, ...]:
    if "list" in entry:
        return tuple(Value(str(v), (str(v),)) for v in entry["list"])
    return tuple(Value(k, (v,) if isinstance(v, str) else tuple(v)) for k, v in entry.items())


def _grounds(schema: Schema) -> Iterator[tuple[str, Ground]]:
    """Yield the whole database, each table, and each join to a table that names its rows."""
    named = tuple(Value(t.written, (plural(t.said),)) for t in schema.tables)
    yield "all", Ground({}, {"any_table": _unambiguous(named)})
    for table in schema.tables:
        yield table.name, _table_ground(table)
    for join in schema.joins:
        label = _label(join.parent)
        if label is not None:
            yield f"{join.child.name}_{join.key}_{join.parent.name}", _join_ground(join, label)


def _table_ground(table: Table) -> Ground:
    fixed = {
        "table": (table.written, ""),
        "things": ("", plural(table.said)),
        "thing": ("", singular(table.said)),
    }
    categories, measures = table.having("category"), table.having("measure")
    parameters = {
        "category": _columns(categories),
        "value": _literals(v for c in categories for v in c.values),
        "measure": _columns(measures),
        "number": _literals(n for c in measures for n in _thresholds(c)),
        "any_column": _columns([*categories, *measures]),
        "optional": _columns([c for c in table.columns if c.nulls and c.role != "key"]),
    }
    label = _label(table)
    if label is not None:
        fixed |= {"label": (label.written, ""), "named": ("", label.said)}
        parameters["name"] = _literals(label.values[:NAMES])
    allowed = {
        ("category", "value"): _pairs((c, c.values) for c in categories),
        ("measure", "number"): _pairs((c, _thresholds(c)) for c in measures),
    }
    return Ground(fixed, {k: v for k, v in parameters.items() if v}, allowed)


def _join_ground(join: Join, label: Column) -> Ground:
    child, parent = _table_ground(join.child), join.parent
    fixed = {
        **child.fixed,
        "parent": (parent.written, ""),
        "owners": ("", plural(parent.said)),
        "owner": ("", singular(parent.said)),
        "owner_label": (label.written, ""),
        "key": (join.key, ""),
        "target": (join.target, ""),
    }
    names = {"owner_name": _literals(label.values[:NAMES])}
    return Ground(fixed, {**child.parameters, **names}, child.allowed)


def _template(
    kind: Mapping[str, Any],
    ground_name: str,
    ground: Ground,
    common: Mapping[str, tuple[Value, ...]],
    phrases: Mapping[str, Wordings],
) -> Template | None:
    """Apply one kind to one ground; None where the ground lacks something it needs."""
    values = {**common, **ground.parameters}
    needed = set(FIELD.findall(kind["sql"]))
    texts = [*kind["train"], *kind.get("held_out", ())]
    used = {name for text in texts for name in FIELD.findall(text)}
    if not needed | used <= ground.fixed.keys() | values.keys() | phrases.keys():
        return None
    sql = {name: written for name, (written, _) in ground.fixed.items()}
    words = {name: said for name, (_, said) in ground.fixed.items()}
    parameters = {name: values[name] for name in needed - ground.fixed.keys()}
    return Template(
        name=f"{kind['name']}.{ground_name}",
        structure=kind["structure"],
        answer=_put(kind["sql"], sql),
        frames=Wordings(
            train=tuple(_put(text, words) for text in kind["train"]),
            held_out=tuple(_put(text, words) for text in kind.get("held_out", ())),
        ),
        parameters=dict(sorted(parameters.items())),
        phrases={name: phrases[name] for name in sorted(used & phrases.keys())},
        allowed={k: v for k, v in ground.allowed.items() if set(k) <= parameters.keys()},
        held_out=kind.get("split") == "structures",
    )


def _put(text: str, fixed: Mapping[str, str]) -> str:
    return FIELD.sub(lambda m: fixed.get(m[1], m[0]), text)


def _columns(columns: list[Column]) -> tuple[Value, ...]:
    return _unambiguous(tuple(Value(c.written, (c.said,)) for c in columns))


def _unambiguous(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Keep the first of the values that are said alike."""
    return tuple({value.words[0].lower(): value for value in reversed(values)}.values())[::-1]


def _literals(values: Any) -> tuple[Value, ...]:
    """Write values as SQL literals, said as they are."""
    made = {_literal(value): str(value).strip() for value in values}
    return tuple(Value(literal, (words,)) for literal, words in made.items())


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"


def _pairs(columns: Any) -> frozenset[tuple[str, str]]:
    return frozenset((c.written, _literal(v)) for c, values in columns for v in values)


def _thresholds(column: Column) -> list[int | float]:
    """Return the inner deciles of a measure's values, rounded so that people would say them."""
    values, n = column.values, len(column.values)
    found = (values[n * i // (NUMBERS + 1)] for i in range(1, NUMBERS + 1))
    return sorted({float(f"{v:.2g}") if v % 1 else int(float(f"{v:.2g}")) for v in found})


def _label(table: Table) -> Column | None:
    """Return the column that names the rows: one called name or title, or the first label."""
    labels = table.having("label")
    called = [c for c in labels if "name" in c.said.split() or "title" in c.said.split()]
    return next(iter([*called, *labels]), None)


def plural(words: str) -> str:
    """Say several of something: `country` is `countries`; a plural stays."""
    *first, last = singular(words).split()
    if last in SAME:
        many = last
    elif last in IRREGULAR:
        many = IRREGULAR[last]
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        many = last[:-1] + "ies"
    else:
        many = last + ("es" if last.endswith(("s", "x", "ch", "sh", "z")) else "s")
    return " ".join([*first, many])


def singular(words: str) -> str:
    """Say one of something: `order details` stays, `countries` is `country`."""
    *first, last = words.split() or [words]
    one = {many: one for one, many in IRREGULAR.items()}.get(last)
    if one is None:
        one = last
        if last in SAME or last.endswith(("ss", "us", "is")):
            pass
        elif last.endswith("ies") and len(last) > 4:
            one = last[:-3] + "y"
        elif last.endswith(("sses", "xes", "ches", "shes", "zes")):
            one = last[:-2]
        elif last.endswith("s"):
            one = last[:-1]
    return " ".join([*first, one])
