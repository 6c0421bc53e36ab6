"""Hold a draw to whole words that pass filters: monosyllables, rhymes, words without an e.

Choose it where a rule speaks of words: `TokenFilter` sees pieces of words as if they were words, so
that `Syllables(count=1)` lets it write `fan` and `tastic` in a row. Here only words of a lexicon
that pass every filter can be spelled, from the first byte to the last, with spaces and punctuation
between them.

After Roush et al. 2022, "Most Language Models can be Poets too", arXiv:2306.15926, which names the
gap among its limitations. Ours throughout: the words as a trie of bytes, walked against the trie of
all tokens (`python_machine.py`), so that every spelling in tokens counts and no draw runs into a
dead end.
"""

import gzip
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from genwright.core import ConstraintError, InvalidArgument, MissingFile, Vocabulary, method
from genwright.steering.filters import PAPER, Filter, contradicting, judging, named
from genwright.steering.phonetic import dictionary
from genwright.steering.python_machine import CompiledMachine, PythonMachine
from genwright.steering.similar import Similar

CMUDICT = "cmudict"
BETWEEN = ' \n.,;:!?"()-'

ROOT, BEFORE = 0, -1
"""States between words, and before the first separator of a draw that must begin with one."""


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class WordConstraint:
    """The texts made of words that pass every filter, with separators between them.

    Args:
        filters: what words must pass; none for every word of the lexicon.
        lexicon: `"cmudict"` (the CMU Pronouncing Dictionary), a file with a word a line (gzip where
            its name ends in .gz), or the words themselves.
        between: characters that may stand between words, in any number, at least one. ASCII, and
            in no word.
        spaced: whether the draw must begin with a separator, since its prompt ends in a word.

    Raises:
        InvalidArgument: a separator that is a letter or not ASCII, or none at all.
    """

    filters: Sequence[Filter] = ()
    lexicon: str | Sequence[str] = CMUDICT
    between: str = BETWEEN
    spaced: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(self.filters))
        if not isinstance(self.lexicon, str):
            object.__setattr__(self, "lexicon", tuple(self.lexicon))
        if not self.between or not self.between.isascii() or any(map(str.isalnum, self.between)):
            raise InvalidArgument(
                "WordConstraint: between must hold ASCII characters that are neither letters nor "
                f"digits, at least one, got {self.between!r}."
            )

    def compile(self, vocabulary: Vocabulary) -> CompiledMachine:
        """Choose the words and prepare for one vocabulary.

        Raises:
            ConstraintError: no word passes (the message names the filters that contradict), or the
                vocabulary cannot spell all of them letter by letter.
            MissingFile: the lexicon is a file that is not there.
            MissingExtra: a filter, or the lexicon, needs a package that is not installed.
        """
        with judging:
            words = _trie(self.filters, self.lexicon)
        lacking = words.letters - {bytes(t)[0] for t in vocabulary.tokens if len(t) == 1}
        if lacking:
            raise ConstraintError(
                f"WordConstraint: the vocabulary {vocabulary.name} has no token for "
                f"{bytes(sorted(lacking))!r} alone, so that a word could be begun and not ended; "
                "use a tokenizer with byte fallback, or a lexicon without these letters."
            )
        separators = frozenset(self.between.encode())

        def step(state: Hashable, byte: int) -> Hashable | None:
            here = int(state)  # pyright: ignore[reportArgumentType]
            if byte in separators:
                return ROOT if here in words.ends or here <= ROOT else None
            return words.children[here].get(_lower(byte)) if here >= ROOT else None

        machine = PythonMachine(
            begin=BEFORE if self.spaced else ROOT,
            step=step,
            done=lambda state: state in words.ends or state in (ROOT, BEFORE),
        )
        return machine.compile(vocabulary)

    def words(self) -> Sequence[str]:
        """Return the words that pass every filter, sorted, in lower case.

        Raises:
            ConstraintError: none does.
        """
        with judging:
            return _words(self.filters, self.lexicon)

    def explain(self, token: str) -> list[str]:
        """Return what refuses a word: the lexicon, and filters as a user would write them."""
        refused = [named(f) for f in self.filters if not f.allows([token.strip()])[0]]
        known = token.strip().lower() in _lexicon_set(self.lexicon)
        return refused if known else ["lexicon", *refused]


@dataclass(eq=False)
class WordTrie:
    """Words as a trie of bytes: node 0 is the root."""

    children: list[dict[int, int]] = field(default_factory=lambda: [{}])
    ends: set[int] = field(default_factory=set[int])
    letters: set[int] = field(default_factory=set[int])

    def add(self, word: bytes) -> None:
        """Add a word."""
        node = ROOT
        for byte in word:
            after = self.children[node].get(byte)
            if after is None:
                after = self.children[node][byte] = len(self.children)
                self.children.append({})
            node = after
        self.ends.add(node)
        self.letters.update(word)


def passing(filters: Sequence[Filter], words: Sequence[str]) -> list[str]:
    """Return the words that pass every filter; the slow filters judge what the others left.

    Raises:
        ConstraintError: none does; the message names the filters that contradict.
    """
    left = np.ones(len(words), np.bool_)
    kept: dict[int, np.ndarray] = {}
    for i in sorted(range(len(filters)), key=lambda i: isinstance(filters[i], Similar)):
        asked = np.flatnonzero(left) if isinstance(filters[i], Similar) else np.arange(len(words))
        kept[i] = np.zeros(len(words), np.bool_)
        kept[i][asked] = filters[i].allows([words[k] for k in asked.tolist()])
        left &= kept[i]
    if not left.any():
        found = contradicting(filters, [kept[i] for i in range(len(filters))])
        guilty = "; ".join(f"{named(f)} allows {n}" for f, n in found)
        raise ConstraintError(
            f"WordConstraint: no word of the lexicon passes: {guilty or 'it is empty'} of "
            f"{len(words)} words. Drop or loosen one of them, or give a larger lexicon."
        )
    return [words[i] for i in np.flatnonzero(left).tolist()]


@lru_cache(32)
def _words(filters: tuple[Filter, ...], lexicon: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(passing(filters, _lexicon(lexicon)))


@lru_cache(32)
def _trie(filters: tuple[Filter, ...], lexicon: str | tuple[str, ...]) -> WordTrie:
    trie = WordTrie()
    for word in _words(filters, lexicon):
        trie.add(word.encode())
    return trie


@lru_cache(8)
def _lexicon(lexicon: str | tuple[str, ...]) -> Sequence[str]:
    """Return a lexicon's words, sorted, each once, in lower case."""
    if lexicon == CMUDICT:
        found: Iterable[str] = dictionary()
    elif isinstance(lexicon, str):
        found = _read(Path(lexicon))
    else:
        found = lexicon
    words = {word.strip().lower() for word in found}
    return sorted(word for word in words if word and all(c.isalpha() or c == "'" for c in word))


@lru_cache(8)
def _lexicon_set(lexicon: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset(_lexicon(lexicon))


def _read(path: Path) -> list[str]:
    if not path.is_file():
        raise MissingFile(f"WordConstraint: there is no lexicon {path}; give a file or 'cmudict'.")
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()


def _lower(byte: int) -> int:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte
