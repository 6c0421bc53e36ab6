"""Banks of question/query templates for a database: reading them, and drawing checked questions.

A bank is a TOML file: lists of values (`[values.month]`), shared phrases (`[phrases.in_month]`) and
templates (`[[template]]`: one SQL skeleton, wordings, held-out wordings). Every query is executed
before its question is used; empty, zero and all-NULL results are dropped and counted.

Four splits, disjoint by construction, and `dedup.separation` proves it from the rows:

    train       trained templates, wordings and parameters
    parameters  trained templates and wordings; combinations of parameters never trained
    phrasings   trained templates; wordings (and combinations of parameters) never trained
    structures  templates never trained

The text of a query decides which of the first three splits it belongs to, so that no query is in
two of them, whatever the template, wording or seed it came from.

Zhang et al. 2024, arXiv:2411.18104. Ours: the splits, and dropping trivial results.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, MissingFile, child_seed, method, nearest, uniform
from genwright.core.task_file import read_jsonl
from genwright.synthesis.gates import fault
from genwright.synthesis.templates import (
    FIELD,
    Cue,
    SynthItem,
    Template,
    TemplateBank,
    Value,
    Wordings,
    render,
)
from genwright.verifiers.sql_query import run_query

SPLITS = ("train", "parameters", "phrasings", "structures")
TRAINED = 0.70
HELD_OUT = 0.15
TRIES = 60


def load_bank(path: str | Path, database: str | Path) -> TemplateBank:
    """Read a bank; lists given as queries are asked of the database.

    Raises:
        MissingFile: no such bank or database.
        InvalidArgument: a template with a field that nothing defines.
    """
    if not Path(path).exists():
        raise MissingFile(f"load_bank: there is no bank {path}; give the path of a TOML file.")
    data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    values = {name: _values(entry, str(database)) for name, entry in data["values"].items()}
    phrases = {name: _wordings(entry) for name, entry in data.get("phrases", {}).items()}
    cues = tuple(Cue(question=q, answer=a) for q, a in data.get("cues", {}).items())
    templates = (_template(t, values, phrases, str(database)) for t in data["template"])
    return TemplateBank(tuple(templates), cues)


def _values(entry: Mapping[str, Any], database: str) -> tuple[Value, ...]:
    """Read one list: `list`, `range` or `query`, and single values with their words."""
    words = {k: v for k, v in entry.items() if k not in ("list", "range", "query")}
    plain: list[Any] = list(entry.get("list", ()))
    if "range" in entry:
        first, last, *step = entry["range"]
        plain += range(first, last + 1, *step)
    if "query" in entry:
        plain += [row[0] for row in _listed(entry["query"], database)]
    named = {str(value): str(value) for value in plain} | words
    return tuple(
        Value(answer, (said,) if isinstance(said, str) else tuple(said))
        for answer, said in named.items()
    )


def _listed(query: str, database: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query that lists values."""
    result = run_query(database, query)
    if result.error:
        raise InvalidArgument(f"load_bank: the list {query!r} failed: {result.error}.")
    return list(result.rows)


def _wordings(entry: Mapping[str, Any]) -> Wordings:
    return Wordings(train=tuple(entry["train"]), held_out=tuple(entry.get("held_out", ())))


def _template(
    entry: Mapping[str, Any],
    values: Mapping[str, tuple[Value, ...]],
    phrases: Mapping[str, Wordings],
    database: str,
) -> Template:
    """Make one template, with the values and phrases that its fields name."""
    frames = _wordings(entry)
    used = {name for frame in frames.all() for name in FIELD.findall(frame)} & phrases.keys()
    parameters: dict[str, tuple[Value, ...]] = {}
    for name in FIELD.findall(entry["sql"]):
        known = values.get(name.rstrip("0123456789"))
        if known is None:
            hint = nearest(name, list(values))
            raise InvalidArgument(
                f"Template {entry['name']}: [values] has no list for {{{name}}}.{hint}"
            )
        parameters[name] = known
    return Template(
        name=entry["name"],
        structure=entry["structure"],
        answer=entry["sql"],
        frames=frames,
        parameters=parameters,
        phrases={name: phrases[name] for name in sorted(used)},
        constraints=tuple(entry.get("constraints", ())),
        allowed={
            tuple(group["of"]): frozenset(
                tuple(str(value) for value in row) for row in _listed(group["query"], database)
            )
            for group in entry.get("allowed", ())
        },
        held_out=entry.get("split") == "structures",
    )


def split_of(sql: str) -> str:
    """Return the split a query of a trained template belongs to; its text alone decides."""
    u = uniform(0, "split of a query", sql)
    return "train" if u < TRAINED else "parameters" if u < TRAINED + HELD_OUT else "phrasings"


