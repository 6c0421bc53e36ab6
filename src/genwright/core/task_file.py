"""Task files: what is wanted, how it is checked, and what may be spent, in one TOML file.

Every table that names a `method` is handed to the registry. Two kinds of names may stand in braces
inside any string:

* names of `[data]`, such as `{database}`: files beside the task file, the same for every prompt;
* fields of the prompt's row, such as `{sql}`: the verifier, further checks and steering that name
  one are made anew for each prompt.

A string that is nothing but `"{sql}"` takes the field as it is (a number stays a number).
"""

import gzip
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genwright.core.cost import Budget
from genwright.core.errors import MissingFile, TaskFileError, nearest
from genwright.core.registry import build, slot_of
from genwright.core.task import Task

_NAME = re.compile(r"\{(\w+)\}")


class _Table(BaseModel):
    """A table without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MethodTable(BaseModel):
    """A method by name, with its settings as further keys (`genwright methods` lists them)."""

    model_config = ConfigDict(extra="allow", frozen=True)
    method: str = Field(description="registered name of the method")


class BudgetTable(_Table):
    """A limit on any field of a cost; what is left out is not limited."""

    draws: int | None = Field(None, ge=0, description="finished draws")
    prompt_tokens: int | None = Field(None, ge=0, description="tokens read")
    new_tokens: int | None = Field(None, ge=0, description="tokens written")
    network_evaluations: int | None = Field(None, ge=0, description="rows evaluated by a network")
    verifier_calls: int | None = Field(None, ge=0, description="draws checked")
    seconds: float | None = Field(None, ge=0, description="seconds of wall time")
    money: float | None = Field(None, ge=0, description="in the currency of the given prices")
    joules: float | None = Field(None, ge=0, description="energy, measured or estimated")

    def budget(self) -> Budget:
        """Return the limits as a `Budget`."""
        return Budget(**self.model_dump())


class PromptsTable(_Table):
    """Where the prompts come from: exactly one of `rows`, `file` and `source`."""

    rows: list[dict[str, Any]] | None = Field(None, description="the rows, written out")
    file: str | None = Field(None, description="a JSONL file (.jsonl or .jsonl.gz), a row a line")
    source: MethodTable | None = Field(None, description="a registered source of rows")
    template: str = Field("{question}", description="the prompt, with fields of the row in braces")
    group: str = Field("", description="field by which results are shown apart")
    limit: int | None = Field(None, ge=1, description="use only the first rows")

    @model_validator(mode="after")
    def _one_origin(self) -> "PromptsTable":
        given = [n for n in ("rows", "file", "source") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of rows, file and source, got {given or 'none'}")
        return self


class ImproveTable(_Table):
    """How `genwright improve` makes the generator better."""

    data: PromptsTable = Field(description="training rows; the template makes the prompt")
    completion: str = Field(description="the wanted draw, with fields of the row in braces")
    learner: MethodTable = Field(description="what changes the weights")
    rounds: int = Field(1, ge=0, description="rounds of expert iteration after the first training")
    round_prompts: int = Field(64, ge=1, description="training prompts sampled in each round")
    round_draws: int = Field(4, ge=1, description="draws for each of them")
    round_learner: MethodTable | None = Field(
        None, description="what trains on the accepted draws; `learner` where it is left out"
    )
    arms: list[Literal["free", "steered", "full"]] = Field(
        default=["free", "steered", "full"],
        description="what is measured before and after: one free draw, one steered draw, "
        "the whole strategy",
    )


class TaskFile(_Table):
    """A task file, read and checked. `TaskFile.load(path)` reads one."""

    name: str = Field(pattern=r"^[\w.-]+$", description="names the task's runs and models")
    description: str = Field("", description="for people")
    seed: int = Field(0, ge=0, description="every random choice derives from it")
    workers: int = Field(8, ge=1, description="prompts in flight; changes no draw")
    data: dict[str, str | MethodTable] = Field(
        default={}, description="files beside the task file, or methods that make them, by name"
    )
    generator: MethodTable = Field(description="what is sampled from")
    prompts: PromptsTable = Field(description="what is asked")
    steering: list[MethodTable] = Field(
        default=[],
        description="what every draw must obey; fields of the row may stand in braces",
    )
    verifier: MethodTable | None = Field(
        None, description="what checks a draw; fields of the row may stand in braces"
    )
    metrics: dict[str, MethodTable] = Field(
        default={},
        description="further checks of the chosen draw, whose scores are recorded with the outcome "
        "and reported beside the verdict; fields of the row may stand in braces",
    )
    strategy: MethodTable = Field(
        default=MethodTable(method="single"), description="how the budget is spent"
    )
    budget: BudgetTable = Field(BudgetTable(), description="limits for each prompt")  # pyright: ignore
    run_budget: BudgetTable = Field(BudgetTable(), description="limits for the run")  # pyright: ignore
    improve: ImproveTable | None = Field(None, description="how to make the generator better")
    path: Path = Field(default=Path(), exclude=True, description="where it was read from")

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, raw: Any) -> Any:
        """`[steering]` may be one table or a list of them."""
        if isinstance(raw, dict):
            table = cast("dict[str, Any]", raw)
            if isinstance(table.get("steering"), dict):
                return table | {"steering": [table["steering"]]}
        return cast("Any", raw)

    @classmethod
    def load(cls, path: str | Path) -> "TaskFile":
        """Read and check a task file.

        Raises:
            MissingFile: no such file.
            TaskFileError: a wrong key, type or value; the message names line, key and nearest name.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingFile(f"no task file {str(path)!r}.{_neighbours(path)}")
        text = path.read_text(encoding="utf-8")
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TaskFileError(f"{path}: not valid TOML: {error}.") from error
        try:
            return cls.model_validate(raw | {"path": path.resolve()})
        except ValidationError as error:
            raise TaskFileError(_explain(error, path, text, cls)) from None

    def build(self, slot: str, table: MethodTable, row: Mapping[str, Any] | None = None) -> Any:
        """Make the method of a table, with names of `[data]` and of the row filled in.

        Raises:
            TaskFileError: an unknown method or key; the message names the line.
        """
        fields = {**self.files(), **(row or {})}
        try:
            return build(slot, fill(table.model_dump(), fields, strict=row is not None))
        except TaskFileError as error:
            line = _line(self.path.read_text(encoding="utf-8"), (slot, "method"), table.method)
            raise TaskFileError(f"{self.path.name}:{line}: {error}") from None

    def files(self) -> dict[str, str]:
        """Return `[data]`: paths relative to the task file, made by their method where absent."""
        found: dict[str, str] = {}
        for name, entry in self.data.items():
            if isinstance(entry, str):
                found[name] = str((self.path.parent / entry).resolve())
                if not Path(found[name]).exists():
                    raise MissingFile(
                        f"{self.path.name}: [data] {name} = {entry!r}: there is no {found[name]}."
                        f"{_neighbours(Path(found[name]))}"
                    )
            else:
                table = fill(entry.model_dump(), found, strict=False)
                table["path"] = str((self.path.parent / table["path"]).resolve())
                found[name] = str(build("loader", table)())
        return found

    def rows(self, prompts: PromptsTable | None = None) -> list[dict[str, Any]]:
        """Return the rows of `[prompts]`, or of another table of that kind."""
        prompts = prompts or self.prompts
        if prompts.source is not None:
            rows = list(self.build("source", prompts.source).rows())
        elif prompts.file is not None:
            rows = list(read_jsonl(self.path.parent / prompts.file))
        else:
            rows = prompts.rows or []
        return rows[: prompts.limit]

    def tasks(
        self, prompts: PromptsTable | None = None, rows: Iterable[Mapping[str, Any]] | None = None
    ) -> list[Task[Any]]:
        """Return one `Task` a row, its checks made for the row, keyed by a hash of the prompt."""
        prompts, files = prompts or self.prompts, self.files()
        tasks: list[Task[Any]] = []
        seen: dict[str, int] = {}
        rows = self.rows(prompts) if rows is None else list(rows)
        steering = self.steered_by_row(rows)
        for row in rows:
            prompt = self._prompt(prompts.template, {**files, **row})
            group = str(row.get(prompts.group, "")) if prompts.group else ""
            digest = blake2b(f"{group}\n{prompt}".encode(), digest_size=6).hexdigest()
            key = f"{group}/{digest}" if group else digest
            seen[key] = seen.get(key, 0) + 1
            key += f"-{seen[key]}" if seen[key] > 1 else ""  # the same prompt twice
            verifier = self.verifier and self.build("verifier", self.verifier, row)
            constraints = [self.build(_steers(table), table, row) for table in steering]
            checks = {n: self.build("verifier", t, row) for n, t in self.metrics.items()}
            tasks.append(Task(prompt, verifier, key, dict(row), constraints, checks))
        return tasks

    def constraints(self, rows: Iterable[Mapping[str, Any]] = ()) -> list[Any]:
        """Make the steering that is the same for every row: the tables that name no field of one.

        Raises:
            TaskFileError: a table whose value is a name that neither `[data]` nor the rows have.
        """
        by_row = self.steered_by_row(rows)
        return [self.build(_steers(t), t, {}) for t in self.steering if t not in by_row]

    def steered_by_row(self, rows: Iterable[Mapping[str, Any]] | None = None) -> list[MethodTable]:
        """Return the tables of `[steering]` that name a field of rows (or of those of `[prompts]`).

        Such a table is built anew for each prompt, the others once (`constraints`).
        """
        names = [set(_NAME.findall(t.model_dump_json())) - self.data.keys() for t in self.steering]
        if not any(names):
            return []
        fields = {field for row in (self.rows() if rows is None else rows) for field in row}
        return [table for table, named in zip(self.steering, names, strict=True) if named & fields]

    def _prompt(self, template: str, fields: Mapping[str, Any]) -> Any:
        """Fill a prompt's template. A name in braces that is nearly a field's is a mistake."""
        for name in _NAME.findall(template):
            hint = "" if name in fields else nearest(name, list(fields))
            if hint:
                text = self.path.read_text(encoding="utf-8")
                line = _line(text, ("prompts", "template"), name)
                raise TaskFileError(
                    f"{self.path.name}:{line}: template: no field is called {name!r}.{hint}"
                )
        return fill(template, fields, strict=True)

    def budgets(self) -> tuple[Budget, Budget]:
        """Return the budget of each prompt and of the run."""
        return self.budget.budget(), self.run_budget.budget()


