"""Short texts (orders, contacts, events, invoices, ...) with the JSON record that each one holds.

Choose it to test or train structured extraction: every text is made from its record, so the record
is right by construction, and texts with held-out wordings are kept apart from those for training.

Zhang et al. 2024, "Training and Evaluating Language Models with Template-based Data Generation",
arXiv:2411.18104, Section 2, through `synthesis/templates.py`. Ours: the answer is a record, whose
values the text may write otherwise than the record does (`March 4, 2026` is `"2026-03-04"`).
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from genwright.core import InvalidArgument, child_seed, method
from genwright.synthesis.templates import Template, Value, Wordings, render


@method(paper="arXiv:2411.18104")
@dataclass(frozen=True, kw_only=True)
class ExtractionTexts:
    """Rows with `text`, `record` (compact JSON), `kind`, `schema` (JSON text) and `split`.

    Args:
        n: how many, the kinds of records in turn; no text comes twice.
        seed: the same seed gives the same rows.
        split: "train", or "held_out" with wordings that training lacks.

    Raises:
        InvalidArgument: n below 1, or another split.
    """

    n: int = 50
    seed: int = 0
    split: Literal["train", "held_out"] = "held_out"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidArgument(f"ExtractionTexts: n must be 1 or more, got {self.n}.")
        if self.split not in ("train", "held_out"):
            raise InvalidArgument(
                f"ExtractionTexts: split must be 'train' or 'held_out', got {self.split!r}."
            )

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows."""
        templates, schemas = extraction_templates(), record_schemas()
        found: dict[str, dict[str, Any]] = {}
        index = 0
        while len(found) < self.n:
            template = templates[index % len(templates)]
            seed = child_seed(self.seed, self.split, index)
            item = render(template, seed, held_out_wording=self.split == "held_out")
            index += 1
            found.setdefault(
                item.question,
                {
                    "text": item.question,
                    "record": item.answer,
                    "kind": template.name,
                    "schema": json.dumps(schemas[template.name]),
                    "split": self.split,
                },
            )
        return list(found.values())


@cache
def extraction_templates() -> tuple[Template, ...]:
    """Return one template a kind of record; its answer is the record."""
    return tuple(
        Template(
            name=kind["name"],
            structure=kind["name"],
            answer=_skeleton(kind),
            frames=Wordings(train=tuple(kind["train"]), held_out=tuple(kind["held_out"])),
            parameters={name: _domains()[domain].values for name, domain in kind["fields"].items()},
        )
        for kind in _kinds()
    )


