"""What draws have written lately, as a trie of short runs of tokens with weights.

Every window of `branch` + 1 tokens of every draw is in it, added token by token as the draw is
written. A run's weight says how often it was written, and how lately: it halves while a trie's
worth of tokens is added. When there are too many runs, the lighter half goes.

Zhao et al. 2024, "Lookahead: An Inference Acceleration Framework for Large Language Model with
Lossless Generation Accuracy", arXiv:2312.12728, Section 4.2 (the trie, its pruning). Ours: one
bound for the whole trie; weights fade with age, where the paper halves counts when a tree is full;
the beginning of a draw is a token of its own, so that answers that begin alike are guessed from the
first token on; prompts are kept apart, one index a draw (`PromptRuns`), and vanish with it.
"""

import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genwright.core import InvalidArgument

BEGIN = -1
"""Stands before the first token of every draw."""


class Run:
    """One run of tokens: its weight, and the runs one token longer."""

    __slots__ = ("next", "weight")

    def __init__(self) -> None:
        self.weight = 0.0
        self.next: dict[int, Run] | None = None


class DraftTrie:
    """The runs of tokens that draws have written.

    Args:
        branch: a run holds at most this many tokens and one more. The paper tunes 12 to 32.
        max_nodes: the most runs that are kept, at about 0.3 kB each.
        vocabulary: the fingerprint of the vocabulary whose ids it holds; that of its first draw if
            it is left out.

    Raises:
        InvalidArgument: a branch below 2, or too few nodes for a few runs.
    """

    def __init__(self, branch: int = 12, max_nodes: int = 65_536, vocabulary: str = "") -> None:
        if branch < 2 or max_nodes < 4 * (branch + 1):
            raise InvalidArgument(
                f"DraftTrie: branch must be 2 or more and max_nodes at least 4 (branch + 1), got "
                f"{branch} and {max_nodes}."
            )
        self.branch, self.max_nodes, self.vocabulary = branch, max_nodes, vocabulary
        self.nodes = 0
        """How many runs it holds."""
        self.root = Run()
        self.lock = threading.RLock()
        """Held by whoever reads or writes: engines of two models may share a trie."""
        self.prunings = 0
        """How often the lighter half went: whoever holds runs must let go of them then."""
        self.one = 1.0
        """The weight that a token adds now."""
        self._grows = 2.0 ** ((branch + 1) / max_nodes)

    def put(self, tokens: Sequence[int]) -> None:
        """Add a whole draw."""
        writer = Writer(self)
        for token in tokens:
            writer.write(token)

    def continuations(self, suffix: Sequence[int]) -> dict[tuple[int, ...], float]:
        """Return every run that was seen to follow a suffix, with its weight in tokens."""
        with self.lock:
            place: Run | None = self.root
            for token in suffix:
                place = (place.next or {}).get(token) if place is not None else None
            found: dict[tuple[int, ...], float] = {}
            waiting: list[tuple[tuple[int, ...], Run]] = []
            if place is not None:
                waiting.append(((), place))
            while waiting:
                path, run = waiting.pop()
                for token, longer in (run.next or {}).items():
                    found[*path, token] = longer.weight / self.one
                    waiting.append(((*path, token), longer))
            return found

    def save(self, path: str | Path) -> None:
        """Write it to a file (`.npz`)."""
        with self.lock:
            rows: list[tuple[int, int, float]] = []
            waiting = [(self.root, -1)]
            while waiting:
                run, at = waiting.pop()
                for token, longer in (run.next or {}).items():
                    waiting.append((longer, len(rows)))
                    rows.append((at, token, longer.weight / self.one))
        table = np.array(rows, float).reshape(-1, 3)
        settings = np.array([self.branch, self.max_nodes])
        np.savez_compressed(path, table=table, settings=settings, vocabulary=self.vocabulary)

    @classmethod
    def load(cls, path: str | Path) -> "DraftTrie":
        """Read one back.

        Raises:
            InvalidArgument: the file is not there, or is none of `save`.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                table, (branch, most) = file["table"], file["settings"].tolist()
                made = cls(branch, most, str(file["vocabulary"]))
        except (OSError, KeyError, ValueError) as error:
            raise InvalidArgument(f"DraftTrie: {path} is no saved trie: {error}.") from error
        runs: list[Run] = []
        for parent, token, weight in table.tolist():
            place = made.root if parent < 0 else runs[int(parent)]
            runs.append(made._longer(place, int(token)))
            runs[-1].weight = weight
        return made

    def grow(self, places: Sequence[Run], token: int) -> list[Run]:
        """Add weight to the runs that are one token longer than these; return them."""
        self.one *= self._grows
        runs = [self._longer(place, token) for place in places]
        for run in runs:
            run.weight += self.one
        return runs

    def make_room(self) -> None:
        """Drop the lighter half where one more token might not fit."""
        if self.nodes + self.branch + 1 > self.max_nodes:
            self._prune()

    def _longer(self, place: Run, token: int) -> Run:
        if place.next is None:
            place.next = {}
        run = place.next.get(token)
        if run is None:
            run = place.next[token] = Run()
            self.nodes += 1
        return run

    def _prune(self) -> None:
        weights: list[float] = []
        waiting = [self.root]
        while waiting:
            longer = (waiting.pop().next or {}).values()
            weights += [run.weight for run in longer]
            waiting += longer
        least = float(np.median(weights))
        self.nodes, waiting = 0, [self.root]
        while waiting:
            run = waiting.pop()
            run.next = {t: r for t, r in (run.next or {}).items() if r.weight > least} or None
            longer = (run.next or {}).values()
            for other in longer:
                other.weight /= self.one  # so that weights never overflow
            self.nodes += len(longer)
            waiting += longer
        self.one = 1.0
        self.prunings += 1


class Writer:
    """One draw on its way into a trie.

    Args:
        trie: which.
    """

    def __init__(self, trie: DraftTrie) -> None:
        self._trie, self._prunings = trie, trie.prunings
        self.runs: list[Run] = []
        """The runs that end with the token written last, longest first."""
        self.write(BEGIN)

    def write(self, token: int) -> None:
        """Add the next token."""
        trie = self._trie
        with trie.lock:
            trie.make_room()
            if self._prunings != trie.prunings:  # what it holds may be in the trie no more
                self._prunings = trie.prunings
                self.runs = []
            kept = self.runs[max(0, len(self.runs) - trie.branch) :]
            self.runs = trie.grow([*kept, trie.root], token)


class PromptRuns:
    """Where each token stands in one prompt: what the request's own draws are guessed from.

    Args:
        tokens: of the prompt.
        longest: how many tokens of a match are counted.
    """

    def __init__(self, tokens: Sequence[int], longest: int) -> None:
        self.tokens, self._longest = list(tokens), longest
        self._at: defaultdict[int, list[int]] = defaultdict(list)
        for i, token in enumerate(self.tokens[:-1]):  # nothing follows the last
            self._at[token].append(i)

    def find(self, tail: Sequence[int]) -> list[tuple[int, int]]:
        """Return (tokens that match, where the next one stands) for each place that fits a tail."""
        if not tail:
            return []
        found: list[tuple[int, int]] = []
        back = tail[-self._longest :][::-1]
        for at in self._at.get(back[0], ()):
            length = 1
            while length < len(back) and length <= at and self.tokens[at - length] == back[length]:
                length += 1
            found.append((length, at + 1))
        return found
