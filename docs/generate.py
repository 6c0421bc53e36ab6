"""Writes what the documentation derives from the code.

    python docs/generate.py          write
    python docs/generate.py --check  say which pages differ from the code, and exit with 1

A page keeps its own text; what stands between `<!-- generated: NAME -->` and `<!-- /generated -->`
is replaced. The pages of `reference/` are written whole, one a room. `mkdocs.yml` lists them, and
whatever pages there are in `methods/`.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from genwright.core import AMOUNTS, GenwrightError, Ledger, Stop, errors, methods
from genwright.core.registry import SLOTS
from genwright.core.task_file import (
    BudgetTable,
    ImproveTable,
    MethodTable,
    PromptsTable,
    TaskFile,
)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ROOMS = (
    "core",
    "nets",
    "generators",
    "steering",
    "verifiers",
    "search",
    "programs",
    "synthesis",
    "learning",
    "assurance",
    "serving",
    "claims",
    "cli",
    "testing",
)
_MARKED = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_LISTED = re.compile(r"(( *)# generated: ([\w-]+)\n).*?( *# /generated\n)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Return every page that is generated, wholly or in part, with the text it should have."""
    wanted = {**dict(reference()), ROOT / "mkdocs.yml": navigation()}
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if "<!-- generated: " in text and page not in wanted:
            wanted[page] = _MARKED.sub(lambda m: f"{m[1]}\n{PARTS[m[2]]().strip()}\n\n{m[3]}", text)
    return wanted


def navigation() -> str:
    """Return `mkdocs.yml` with a line for each page of `methods/` and of `reference/`."""
    found = {
        "methods": sorted(path.stem for path in (DOCS / "methods").glob("*.md")),
        "reference": [page.stem for page, _ in reference()],
    }

    def lines(match: re.Match[str]) -> str:
        listed = (f"{match[2]}- {name}: {match[3]}/{name}.md\n" for name in found[match[3]])
        return match[1] + "".join(listed) + match[4]

    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return _LISTED.sub(lines, text)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def demo() -> str:
    """Return the table of measurements that the README shows."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- demo -->\n(.*?)<!-- /demo -->", readme, re.DOTALL)
    measured = found[1].strip() if found else ""
    return measured or "No measurement is recorded in `README.md`; `make demo` prints one."


def task_file() -> str:
    """Return the keys of a task file, table by table, from the pydantic models."""
    titles: dict[str, type[BaseModel]] = {
        "At the top": TaskFile,
        "`[prompts]` and `[improve.data]`": PromptsTable,
        "`[budget]` and `[run_budget]`": BudgetTable,
        "`[improve]`": ImproveTable,
        "A table that names a method": MethodTable,
    }
    parts: list[str] = []
    for title, model in titles.items():
        rows = [
            [f"`{name}`", _type(field.annotation), _default(field), field.description or ""]
            for name, field in model.model_fields.items()
            if not field.exclude
        ]
        said = (model.__doc__ or "").strip().partition("\n")[0]
        parts += [f"### {title}", said, table(["key", "type", "default", "meaning"], rows)]
    return "\n\n".join(parts)


def own_methods():
    """Return genwright's own methods: whatever else this process registered is not documented."""
    return [m for m in methods() if m.cls.__module__.startswith("genwright.")]


def slots() -> str:
    """Return the slots and the names that can fill them."""
    rows = [
        [slot, ", ".join(f"`{m.name}`" for m in own_methods() if m.slot == slot)] for slot in SLOTS
    ]
    return table(["slot", "methods"], [row for row in rows if row[1]])


def method_tables() -> str:
    """Return the registered methods, slot by slot, with reference and first sentence."""
    parts: list[str] = []
    for slot, call in SLOTS.items():
        rows = [
            [
                f"[`{m.name}`][{m.cls.__module__}.{m.cls.__qualname__}]",
                _paper(m.paper),
                re.sub(r"\[(\w+)\]", r"\\[\1\\]", m.summary),
            ]
            for m in own_methods()
            if m.slot == slot
        ]
        if rows:
            parts += [f"## {slot}", f"Has `{call}`.", table(["name", "reference", "does"], rows)]
    return "\n\n".join(parts)


def cli() -> str:
    """Return what `--help` says of every command."""
    import typer.main

    from genwright.cli.main import app

    return "\n\n".join(_command(("genwright",), typer.main.get_command(app)))