def record_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each kind of record; every key is required, no other allowed."""
    return {
        kind["name"]: {
            "type": "object",
            "properties": {
                "kind": {"const": kind["name"]},
                **{name: _domains()[domain].schema for name, domain in kind["fields"].items()},
            },
            "required": ["kind", *kind["fields"]],
            "additionalProperties": False,
        }
        for kind in _kinds()
    }


def any_record_schema() -> dict[str, Any]:
    """Return the schema that a record of any kind satisfies."""
    return {"anyOf": list(record_schemas().values())}


@cache
def _kinds() -> tuple[Mapping[str, Any], ...]:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["kind"])


def _skeleton(kind: Mapping[str, Any]) -> str:
    fields = "".join(f',"{name}":{{{name}}}' for name in kind["fields"])
    return f'{{"kind":"{kind["name"]}"{fields}}}'


@dataclass(frozen=True)
class _Domain:
    """What a field may hold: its schema, and its values as JSON with the ways a text says them."""

    schema: Mapping[str, Any]
    values: tuple[Value, ...]


_TEXT = {"type": "string", "minLength": 1, "maxLength": 60}
_AMOUNT = {"type": "number", "minimum": 0, "maximum": 100000}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 1000}
_DEGREES = {"type": "integer", "minimum": -60, "maximum": 60}
_FIRST = ("Ada", "Bruno", "Chiara", "Dmitri", "Elena", "Felix", "Grace", "Hugo", "Ines", "Jonas")
_LAST = ("Lind", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Sato", "Turner", "Vogel")
_COMPANIES = (
    "Northwind Traders", "Blue Heron Ltd", "Acme Tools", "Sunrise Foods", "Harbor Logistics",
    "Vertex Labs", "Maple & Sons", "Orchid Systems", "Granite Works", "Silverline Media",
)  # fmt: skip
_ITEMS = (
    "desk lamps", "office chairs", "coffee mugs", "water bottles", "notebooks", "phone cases",
    "garden hoses", "bike helmets", "wool blankets", "USB cables", "picture frames", "tea pots",
)  # fmt: skip
_CITIES = (
    "Lisbon", "Oslo", "Nairobi", "Toronto", "Kyoto", "Hamburg", "Porto", "Denver", "Lima", "Cairo",
    "Dublin", "Hanoi", "Zurich", "Seville", "Boston", "Riga",
)  # fmt: skip
_TITLES = (
    "the Spring Book Fair", "the Harbor Jazz Night", "the Data Systems Workshop",
    "the Annual Members Meeting", "the Rooftop Film Festival", "the Charity Run",
    "the Pottery Class", "the Open Source Summit", "the Winter Market", "the Chess Tournament",
)  # fmt: skip
_RESTAURANTS = (
    "Casa Verde", "The Copper Pot", "Golden Lotus", "Trattoria Luna", "Bistro Marais", "Saffron",
    "The Old Mill", "Blue Lagoon",
)  # fmt: skip
_SKIES = ("sunny", "cloudy", "rainy", "foggy", "windy", "snowy", "clear", "overcast")
_COUNT_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def _domains() -> Mapping[str, _Domain]:
    people = [f"{first} {last}" for first in _FIRST for last in _LAST]
    mails = [
        f"{person.lower().replace(' ', '.')}@{host}"
        for person in people
        for host in ("example.com", "mail.example.org")
    ]
    counts = [
        Value(str(n), (str(n), _COUNT_WORDS[n - 2]) if n < 10 else (str(n),)) for n in range(2, 25)
    ]
    amounts = [100 + 37 * i + (5 * i % 20) * 0.05 for i in range(200)]
    return {
        "person": _Domain(_TEXT, _same(people)),
        "company": _Domain(_TEXT, _same(_COMPANIES)),
        "item": _Domain(_TEXT, _same(_ITEMS)),
        "city": _Domain(_TEXT, _same(_CITIES)),
        "title": _Domain(_TEXT, _titles()),
        "restaurant": _Domain(_TEXT, _same(_RESTAURANTS)),
        "email": _Domain({"type": "string", "format": "email", "maxLength": 60}, _same(mails)),
        "phone": _Domain(
            {"type": "string", "pattern": "^[0-9-]{7,15}$"},
            _same(f"{555 + i % 7}-{(i * 7919) % 10000:04}" for i in range(300)),
        ),
        "number": _Domain(_TEXT, _same(f"INV-{2000 + 13 * i}" for i in range(200))),
        "tracking": _Domain(_TEXT, _same(f"PX{(i * 104729) % 10**7:07}" for i in range(300))),
        "count": _Domain(_COUNT, tuple(counts)),
        "cold": _Domain(_DEGREES, _numbers(range(-12, 12))),
        "warm": _Domain(_DEGREES, _numbers(range(13, 39))),
        "price": _Domain(_AMOUNT, _money(2 + 0.25 * i for i in range(3, 160))),
        "amount": _Domain(_AMOUNT, _money(amounts)),
        "weight": _Domain(_AMOUNT, _numbers(0.5 + 0.3 * i for i in range(90))),
        "sky": _Domain({"enum": list(_SKIES)}, _same(_SKIES)),
        "date": _Domain({"type": "string", "format": "date"}, _dates()),
        "time": _Domain(
            {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"},
            tuple(_time(hour, minute) for hour in range(8, 23) for minute in (0, 15, 30, 45)),
        ),
    }


def _same(texts: Any) -> tuple[Value, ...]:
    """Texts that are written alike in both."""
    return tuple(Value(json.dumps(text), (text,)) for text in texts)


def _titles() -> tuple[Value, ...]:
    """Titles, whose article belongs to the text around them."""
    return tuple(Value(json.dumps(t.removeprefix("the ")), (t,)) for t in _TITLES)


def _numbers(numbers: Any) -> tuple[Value, ...]:
    rounded = (round(number, 2) for number in numbers)
    return tuple(Value(json.dumps(number), (json.dumps(number),)) for number in rounded)


def _money(amounts: Any) -> tuple[Value, ...]:
    return tuple(
        Value(json.dumps(round(a, 2)), (f"${a:.2f}", f"{a:.2f} dollars", f"USD {a:.2f}"))
        for a in amounts
    )


def _dates() -> tuple[Value, ...]:
    days = (date(2026, 1, 1) + timedelta(days=i) for i in range(0, 720, 2))
    return tuple(
        Value(
            json.dumps(day.isoformat()),
            (day.isoformat(), f"{day:%B} {day.day}, {day.year}", f"{day.day} {day:%B} {day.year}"),
        )
        for day in days
    )


def _time(hour: int, minute: int) -> Value:
    half = "am" if hour < 12 else "pm"
    words = (f"{hour:02}:{minute:02}", f"{(hour - 1) % 12 + 1}:{minute:02} {half}")
    return Value(json.dumps(words[0]), words)