@dataclass(frozen=True)
class Drawn:
    """Questions drawn from a bank, and how many were dropped for each reason."""

    items: tuple[SynthItem, ...]
    dropped: Mapping[str, int]


def draw_questions(
    bank: TemplateBank, database: str | Path, *, split: str, n: int, seed: int
) -> Drawn:
    """Draw up to n questions, evenly over the templates; no question and no held-out query twice.

    Args:
        bank: templates whose answers are queries.
        database: SQLite or DuckDB file; every query is executed on it.
        split: one of `SPLITS`.
        n: how many; fewer come back when the templates are exhausted.
        seed: the same seed gives the same questions.

    Raises:
        InvalidArgument: an unknown split.
    """
    if split not in SPLITS:
        hint = nearest(split, list(SPLITS))
        raise InvalidArgument(
            f"draw_questions: split must be one of {SPLITS}, got {split!r}.{hint}"
        )
    left = [*bank.only(held_out=split == "structures")]
    if split == "phrasings":
        left = [template for template in left if template.frames.held_out]
    items: list[SynthItem] = []
    dropped: Counter[str] = Counter()
    used: set[str] = set()
    turn = 0
    while left and len(items) < n:
        order = sorted(left, key=lambda t, turn=turn: uniform(seed, split, "order", turn, t.name))
        for template in order:
            item = _next(
                template, str(database), split, child_seed(seed, split, turn), used, dropped
            )
            if item is None:
                left.remove(template)
            elif len(items) < n:
                items.append(item)
        turn += 1
    return Drawn(tuple(items), dict(dropped))


def _next(
    template: Template,
    database: str,
    split: str,
    seed: int,
    used: set[str],
    dropped: Counter[str],
) -> SynthItem | None:
    """Draw one new question of a template, or None when many draws gave nothing new."""
    for attempt in range(TRIES):
        item = render(
            template,
            child_seed(seed, template.name, attempt),
            held_out_wording=split == "phrasings",
        )
        if split != "structures" and split_of(item.answer) != split:
            continue
        keys = {item.question} if split == "train" else {item.question, item.answer}
        if keys & used:
            dropped["asked before"] += 1
            continue
        used |= keys
        reason = fault(database, item.answer)
        if reason is None:
            return item
        dropped[reason] += 1
    return None


@method(paper="arXiv:2411.18104")
@dataclass(frozen=True, kw_only=True)
class TemplateQuestions:
    """Questions with checked queries, drawn from a bank of templates.

    Args:
        database: SQLite or DuckDB file.
        bank: path of a TOML bank, `"flights"` for the bank that comes with genwright, or `"schema"`
            for templates made from the database's own schema.
        split: `"train"`, `"parameters"`, `"phrasings"` or `"structures"`.
        n: how many.
        seed: the same seed gives the same questions.
    """

    database: str
    bank: str = "schema"
    split: str = "train"
    n: int = 100
    seed: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a question: question, sql, template, phrasing, structure, split."""
        bank = open_bank(self.bank, self.database)
        drawn = draw_questions(bank, self.database, split=self.split, n=self.n, seed=self.seed)
        return [question_row(item, self.split) for item in drawn.items]


@method(paper="arXiv:2411.18104")
@dataclass(frozen=True, kw_only=True)
class HeldOutQuestions:
    """Questions that training never sees, of several splits one after the other.

    Args:
        database: SQLite or DuckDB file.
        bank: as for `TemplateQuestions`.
        splits: which; `structures` is left out where the bank holds no template apart.
        n: how many of each.
        seed: the same seed gives the same questions.
        questions: a JSONL file of the user's own rows with `question` and `sql`; they make a last
            group called `yours`.
    """

    database: str
    bank: str = "schema"
    splits: tuple[str, ...] = ("parameters", "phrasings", "structures")
    n: int = 24
    seed: int = 1
    questions: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of every split, as `TemplateQuestions` makes them."""
        source = TemplateQuestions(database=self.database, bank=self.bank, n=self.n, seed=self.seed)
        made = [row for split in self.splits for row in replace(source, split=split).rows()]
        yours = read_jsonl(Path(self.questions)) if self.questions else ()
        return made + [{**row, "split": "yours"} for row in yours]


def question_row(item: SynthItem, split: str) -> dict[str, Any]:
    """The item as a row whose answer is called `sql`."""
    row = item.row()
    return {"question": row["question"], "sql": row.pop("answer"), **row, "split": split}


def open_bank(bank: str, database: str | Path) -> TemplateBank:
    """Return the bank a name or path stands for."""
    if bank == "flights":
        return load_bank(Path(__file__).with_name("flights_templates.toml"), database)
    if bank == "schema":
        from genwright.synthesis.schema_templates import schema_templates

        return schema_templates(database)
    return load_bank(bank, database)