def _steers(table: MethodTable) -> str:
    """Return the slot of a table of `[steering]`: constraint, or shaper where it names one."""
    try:
        return "shaper" if slot_of(table.method) == "shaper" else "constraint"
    except TaskFileError:  # said again, with what there is
        return "constraint"


def fill(value: Any, fields: Mapping[str, Any], *, strict: bool) -> Any:
    """Put fields in the place of their names in braces, all through a nested value.

    Args:
        value: text, or tables and lists of text.
        fields: name -> what stands for it.
        strict: whether a text that is nothing but an unknown name in braces is an error.

    Raises:
        TaskFileError: an unknown name.
    """
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value).items()
        return {k: fill(v, fields, strict=strict) for k, v in pairs}
    if isinstance(value, list):
        return [fill(item, fields, strict=strict) for item in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    alone = _NAME.fullmatch(value)
    if alone and alone[1] in fields:
        return fields[alone[1]]
    if alone and strict:
        names = list(fields)
        raise TaskFileError(
            f"nothing is called {value}; there are: {', '.join(names)}.{nearest(alone[1], names)}"
        )
    return _NAME.sub(lambda m: str(fields[m[1]]) if m[1] in fields else m[0], value)


def read_jsonl(path: Path) -> Iterable[dict[str, Any]]:
    """Yield the rows of a .jsonl or .jsonl.gz file.

    Raises:
        MissingFile: no such file.
        TaskFileError: a line that is not a JSON object; the message names it.
    """
    if not path.is_file():
        raise MissingFile(f"no file {str(path)!r}.{_neighbours(path)}")
    reader = gzip.open if path.suffix == ".gz" else open
    with reader(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise TaskFileError(f"{path.name}:{number}: not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise TaskFileError(f"{path.name}:{number}: a row must be a JSON object.")
            yield cast("dict[str, Any]", row)


def find_task(name: str, folders: Iterable[Path] = (Path("tasks"), Path())) -> Path:
    """Return the path of a task file given by path or by name (`flights` -> `tasks/flights.toml`).

    Raises:
        MissingFile: nowhere; the message lists the tasks that are there.
    """
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    folders = list(folders)
    for folder in folders:
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    names = sorted({p.stem for folder in folders for p in folder.glob("*.toml")} - {"pyproject"})
    there = f"there are: {', '.join(names)}" if names else "there are no task files here"
    raise MissingFile(f"no task is called {name!r}; {there}.{nearest(name, names)}")


def _neighbours(path: Path) -> str:
    """Suggest a file of the same folder with a similar name."""
    if not path.parent.is_dir():
        return f" The folder {str(path.parent)!r} does not exist."
    return nearest(path.name, [p.name for p in path.parent.iterdir()])


def _explain(error: ValidationError, path: Path, text: str, model: type[BaseModel]) -> str:
    """Turn pydantic's findings into one line each: file, line, key, what is allowed."""
    lines: list[str] = []
    for found in error.errors():
        where = tuple(str(part) for part in found["loc"])
        key = ".".join(where) or "the file"
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            allowed = _keys_at(model, where[:-1])
            message = f"unknown key; allowed: {', '.join(allowed)}.{nearest(where[-1], allowed)}"
        elif found["type"] == "missing":
            message = "is required"
        elif found["type"] not in ("value_error",):
            message = f"{message}, got {found['input']!r}"
        lines.append(f"{path.name}:{_line(text, where, '')}: {key}: {message}")
    return "\n".join(lines)


def _keys_at(model: type[BaseModel], where: tuple[str, ...]) -> list[str]:
    """Return the keys a nested model allows."""
    for part in where:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        models = [
            a
            for a in (annotation, *getattr(annotation, "__args__", ()))
            if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if not models:
            return []
        model = models[0]
    return [n for n, f in model.model_fields.items() if not f.exclude]


def _line(text: str, where: tuple[str, ...], value: str) -> int:
    """Return the line of a key: its own, else its table's, else 1. `value` narrows it down."""
    tables = [w for w in where if not w.isdigit()]
    best, current = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            current = header[1]
            if tables and current == ".".join(tables[: current.count(".") + 1]):
                best = number
            continue
        prefix = current.split(".") if current else []
        if key := re.match(r"\s*([\w.\"-]+)\s*=", line):
            full = [*prefix, *key[1].replace('"', "").split(".")]
            if full == tables and (not value or value in line):
                return number
            if full == tables[: len(full)]:
                best = number
    return best
