"""Lookahead: guess the next tokens from the prompt and from earlier draws, and check many at once.

Answers repeat phrases of their prompts and of earlier answers. Such phrases are followed as far as
they seem likely to go on, several ways at once, and the engine evaluates the whole tree in one
step. It keeps the branch that it would have drawn anyway: draws stay what they are, greedy or
sampled.

Choose it where answers quote (retrieval, extraction, editing, JSON from text) or repeat each other
(many draws of one prompt, one form for all answers), and draws are few at a time: then a step
costs nearly the same for one token as for ten.

Zhao et al. 2024, "Lookahead: An Inference Acceleration Framework for Large Language Model with
Lossless Generation Accuracy", arXiv:2312.12728, Section 4 and Algorithm 1 (trie of prompts and
outputs, several branches, verification by sampling at each node). Ours: guesses are grown in the
order of their odds, which are learnt while draws are made, and only those are evaluated that pay
for themselves by the measured cost of a step (`drafting.py`); the paper takes a fixed number of the
most frequent. Matches may be longer than the paper's two tokens. Under a constraint illegal guesses
are dropped and forced tokens join the tree.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, nlargest
from itertools import count
from typing import Literal

from genwright.core import Guesses, InvalidArgument, Vocabulary, method
from genwright.generators.language.draft_trie import DraftTrie, PromptRuns, Run, Writer
from genwright.generators.language.reliance import Kind, Reliance, kind

LONGEST = 12
"""Tokens of a match that are counted."""
LEVELS = 3
"""Lengths of matches that are looked at for one place, the longest first."""
WIDEST = 24
"""Places that are followed by more different tokens than this guess nothing."""
CHILDREN = 4
"""Guesses taken from one length of match at one place, the weightiest first."""
LEAST = 0.01
"""Guesses with lower odds are not worth writing down."""
SURE = 0.98
"""The best odds that a guess has, given its parent."""
STEADY = 6.0
"""Guesses by which a draw's own record counts for as much as that of all draws."""
FADES = 0.98
"""How fast a draw's own record fades, from one guess to the next."""


