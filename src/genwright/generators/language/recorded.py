"""Draws that somebody else's model made and a file recorded, served like any other draws.

Choose it to measure how draws are chosen (voting, verification, stopping early) at the strength of
a large model without running one. Every prompt has a fixed set of draws; a seed puts them into an
order, and draw k is the k-th of that order: drawing is without replacement, so that n draws of
n recorded ones are the whole record, and estimates over seeds are those of the record itself.

Ours: draws of one seed are not independent, as a model's are (none comes twice), and draw k
depends on the seed as a whole rather than on `child_seed(seed, k)`. No tokens are counted: budgets
in draws apply.
"""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, MissingFile, Samples, child_seed, method, nearest


@method()
@dataclass(frozen=True, kw_only=True)
class RecordedGenerator:
    """Serve recorded draws, without replacement, in an order that the seed decides.

    Args:
        path: a JSONL file, gzipped where its name ends in `.gz`.
        rows: the rows themselves, instead of a file.
        prompt_field: the field that holds the prompt. Rows with equal prompts are joined, in order.
        values_field: the field that holds the draws: a list, or a single draw.
        value_field: where each draw of the list is a table, the field of it that is the value; its
            other fields become the draw's `info`.
        info_fields: fields of the row that say something of each draw, such as whether it was
            right; they go into `info`. A list as long as the draws is shared out among them.
        where: keeps the rows whose fields have these values, such as one model's draws.

    Raises:
        InvalidArgument: both or neither of `path` and `rows`.
    """

    path: str | Path = ""
    rows: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    prompt_field: str = "prompt"
    values_field: str = "completions"
    value_field: str = ""
    info_fields: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if bool(str(self.path)) == bool(len(self.rows)):
            raise InvalidArgument("RecordedGenerator: give either path or rows.")

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return draws `first` to `first + n - 1` of the order that `seed` decides.

        Raises:
            InvalidArgument: a prompt without a record, more draws than it holds, or a row without
                a field.
            MissingFile: no file at `path`.
        """
        key = _key(prompt)
        if key not in self._record:
            raise InvalidArgument(
                f"RecordedGenerator: no record of the prompt {str(prompt)[:80]!r}; there are "
                f"{len(self._record)} prompts, from the field {self.prompt_field!r}."
            )
        draws = self._record[key][1]
        if n < 0 or first < 0 or first + n > len(draws):
            raise InvalidArgument(
                f"RecordedGenerator: draws {first} to {first + n - 1} were asked for, but the "
                f"prompt {str(prompt)[:80]!r} has {len(draws)} recorded; ask for fewer."
            )
        chosen = [draws[i] for i in _order(child_seed(seed, key), len(draws))[first : first + n]]
        return Samples([value for value, _ in chosen], info=[dict(info) for _, info in chosen])

    @property
    def prompts(self) -> list[Any]:
        """Every prompt that has a record, in the order of the rows."""
        return [prompt for prompt, _ in self._record.values()]

    def held(self, prompt: Any) -> int:
        """Return how many draws of a prompt there are; 0 where it has no record."""
        return len(self._record.get(_key(prompt), (prompt, []))[1])

    @cached_property
    def _record(self) -> dict[str, tuple[Any, list[tuple[Any, dict[str, Any]]]]]:
        """Prompts by key, each with its draws and their evidence."""
        rows = _read(Path(self.path)) if str(self.path) else self.rows
        record: dict[str, tuple[Any, list[tuple[Any, dict[str, Any]]]]] = {}
        for number, row in enumerate(rows, start=1):
            wanted = (self.prompt_field, self.values_field, *self.info_fields, *self.where)
            for name in wanted:
                if name not in row:
                    raise InvalidArgument(
                        f"RecordedGenerator: row {number} has no field {name!r}; it has: "
                        f"{', '.join(row)}.{nearest(name, list(row))}"
                    )
            if any(row[name] != value for name, value in self.where.items()):
                continue
            prompt = row[self.prompt_field]
            draws = record.setdefault(_key(prompt), (prompt, []))[1]
            draws.extend(self._draws(row, number))
        return record

    def _draws(self, row: Mapping[str, Any], number: int) -> list[tuple[Any, dict[str, Any]]]:
        """Return the draws of one row with their evidence."""
        found = row[self.values_field]
        values = found if isinstance(found, list) else [found]
        draws: list[tuple[Any, dict[str, Any]]] = []
        for i, value in enumerate(values):
            info: dict[str, Any] = {"row": number, "draw": i}
            for name in self.info_fields:
                column = row[name]
                shared = isinstance(column, list) and len(column) == len(values)
                info[name] = column[i] if shared else column
            if self.value_field:
                if not isinstance(value, Mapping) or self.value_field not in value:
                    raise InvalidArgument(
                        f"RecordedGenerator: draw {i} of row {number} has no field "
                        f"{self.value_field!r}, which value_field names."
                    )
                info |= {k: v for k, v in value.items() if k != self.value_field}
                value = value[self.value_field]
            draws.append((value, info))
        return draws


def _read(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a JSONL file."""
    if not path.is_file():
        raise MissingFile(f"RecordedGenerator: no file at {path}; path names a JSONL file.")
    rows: list[Mapping[str, Any]] = []
    number = 0
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(_row(line, f"{path}, line {number}"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}, after line {number}: {error}.") from error
    return rows


def _open(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidArgument(f"{where}: {error}.") from error
    if not isinstance(row, dict):
        raise InvalidArgument(f"{where}: not a JSON object.")
    return row


def _key(prompt: Any) -> str:
    """Return the same text for equal JSON-like prompts."""
    if isinstance(prompt, str):
        return prompt
    return json.dumps(prompt, sort_keys=True, default=str)


@lru_cache(maxsize=256)
def _order(seed: int, size: int) -> tuple[int, ...]:
    """Return a permutation of `range(size)`: each equally likely, but for equal 63-bit numbers."""
    return tuple(sorted(range(size), key=lambda i: child_seed(seed, i)))
