"""Filters on how a text is spelled: letters it must or must not hold, its length, its shape.

A filter judges one text at a time, the string of a token or a whole word. `TokenFilter` applies
filters to the tokens of a model, `WordConstraint` to the words of a lexicon; neither needs any
training. Phonetic filters are in `phonetic.py`, the one of meaning in `similar.py`.

Roush, Basu, Moorthy and Dubovoy 2022, "Most Language Models can be Poets too: An AI Writing
Assistant and Constrained Text Generation Studio", arXiv:2306.15926, Section 3. Ours: texts are
compared folded (case, accents, width and invisible characters do not count) unless `fold` is off,
so that a ban of e also bans E, é and the full-width e; a filter is a value that can be written down
in a task file. Look-alikes of other scripts are letters of their own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument, method, require
from genwright.steering.filters import PAPER, fold


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Ban:
    """Refuses texts that hold a banned string.

    Among tokens, a string that is spelled by several tokens in a row is refused as well.

    Args:
        strings: banned; one text is a list of one.
        together: refuse only texts that hold all of them.
        fold: case, accents, width and invisible characters do not count.
    """

    strings: Sequence[str]
    together: bool = False
    fold: bool = True

    def __post_init__(self) -> None:
        _keep_strings(self)

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        banned, some = _forms(self, self.strings), all if self.together else any
        return [not some(b in text for b in banned) for text in _forms(self, texts)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Require:
    """Refuses texts that lack a required string.

    Args:
        strings: required; one text is a list of one.
        every: whether all of them are, or any one is enough.
        fold: case, accents, width and invisible characters do not count.
    """

    strings: Sequence[str]
    every: bool = True
    fold: bool = True

    def __post_init__(self) -> None:
        _keep_strings(self)

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        wanted, enough = _forms(self, self.strings), all if self.every else any
        return [enough(w in text for w in wanted) for text in _forms(self, texts)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class StringAt:
    """Allows texts with a string at a place.

    Args:
        string: what stands there.
        position: of its first character, from 0; from -1 backwards, counted from the end.
        fold: case, accents, width and invisible characters do not count.
    """

    string: str
    position: int = 0
    fold: bool = True

    def __post_init__(self) -> None:
        _needs(self, "string", bool(self.string), "hold a character")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        (wanted,) = _forms(self, [self.string])
        places = ((t, self.position + len(t) * (self.position < 0)) for t in _forms(self, texts))
        return [at >= 0 and text.startswith(wanted, at) for text, at in places]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class StartsWith:
    """Allows texts that begin with a string.

    Args:
        string: the beginning.
        fold: case, accents, width and invisible characters do not count.
    """

    string: str
    fold: bool = True

    def __post_init__(self) -> None:
        _needs(self, "string", bool(self.string), "hold a character")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        (wanted,) = _forms(self, [self.string])
        return [text.startswith(wanted) for text in _forms(self, texts)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class EndsWith:
    """Allows texts that end with a string.

    Args:
        string: the end.
        fold: case, accents, width and invisible characters do not count.
    """

    string: str
    fold: bool = True

    def __post_init__(self) -> None:
        _needs(self, "string", bool(self.string), "hold a character")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        (wanted,) = _forms(self, [self.string])
        return [text.endswith(wanted) for text in _forms(self, texts)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Length:
    """Allows texts of a length in characters.

    Args:
        at_least: characters.
        at_most: characters.
    """

    at_least: int = 0
    at_most: int = 1000

    def __post_init__(self) -> None:
        _needs(self, "at_least", 0 <= self.at_least <= self.at_most, "be 0 to at_most")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        return [self.at_least <= len(text) <= self.at_most for text in texts]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class EditDistance:
    """Allows texts that a few insertions, deletions and replacements turn into a word.

    Args:
        word: the word.
        at_most: how many (Levenshtein distance).
        fold: case, accents, width and invisible characters do not count.
    """

    word: str
    at_most: int = 1
    fold: bool = True

    def __post_init__(self) -> None:
        _needs(self, "at_most", self.at_most >= 0, "be 0 or more")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order.

        Raises:
            MissingExtra: rapidfuzz is not installed.
        """
        rapidfuzz = require("rapidfuzz.distance", extra="words", needed_by="EditDistance")
        distance = rapidfuzz.Levenshtein.distance
        (word,), most = _forms(self, [self.word]), self.at_most
        return [distance(word, t, score_cutoff=most) <= most for t in _forms(self, texts)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Palindrome:
    """Allows texts that read the same backwards.

    Args:
        fold: case, accents, width and invisible characters do not count.
    """

    fold: bool = True

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        return [text == text[::-1] for text in _forms(self, texts)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Anagram:
    """Allows texts made of given letters.

    Args:
        letters: with repetition; their order is of no matter.
        partly: whether letters may be left over.
        fold: case, accents, width and invisible characters do not count.
    """

    letters: str
    partly: bool = False
    fold: bool = True

    def __post_init__(self) -> None:
        _needs(self, "letters", bool(self.letters), "hold a letter")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        (letters,) = _forms(self, [self.letters])
        stock = Counter(letters)
        counts = (Counter(text) for text in _forms(self, texts))
        return [count <= stock if self.partly else count == stock for count in counts]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Isogram:
    """Allows texts in which every character stands about equally often.

    Args:
        at_most: times that a character may stand; 1 for an isogram.
        at_least: times that every character of the text must stand; 2 for the reverse, where no
            character stands alone.
        fold: case, accents, width and invisible characters do not count.
    """

    at_most: int = 1
    at_least: int = 1
    fold: bool = True

    def __post_init__(self) -> None:
        _needs(self, "at_least", 1 <= self.at_least <= self.at_most, "be 1 to at_most")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        counts = (Counter(text).values() for text in _forms(self, texts))
        return [all(self.at_least <= n <= self.at_most for n in count) for count in counts]


def _forms(spelled: Any, texts: Sequence[str]) -> list[str]:
    """Return the texts as a filter compares them."""
    return [fold(text) for text in texts] if spelled.fold else list(texts)


def _keep_strings(spelled: Any) -> None:
    given = spelled.strings
    kept = (given,) if isinstance(given, str) else tuple(given)  # task files bring lists
    object.__setattr__(spelled, "strings", kept)
    forms = _forms(spelled, kept)
    _needs(spelled, "strings", bool(forms) and all(forms), "hold a string, and each a character")


def _needs(spelled: Any, name: str, holds: bool, must: str) -> None:
    if not holds:
        raise InvalidArgument(
            f"{type(spelled).__name__}: {name} must {must}, got {getattr(spelled, name)!r}."
        )
