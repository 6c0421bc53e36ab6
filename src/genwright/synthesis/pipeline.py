"""The pipeline that all synthesis shares: material, writer, gate, deduplication, data set.

A source gives material for a seed (a template, a persona, a table), a writer turns it into an item,
a gate (any verifier) says whether the item is right, and what repeats an earlier item or a test
question goes. What is rejected is kept apart, with the reason, so that a data set can state its
rates. Items do not depend on the order or the size of batches: each has a seed of its own.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genwright.core import (
    Budget,
    Cost,
    InvalidArgument,
    Sample,
    Samples,
    Stop,
    Verdict,
    Verifier,
    child_seed,
)
from genwright.synthesis.dedup import Dedup
from genwright.synthesis.templates import SynthItem, TemplateBank, render


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What a pipeline made.

    Args:
        items: what was kept, each with its verdict.
        rejected: what was not, each with the reason.
        cost: everything that was spent.
        stop: why the pipeline ended.
    """

    items: tuple[SynthItem, ...]
    rejected: tuple[tuple[SynthItem, str], ...]
    cost: Cost
    stop: Stop

    def reasons(self) -> Mapping[str, int]:
        """Count the rejected items by reason."""
        return Counter(reason for _, reason in self.rejected)

    def save(self, folder: str | Path) -> None:
        """Write `items.jsonl` and `rejected.jsonl`, one item a line, into a folder."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        kept = [item.row() for item in self.items]
        gone = [item.row() | {"reason": reason} for item, reason in self.rejected]
        for name, rows in (("items", kept), ("rejected", gone)):
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (place / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Make items until enough are kept.

    Args:
        source: gives material for a seed.
        write: turns material and a seed into an item, with what that cost.
        gate: says of each item whether it is right; undecided items are rejected as such.
        dedup: drops what repeats an item that was kept, or a text it is set against.
        batch: items that are written and checked together.
        tries: the most items that may be written for each one wanted.
    """

    source: Callable[[int], Any]
    write: Callable[[Any, int], Sample[SynthItem]]
    gate: Verifier[SynthItem]
    dedup: Dedup = field(default_factory=Dedup)
    batch: int = 16
    tries: int = 20

    def __post_init__(self) -> None:
        if self.batch < 1 or self.tries < 1:
            raise InvalidArgument(
                f"Pipeline: batch and tries must be 1 or more, got {self.batch} and {self.tries}."
            )

    def run(self, n: int, budget: Budget, seed: int) -> Dataset:
        """Return up to n items; the budget is looked at between batches."""
        items: list[SynthItem] = []
        rejected: list[tuple[SynthItem, str]] = []
        cost, written, seen = Cost(), 0, self.dedup.start()
        while len(items) < n and written < n * self.tries and not budget.is_spent(cost):
            size = budget.room(cost, min(self.batch, n * self.tries - written))
            drawn = Samples.of(self._draw(seed, written + i) for i in range(size))
            verdicts = self.gate.check(drawn)
            cost += drawn.cost + sum((verdict.cost for verdict in verdicts), Cost())
            written += size
            for item, verdict in zip(drawn.values, verdicts, strict=True):
                checked = replace(item, checks=(*item.checks, verdict))
                reason = _reason(verdict) or seen.reason(checked.question)
                if reason is not None:
                    rejected.append((checked, reason))
                elif len(items) < n:
                    items.append(checked)
        stop = Stop.BUDGET if len(items) < n and budget.is_spent(cost) else Stop.COMPLETE
        return Dataset(items=tuple(items), rejected=tuple(rejected), cost=cost, stop=stop)

    def _draw(self, seed: int, index: int) -> Sample[SynthItem]:
        own = child_seed(seed, index)
        return self.write(self.source(child_seed(own, "source")), child_seed(own, "write"))


def template_source(bank: TemplateBank) -> Callable[[int], Any]:
    """Return a source that gives one of a bank's templates, evenly."""
    return lambda seed: bank.templates[seed % len(bank)]


def write_from_template(template: Any, seed: int) -> Sample[SynthItem]:
    """Render a template; rendering costs nothing but the draw."""
    return Sample(render(template, seed))


def _reason(verdict: Verdict) -> str | None:
    """Return why a verdict rejects an item, or None where it passed."""
    if verdict.passed:
        return None
    return f"undecided: {verdict.evidence}" if verdict.passed is None else str(verdict.evidence)