def schema() -> str:
    """Return the tables of a new ledger."""
    parts: list[str] = []
    with Ledger() as book:
        for (name,) in book.read(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
        ):
            rows: list[list[str]] = []
            cost = False
            for column in book.read(f"PRAGMA table_info({name})"):
                if column["name"] in (*AMOUNTS, "joules_by"):
                    cost = True
                    continue
                nulls = "" if column["notnull"] or column["pk"] else "may be NULL"
                meaning = COLUMNS[name, column["name"]]
                rows.append([f"`{column['name']}`", column["type"].lower(), nulls, meaning])
            if cost:
                fields = ", ".join(f"`{field}`" for field in (*AMOUNTS, "joules_by"))
                rows.append([fields, "number", "", "what it took: the fields of `Cost`"])
            parts += [f"### `{name}`", table(["column", "type", "", "meaning"], rows)]
    return "\n\n".join(parts)


def error_table() -> str:
    """Return the tree of errors."""
    rows = [
        [f"`{cls.__name__}`", str(cls.exit_code), (cls.__doc__ or "").partition("\n")[0]]
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, GenwrightError)
    ]
    return table(["error", "exit code", "when"], rows)


def stops() -> str:
    """Return the reasons for which a strategy ends."""
    return table(["`Stop`", "what a user reads"], [[f"`{s.name}`", s.value] for s in Stop])


def reference() -> Iterator[tuple[Path, str]]:
    """Yield a page a room: each public module, by mkdocstrings."""
    for room in ROOMS:
        folder = ROOT / "src/genwright" / room
        names = [
            ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            for path in sorted(folder.rglob("*.py"))
            if not path.name.startswith("_")
        ]
        if names:
            listed = "\n\n".join(f"::: {name}" for name in names)
            yield (
                DOCS / "reference" / f"{room}.md",
                f"# genwright.{room}\n\nFrom the docstrings.\n\n{listed}\n",
            )


PARTS: dict[str, Callable[[], str]] = {
    "demo": demo,
    "task-file": task_file,
    "slots": slots,
    "methods": method_tables,
    "cli": cli,
    "schema": schema,
    "errors": error_table,
    "stops": stops,
}

COLUMNS = {
    ("runs", "id"): "ten hex digits, or the name that was given",
    ("runs", "name"): "for people",
    ("runs", "created"): "seconds since 1970, UTC",
    ("runs", "ended"): "seconds since 1970, UTC",
    ("runs", "spec"): "JSON: generator, strategy, budgets, tasks; without keys and passwords",
    ("runs", "seed"): "every random choice derives from it",
    ("runs", "state"): "running, finished, interrupted or failed",
    ("runs", "message"): "what ended it",
    ("runs", "environment"): "JSON: versions and machine",
    ("runs", "parent"): "the run it belongs to or continues",
    ("calls", "run"): "its run",
    ("calls", "task"): "key of the task",
    ("calls", "call"): "a hash of prompt, seed and steering: one row of draws",
    ("calls", "prompt"): "JSON: what was asked",
    ("calls", "seed"): "of the row of draws",
    ("calls", "steering"): "JSON: the constraints",
    ("draws", "id"): "in the order of recording",
    ("draws", "run"): "its run",
    ("draws", "task"): "key of the task",
    ("draws", "call"): "its row of draws",
    ("draws", "idx"): "which draw of the row, from 0",
    ("draws", "value"): "the draw",
    ("draws", "kind"): "how `value` is written: text, json, npy, scalar, torch",
    ("draws", "stacked"): "whether it was a row of one array",
    ("draws", "digest"): "equal values share it; joins `verdicts`",
    ("draws", "logprob"): "nats, under the unsteered generator",
    ("draws", "info"): "JSON: tokens, finish reason and the like",
    ("draws", "created"): "seconds since 1970, UTC",
    ("verdicts", "id"): "in the order of recording",
    ("verdicts", "run"): "its run",
    ("verdicts", "task"): "key of the task",
    ("verdicts", "verifier"): "a hash of what checked",
    ("verdicts", "digest"): "of the value that was checked",
    ("verdicts", "passed"): "1, 0, or NULL for undecided",
    ("verdicts", "score"): "in [0, 1]; NULL exactly when undecided",
    ("verdicts", "evidence"): "JSON: the failing test, the message",
    ("verdicts", "created"): "seconds since 1970, UTC",
    ("outcomes", "run"): "its run",
    ("outcomes", "task"): "key of the task",
    ("outcomes", "prompt"): "JSON: what was asked",
    ("outcomes", "data"): "JSON: the row the task was made from",
    ("outcomes", "chosen"): "the draw that the strategy stands by",
    ("outcomes", "other"): "JSON: the chosen value, where it is no recorded draw",
    ("outcomes", "samples"): "JSON: the draws that the strategy handed back",
    ("outcomes", "stop"): "why the strategy ended (`Stop`)",
    ("outcomes", "passed"): "of the chosen draw: 1, 0, or NULL for unchecked or undecided",
    ("outcomes", "score"): "of the chosen draw",
    ("outcomes", "verdict"): "JSON: its verdict",
    ("outcomes", "info"): "JSON: what the strategy reports (votes, counts)",
    ("outcomes", "created"): "seconds since 1970, UTC",
    ("items", "id"): "in the order of recording",
    ("items", "run"): "its run",
    ("items", "split"): "train, held_out and the like",
    ("items", "key"): "names the item within its split",
    ("items", "data"): "JSON: the row",
    ("items", "created"): "seconds since 1970, UTC",
    ("metrics", "id"): "in the order of recording",
    ("metrics", "run"): "its run",
    ("metrics", "name"): "such as loss",
    ("metrics", "step"): "from 0",
    ("metrics", "value"): "NULL where it was not finite",
    ("metrics", "created"): "seconds since 1970, UTC",
    ("learnt", "name"): "what it is about: a hash of model, prompt and constraints",
    ("learnt", "key"): "bytes: a prefix of tokens",
    ("learnt", "value"): "bytes: what may follow it, how likely",
    ("learnt", "created"): "seconds since 1970, UTC",
    ("migrations", "step"): "from 1",
    ("migrations", "name"): "of the change of schema",
    ("migrations", "applied"): "seconds since 1970, UTC",
}
"""What each column of a ledger means. A column without an entry stops the generator."""


