"""Constraints, draft sources, filters and shapers that keep every law, and break one on demand."""

import numpy as np

from genwright.core import (
    Guesses,
    Vocabulary,
)
from genwright.testing import (
    ConstraintCase,
    DraftsCase,
    FilterCase,
    ShaperCase,
)

# Constraints.

PIECES = [b"", b"a", b"b", b"c", b"ab", b"bc"]
LETTERS = Vocabulary(PIECES, frozenset({0}), lambda text: ["?abc".index(c) for c in text])
WORDS = {b"abc", b"abca", b"cab"}


class State:
    def __init__(self, twist, text=b""):
        self.twist, self.text = twist, text

    def mask(self):
        twist = self.twist
        words = WORDS | {b"bb"} if twist == "one word too many" else WORDS
        allowed = [any(w.startswith(self.text + piece) for w in words) for piece in PIECES]
        allowed[0] = self.text in words
        if twist == "dead end" and self.text == b"c":
            allowed = [False] * len(PIECES)
        if twist == "never ends":
            allowed = [False, *[True] * 5]
        if twist == "misses a word" and not self.text:
            allowed[3] = False
        if twist == "bytes":
            return np.array(allowed, dtype=np.uint8)
        return np.array(allowed)

    def advance(self, token):
        if self.twist == "refuses" and PIECES[token] == b"ab":
            raise ValueError("no such token here")
        self.text += PIECES[token]

    def fork(self):
        return self if self.twist == "same fork" else State(self.twist, self.text)

    @property
    def accepting(self):
        if self.twist == "never ends":
            return False
        if self.twist == "accepts early" and self.text == b"ab":
            return True
        return bool(self.mask()[0])

    def forced(self):
        if self.twist == "forces one of two" and not self.text:
            return [1]
        if self.text in WORDS:
            return []
        rests = {w[len(self.text) :] for w in WORDS if w.startswith(self.text)}
        shared = next(iter(rests)) if len(rests) == 1 else b""
        return [PIECES.index(bytes([byte])) for byte in shared]


class Words:
    def __init__(self, twist=""):
        self.twist = twist

    def compile(self, vocabulary):
        return self

    def start(self):
        if self.twist == "one state":
            self.state = getattr(self, "state", None) or State("")
            return self.state
        return State(self.twist)


def words(twist=""):
    return ConstraintCase(
        make=lambda: Words(twist),
        vocabulary=LETTERS,
        members=["abc", "abca", "cab"],
        outsiders=["", "ab", "abcab"],
        accepts=WORDS.__contains__,
    )


# Draft sources.


class Echo:
    """A sound source: what last followed the last token follows it again."""

    def __init__(self, twist=""):
        self.twist, self.draws, self.prompts = twist, [], []

    def begin(self, vocabulary, prompt):
        self.prompts.append(list(prompt))
        return EchoState(self, list(prompt), vocabulary.eos)


class EchoState:
    def __init__(self, source, prompt, eos):
        self.source, self.prompt, self.eos = source, prompt, eos

    def draft(self, tokens, size, floor):
        twist, last = self.source.twist, [*self.prompt, *tokens][-1]
        found = []
        for seen in (self.prompt, *self.source.draws):
            if last in seen[:-1]:
                found = seen[seen.index(last) + 1 :][:4]
        if twist == "tells of the first prompt":
            found = found or self.source.prompts[0]
        if twist != "guesses the end":
            found = [token for token in found if token not in self.eos]
        if twist == "guesses nothing":
            found = []
        least = {"at least one": 1, "four whatever is asked": 4}.get(twist, 0)
        found = found[: max(size, least)]
        parents = [i - (twist != "its own parent") for i in range(len(found))]
        odds = [0.9 ** (i + 1) for i in range(len(found))]
        return Guesses(found, parents, odds[::-1] if twist == "odds rise" else odds)

    def end(self, tokens):
        self.source.draws.append(list(tokens))


def echo(twist=""):
    words = Vocabulary([b"x"] * 9 + [b""], frozenset({9}), lambda text: [], "nine")
    return DraftsCase(
        make=lambda: Echo(twist),
        vocabulary=words,
        draws=[([0, 1, 9, 1], [1, 2, 3, 4]), ([3], [4, 2, 3, 4, 2, 3, 4])] * 2,
        secret=[7, 8, 7],
    )


# Filters.


class HoldsA:
    """A sound filter: texts with an a."""

    def __init__(self, twist=""):
        self.twist = twist

    def allows(self, texts):
        found = ["a" in text for text in texts]
        if self.twist == "allows everything":
            return [True for _ in texts]
        if self.twist == "after the first refusal none":
            found = [found[i] and all(found[:i]) for i in range(len(found))]
        return list(np.array(found)) if self.twist == "numbers of NumPy" else found


def holds_a(twist=""):
    return FilterCase(make=lambda: HoldsA(twist), allowed=["cat", "a"], refused=["dog", "x"])


# Shapers.


class LikesTheLast:
    """A sound shaper: what was written last is likelier to come again."""

    def __init__(self, twist=""):
        self.twist, self.shared = twist, []

    def start(self, vocabulary, prompt):
        return LikingState(self, list(prompt))


class LikingState:
    def __init__(self, shaper, written):
        self.shaper, self.written, self.asked = shaper, written, 0

    def shape(self, logits):
        twist = self.shaper.twist
        self.asked += 1
        written = [*self.written, *self.shaper.shared] if twist == "one for all" else self.written
        shaped = logits if twist == "writes" else logits.copy()
        shaped[written[-1]] += self.asked if twist == "counts" else 0 if twist == "idle" else 2
        if twist == "NaN":
            shaped[0] = np.nan
        return shaped.astype(np.float64) if twist == "float64" else shaped

    def advance(self, token):
        if self.shaper.twist == "must be asked" and not self.asked:
            return
        self.written.append(token)
        self.shaper.shared.append(token)


def likes_the_last(twist=""):
    words = Vocabulary([b"x"] * 9 + [b""], frozenset({9}), lambda text: [], "nine")
    return ShaperCase(
        make=lambda: LikesTheLast(twist), vocabulary=words, prompt=[0, 1], tokens=[2, 3]
    )
