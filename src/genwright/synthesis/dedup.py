"""Near-duplicates and leakage: is what is tested really absent from what was trained on?

Texts are compared as normalised words. Two texts overlap when they share a run of 13 words (the
usual test for contamination), or are equal once normalised; `jaccard` grades near-duplicates.

Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv:2005.14165, Appendix C (13-grams);
Broder 1997, "On the Resemblance and Containment of Documents" (the Jaccard index of n-grams).
Ours: a text shorter than 13 words counts as one gram, and `separation` also compares ids.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument

WORDS = re.compile(r"\w+(?:\.\d+)?|[<>!]?=|<>|[<>]")
GRAM = 13

Gram = tuple[str, ...]
"""A run of words."""


def normalised(text: str) -> Gram:
    """Return the words, numbers and comparison signs of a text in lower case."""
    return tuple(WORDS.findall(text.lower()))


def grams(text: str, n: int = GRAM) -> frozenset[Gram]:
    """Return the runs of n words of a text; a shorter text is one run, an empty one has none."""
    words = normalised(text)
    runs = (words[i : i + n] for i in range(max(1, len(words) - n + 1)))
    return frozenset(run for run in runs if run)


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """Return |a and b| / |a or b|, in [0, 1]; two empty sets are equal."""
    return len(a & b) / len(a | b) if a or b else 1.0


@dataclass(frozen=True, kw_only=True)
class Dedup:
    """Keep the first of texts that are equal or nearly so.

    Args:
        threshold: the Jaccard index of n-grams from which two texts count as one; 1 keeps all but
            those that are equal once normalised.
        n: words in a gram.
        against: texts that must not come back, such as test questions: anything that shares a
            13-word run with one of them, or equals it, is dropped.
    """

    threshold: float = 1.0
    n: int = 3
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InvalidArgument(f"Dedup: threshold must be in (0, 1], got {self.threshold}.")

    def start(self) -> "Seen":
        """Return a memory that has kept nothing yet."""
        return Seen(self)

    def reasons(self, texts: Sequence[str]) -> list[str | None]:
        """Return, for each text in turn, why it is dropped, or None where it is kept."""
        seen = self.start()
        return [seen.reason(text) for text in texts]


class Seen:
    """The texts kept so far under one `Dedup`."""

    def __init__(self, settings: Dedup) -> None:
        self._settings = settings
        self._forbidden = set[Gram]().union(*(grams(text) for text in settings.against))
        self._texts: set[Gram] = set()
        self._kept: list[frozenset[Gram]] = []
        self._holders: dict[Gram, list[int]] = {}

    def reason(self, text: str) -> str | None:
        """Return why a text is dropped; None, and it is kept from now on."""
        words, runs = normalised(text), grams(text, self._settings.n)
        if grams(text) & self._forbidden:
            return "in the test set"
        if words in self._texts:
            return "duplicate"
        near = {i for run in runs for i in self._holders.get(run, ())}
        if any(jaccard(runs, self._kept[i]) >= self._settings.threshold for i in near):
            return "near-duplicate"
        self._texts.add(words)
        if self._settings.threshold < 1:  # at 1 equal texts alone are dropped
            for run in runs:
                self._holders.setdefault(run, []).append(len(self._kept))
            self._kept.append(runs)
        return None


def separation(
    rows_by_split: Mapping[str, Iterable[Mapping[str, Any]]], *, train: str = "train"
) -> dict[str, dict[str, int | bool]]:
    """Count what each held-out split shares with the training rows.

    Args:
        rows_by_split: split -> rows with question, sql, template, phrasing and structure.
        train: the split that was trained on.

    Returns:
        For each other split: `rows`; how many rows have a `question`, `sql`, `phrasing`, `template`
        or `structure` that training has; how many share a run of 13 words of the question
        (`13-gram`); and `apart`: no question, no query, and nothing that the split's name promises
        to be new is shared (phrasing for `phrasings`; template, structure and phrasing for
        `structures`; 13-word runs for both).

    Raises:
        InvalidArgument: there is no training split.
    """
    if train not in rows_by_split:
        raise InvalidArgument(f"separation: no split {train!r} among {list(rows_by_split)}.")
    known = _shown(rows_by_split[train])
    report: dict[str, dict[str, int | bool]] = {}
    for split, rows in rows_by_split.items():
        if split == train:
            continue
        counted = [_shown([row]) for row in rows]
        shared: dict[str, int | bool] = {
            name: sum(bool(row[name] & known[name]) for row in counted) for name in known
        }
        new = {"question", "sql", *PROMISES.get(split, ())}
        apart = not any(shared[name] for name in new)
        report[split] = {"rows": len(counted)} | shared | {"apart": apart}
    return report


PROMISES = {
    "phrasings": ("phrasing", "13-gram"),
    "structures": ("phrasing", "template", "structure", "13-gram"),
}
"""What a held-out split promises never to share with training, beside questions and queries."""


def _shown(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[Any]]:
    """Gather the ids and normalised texts that rows show."""
    rows = list(rows)
    shown: dict[str, set[Any]] = {
        name: {normalised(row[name]) for row in rows} for name in ("question", "sql")
    }
    shown |= {name: {row[name] for row in rows} for name in ("phrasing", "template", "structure")}
    shown["13-gram"] = {run for row in rows for run in grams(row["question"])}
    return shown
