"""The laws of sources: what makes the rows of a task's prompts."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from genwright.testing.contracts.sentences import is_json, law


class Source(Protocol):
    """What fills the slot `source`."""

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows."""
        ...


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """A source, set to make a few rows.

    Args:
        make: returns the source.
        other: returns the source with another seed; None where it takes none.
        columns: fields that every row has.
    """

    make: Callable[[], Source]
    other: Callable[[], Source] | None
    columns: tuple[str, ...]


def rows_are_json_tables(case: SourceCase) -> None:
    """A template and a ledger can use them; there is at least one."""
    rows = list(case.make().rows())
    law(len(rows) > 0, "a source must make at least one row.")
    for row in rows:
        table: Any = row
        law(isinstance(table, dict), f"a row must be a dict, got {type(table).__name__}.")
        law(
            is_json(row) and all(isinstance(key, str) for key in row),
            f"a row must be JSON-like with texts as keys, got {row!r:.200}.",
        )


def every_row_has_the_columns(case: SourceCase) -> None:
    """A task file names them."""
    for row in case.make().rows():
        lacking = [name for name in case.columns if name not in row]
        law(not lacking, f"a row lacks {lacking}; it has {list(row)}.")


def the_same_seed_gives_the_same_rows(case: SourceCase) -> None:
    """From one source twice, and from an equal one."""
    source = case.make()
    first = _texts(source)
    for which, again in (("the same source", source), ("an equal one", case.make())):
        law(_texts(again) == first, f"{which} must give the same rows in the same order again.")


def another_seed_gives_other_rows(case: SourceCase) -> None:
    """Where there is a seed."""
    if case.other is not None:
        law(_texts(case.other()) != _texts(case.make()), "another seed gave the same rows.")


def rows_belong_to_who_asked_for_them(case: SourceCase) -> None:
    """Changing a row changes no row of the next call."""
    source = case.make()
    first = _texts(source)
    for row in source.rows():
        cast("dict[str, Any]", row).clear()
    law(_texts(source) == first, "a change of returned rows changed the rows of the next call.")


def _texts(source: Source) -> list[str]:
    return [json.dumps(row, default=repr) for row in source.rows()]


LAWS: tuple[Callable[[Any], None], ...] = (
    rows_are_json_tables,
    every_row_has_the_columns,
    the_same_seed_gives_the_same_rows,
    another_seed_gives_other_rows,
    rows_belong_to_who_asked_for_them,
)
