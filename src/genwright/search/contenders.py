"""Strategies named on one line, such as `single,vote:key=math_key,b4`, made for a budget.

A name is that of a registered strategy or one of `SHORT`. Settings follow it as `:key=value`, with
values as TOML writes them; a bare word is a text, or a method where the setting holds one. What is
not set is taken from a table (a task file's `[strategy]`) where it fits, and counts of draws follow
from the budget: all of it to `n` or `k`, or half each to programs `n` and tests `m`.

Ours throughout.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import ceil
from typing import Any

from genwright.core import Budget, Strategy, TaskFileError, build, find
from genwright.core.registry import SLOTS

SHORT: Mapping[str, Mapping[str, Any]] = {
    "repeated": {"method": "repeated_sampling"},
    "vote": {"method": "majority_vote"},
    "best": {"method": "best_of_n"},
    "b4": {"method": "tested_selection", "selector": {"method": "b4"}},
    "codet": {"method": "tested_selection", "selector": {"method": "code_t"}},
    "beam": {"method": "step_beam"},
    "mcts": {"method": "step_mcts"},
}
"""Short names, and the tables they stand for."""

MANY = 10_000
"""Draws that a strategy may make where its budget is in something else."""

_COUNTS = ("n", "k")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A strategy by its table; called with a budget, it makes the strategy.

    Args:
        name: as it was written.
        table: `method` and settings.
    """

    name: str
    table: Mapping[str, Any]

    def __call__(self, budget: Budget) -> Strategy:
        """Make the strategy, its counts of draws set by the budget.

        Where the budget is not in draws, draws are made one at a time, so that it is looked at
        between any two of them.
        """
        known = {f.name for f in fields(find("strategy", str(self.table["method"])).cls)}
        most = MANY if budget.draws is None else max(1, budget.draws)
        filled: dict[str, Any] = {}
        if {"n", "m"} <= known:
            filled = {"n": ceil(most / 2), "m": max(1, most // 2)}
        elif count := next((name for name in _COUNTS if name in known), None):
            filled = {count: most}
        if budget.draws is None and "batch" in known:
            filled["batch"] = 1
        return build("strategy", filled | dict(self.table))


def contenders(line: str, like: Mapping[str, Any] | None = None) -> dict[str, Named]:
    """Read strategies from a line.

    Args:
        line: names and settings, separated by commas.
        like: a strategy's table, whose settings other than counts are taken over where they fit.

    Raises:
        TaskFileError: no name, one given twice, an unknown strategy, or a setting without a value.
    """
    found: dict[str, Named] = {}
    for word in filter(None, (part.strip() for part in _split(line, ","))):
        if word in found:
            raise TaskFileError(f"strategies: {word!r} is given twice.")
        name, *settings = _split(word, ":")
        table = dict(SHORT.get(name, {"method": name}))
        known = {f.name for f in fields(find("strategy", str(table["method"])).cls)}
        kept = {k: v for k, v in (like or {}).items() if k in known and k not in ("n", "m", "k")}
        same = (like or {}).get("method") == table["method"]
        kept = kept if same else {k: v for k, v in kept.items() if k in SLOTS}
        given = dict(_setting(name, setting) for setting in settings)
        found[word] = Named(name=word, table=kept | table | given)
    if not found:
        raise TaskFileError("strategies: name at least one, such as single,repeated,vote.")
    return found


def _setting(strategy: str, text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise TaskFileError(
            f"strategies: a setting of {strategy} must read key=value, got {text!r}."
        )
    try:
        read: Any = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        read = {"method": value} if key in SLOTS else value
    return key, read


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark that stands outside brackets and quotes."""
    parts, depth, quoted = [""], 0, ""
    for letter in text:
        if letter in "\"'" and quoted in ("", letter):
            quoted = "" if quoted else letter
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == mark and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