def _type(annotation: Any) -> str:
    """Say a type in the words of TOML."""
    plain = {str: "string", int: "integer", float: "number", bool: "boolean", Any: "anything"}
    if annotation in plain:
        return plain[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(json.dumps(value) for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type(a) for a in inner if a is not type(None))
    if origin is list:
        return f"list of: {_type(inner[0])}"
    if origin is dict:
        return f"table of: {_type(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, MethodTable):
        return "table with `method`"
    return "table"


def _default(field: Any) -> str:
    """Return a default as TOML writes it."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined or value in ("", {}):
        return ""
    if isinstance(value, MethodTable):
        return f'`{{ method = "{value.method}" }}`'
    if isinstance(value, BaseModel):
        return "no limit"
    return f"`{json.dumps(value)}`"


def _paper(paper: str) -> str:
    """Return a reference as a link where it has an address."""
    for prefix, address in (("arXiv:", "https://arxiv.org/abs/"), ("doi:", "https://doi.org/")):
        if paper.startswith(prefix):
            return f"[{paper}]({address}{quote(paper.removeprefix(prefix))})"
    return f"[{paper.split('/')[2]}]({paper})" if paper.startswith("https://") else paper


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    """Yield the Markdown of a command and of those below it."""
    below = getattr(command, "commands", {})
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = [*path, "[OPTIONS]", *(_shown(a) for a in arguments), *(["COMMAND"] if below else [])]
    yield "#" * (len(path) + 1) + " `" + " ".join(path) + "`"
    yield " ".join((command.help or "").split())
    yield "```text\n" + " ".join(usage) + "\n```"
    types = get_type_hints(command.callback) if command.callback else {}
    rows = [
        [
            f"`{_shown(p) if p in arguments else ', '.join([*p.opts, *p.secondary_opts])}`",
            _option_type(types[p.name]),
            _option_default(p),
            p.help or "",
        ]
        for p in command.params
        if p.name != "help"
    ]
    if rows:
        yield table(["", "type", "default", "meaning"], rows)
    for name, sub in below.items():
        yield from _command((*path, name), sub)


def _shown(argument: Any) -> str:
    """Return an argument as usage lines write it."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _option_type(annotation: Any) -> str:
    """Say the type of a command's parameter."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    if get_origin(annotation) is list:
        return f"{_option_type(get_args(annotation)[0])}, one or more"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    return {bool: "switch", str: "text", Path: "path"}.get(annotation, annotation.__name__)


def _option_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value in ("", False) or callable(value):
        return ""
    said = f"`{value}`"
    return f"{said}, or `${parameter.envvar}`" if getattr(parameter, "envvar", None) else said


def main(check: bool) -> int:
    """Write the pages, or compare them; return the exit code."""
    wanted = pages()
    stale = [
        page
        for page, text in wanted.items()
        if not page.exists() or page.read_text(encoding="utf-8") != text
    ]
    for page in stale:
        print(page.relative_to(ROOT), "differs from the code" if check else "written")
        if not check:
            page.write_text(wanted[page], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