@method(paper="arXiv:2312.12728")
@dataclass(frozen=True, kw_only=True)
class Lookahead:
    """Guess from the prompt and from what was drawn before; no draw is changed by it.

    Args:
        size: the guesses that are evaluated with one step of one draw: as many as pay for
            themselves ("auto"), or a fixed number of the likeliest. The paper takes 64.
        trie: what was drawn before, shared by everything that uses this object.

    Raises:
        InvalidArgument: a size below 0.
    """

    size: int | Literal["auto"] = "auto"
    trie: DraftTrie = field(default_factory=DraftTrie, repr=False, compare=False)
    reliance: Reliance = field(default_factory=Reliance, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.size != "auto" and (not isinstance(self.size, int) or self.size < 0):
            raise InvalidArgument(
                f"Lookahead: size must be 'auto' or a number of 0 or more, got {self.size!r}."
            )

    def begin(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "Guesser":
        """Return the state of one draw that continues `prompt` (token ids).

        Raises:
            InvalidArgument: its trie holds the tokens of another vocabulary.
        """
        with _binding:
            self.trie.vocabulary = self.trie.vocabulary or vocabulary.fingerprint
        if self.trie.vocabulary != vocabulary.fingerprint:
            raise InvalidArgument(
                "Lookahead: its trie holds tokens of another vocabulary; use one Lookahead for "
                "models that share a tokenizer, and another for the rest."
            )
        return Guesser(self, vocabulary.eos, prompt)


_binding = threading.Lock()


@dataclass(frozen=True, eq=False)
class _Guess:
    """One guess: where it stands in the tree and what it rests on."""

    parent: int
    token: int
    odds: float
    rank: int  # of the match it was taken from, among those looked at for its place
    what: Kind
    drawn: list[tuple[int, Run]]  # (length, run) of earlier draws, up to its parent
    quoted: list[tuple[int, int]]  # (length, place in the prompt) of what follows its parent


class Guesser:
    """The guesses for one draw.

    Args:
        source: with the trie and the record that it shares.
        eos: never guessed.
        prompt: token ids.
    """

    def __init__(self, source: Lookahead, eos: frozenset[int], prompt: Sequence[int]) -> None:
        self._trie, self._reliance, self._size = source.trie, source.reliance, source.size
        self._eos = eos
        self._prompt = PromptRuns(prompt, LONGEST)
        self._tail = list(prompt[-LONGEST:])
        self._writer = Writer(source.trie)
        self._written = 0
        self._last: list[_Guess] = []
        self._serial = count()
        self._expected = self._true = STEADY

    def draft(self, tokens: Sequence[int], size: int, floor: float) -> Guesses:
        """Guess what follows; see `DraftState`."""
        self._read(tokens[self._written :])
        fixed = self._size != "auto"
        if fixed:
            size, floor = min(size, int(self._size)), 0.0
        self._last = self._grow(size, max(floor, LEAST))
        return Guesses(
            [guess.token for guess in self._last],
            [guess.parent for guess in self._last],
            None if fixed else [guess.odds for guess in self._last],
        )

    def end(self, tokens: Sequence[int]) -> None:
        """Add what was written last to the trie."""
        self._read(tokens[self._written :])

    def _read(self, tokens: Sequence[int]) -> None:
        """Learn from what the draw has written since the last guesses were made."""
        here = -1
        for i, token in enumerate(tokens):
            if i == 0 or here >= 0:
                here = self._learn(here, token)
            self._writer.write(token)
            self._tail.append(token)
        del self._tail[:-LONGEST]
        self._written += len(tokens)
        self._last = []

    def _learn(self, parent: int, token: int) -> int:
        """Count the guesses at one place; return the one that came true, or -1."""
        there = [(i, guess) for i, guess in enumerate(self._last) if guess.parent == parent]
        found = next(((i, guess) for i, guess in there if guess.token == token), None)
        rank = LEVELS if found is None else found[1].rank
        for _, guess in there:
            if guess.rank <= rank:  # the odds of later ones hold only where the first ones fail
                came_true = guess.token == token
                self._expected = FADES * self._expected + self._reliance.odds(guess.what)
                self._true = FADES * self._true + came_true
                self._reliance.learn(guess.what, came_true)
        return -1 if found is None else found[0]

    def _grow(self, size: int, floor: float) -> list[_Guess]:
        """Return guesses in the order of their odds; the likeliest is there whatever its odds."""
        tree: list[_Guess] = []
        if size < 1:
            return tree
        heap: list[tuple[float, int, _Guess]] = []
        with self._trie.lock:
            runs = self._writer.runs
            drawn = [(len(runs) - i, run) for i, run in enumerate(runs) if run.next]
            self._guess(heap, floor, -1, 1.0, drawn, self._prompt.find(self._tail))
            while heap and len(tree) < size:
                guess = heappop(heap)[2]
                tree.append(guess)
                if SURE * guess.odds >= floor:
                    self._guess(heap, floor, len(tree) - 1, guess.odds, *self._follow(guess))
        return tree

    def _follow(self, guess: _Guess) -> tuple[list[tuple[int, Run]], list[tuple[int, int]]]:
        """Return what a guess rests on, one token further."""
        token = guess.token
        places = [*guess.drawn, (0, self._trie.root)]
        longer = ((n + 1, run.next.get(token)) for n, run in places if run.next)
        drawn = [(n, run) for n, run in longer if run is not None and run.next]
        tokens = self._prompt.tokens
        quoted = [
            (n + 1, at + 1)
            for n, at in guess.quoted
            if tokens[at] == token and at + 1 < len(tokens)
        ]
        return drawn, quoted

    def _guess(
        self,
        heap: list[tuple[float, int, _Guess]],
        floor: float,
        parent: int,
        odds: float,
        drawn: list[tuple[int, Run]],
        quoted: list[tuple[int, int]],
    ) -> None:
        """Guess what comes at one place, from the longest matches there.

        Only guesses with good enough odds go on the heap, and one more where nothing was guessed
        before: what comes of it tells whether guesses have become better.
        """
        left, taken = 1.0, set[int]()
        own = max(0.1, min(2.0, self._true / self._expected))
        for rank, (length, prompt, weights) in enumerate(self._levels(drawn, quoted)):
            total = sum(weights.values())
            mass = 0.0
            for token in nlargest(CHILDREN, weights, key=weights.__getitem__):
                what = kind(prompt, length, weights[token] / total, total)
                chance = min(SURE, own * self._reliance.odds(what))
                mass += chance
                reached = odds * left * chance
                if (
                    token in taken
                    or token in self._eos
                    or (reached < floor and (heap or parent >= 0))
                ):
                    continue
                taken.add(token)
                guess = _Guess(parent, token, reached, rank, what, drawn, quoted)
                heappush(heap, (-reached, next(self._serial), guess))
            left *= max(1 - SURE, 1.0 - mass)
            if odds * left < floor:
                break

    def _levels(
        self, drawn: Sequence[tuple[int, Run]], quoted: Sequence[tuple[int, int]]
    ) -> Iterable[tuple[int, bool, dict[int, float]]]:
        """Return (length, whether of the prompt, weights of what follows), longest first."""
        found: list[tuple[int, bool, dict[int, float]]] = []
        one = self._trie.one
        for length, run in drawn[:LEVELS]:
            if run.next and len(run.next) <= WIDEST:
                found.append((length, False, {t: r.weight / one for t, r in run.next.items()}))
        lengths = sorted({n for n, _ in quoted}, reverse=True)[:LEVELS]
        for length in lengths:
            weights: dict[int, float] = {}
            for n, at in quoted:
                if n == length:
                    token = self._prompt.tokens[at]
                    weights[token] = weights.get(token, 0.0) + 1.0
            found.append((length, True, weights))
        found.sort(key=lambda level: (-level[0], not level[1]))
        return found[:LEVELS]
