"""Showing results: for people as rich tables on a terminal, for machines as one JSON object."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
LedgerPath = Annotated[
    Path,
    typer.Option("--ledger", envvar="GENWRIGHT_LEDGER", help="The file that holds every run."),
]
DEFAULT_LEDGER = Path("runs/ledger.sqlite")

console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)


def emit_json(data: Any) -> None:
    """Print one JSON object to standard output."""
    print(json.dumps(data, default=_plain, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; columns whose cells are all numbers stand to the right.

    A cell is shown as it is, never read as markup: [data] is data; a `Text` keeps its style.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    made = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    for i, name in enumerate(columns):
        numbers = bool(cells) and all(_is_number(row[i].plain) for row in cells)
        made.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        made.add_row(*row)
    return made


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    return Text("" if value is None else str(value))


def _is_number(text: str) -> bool:
    return not text or text.replace(",", "").replace(".", "").replace("%", "").strip("-").isdigit()


def readable(value: Any) -> Any:
    """Return a draw as a line of a table shows it: an array by its shape, all else as it is."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        shape = " x ".join(map(str, value.shape)) or "scalar"
        return f"array of {shape}, {value.dtype}"
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    return str(readable(value))
