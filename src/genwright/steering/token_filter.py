"""Hold every token of a draw to filters: lipograms, short tokens, tokens that begin with a letter.

Each filter judges the string of a token, after transforms, as if it were a word. Choose
`WordConstraint` where whole words must pass; choose this for bans, and for the paper's scheme. Some
of its rules make little sense for pieces of words, as the paper says of itself: `Syllables` refuses
commas and endings alike.

Roush et al. 2022, "Most Language Models can be Poets too", arXiv:2306.15926, Section 3. Ours:

- A banned string that several tokens spell together is refused too: the state keeps the longest
  ending of the draw that begins one.
- Tokens are bytes. One that cuts a character in two is refused, unless every filter is a ban and
  nothing is transformed: then the cut bytes are kept in the state, and a character counts when its
  last byte arrives. A draw may not end within a character.
- The draw may end after any token; no filter refuses the end.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, method, nearest
from genwright.steering.banned_strings import CompiledFilter, whole_characters
from genwright.steering.filters import PAPER, Filter, contradicting, judging, named
from genwright.steering.lexical import Ban
from genwright.steering.similar import Similar

KEPT = 256
"""Masks kept, of filters by vocabulary."""

TRANSFORMS: Mapping[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "remove_spaces": lambda text: text.replace(" ", ""),
    "lstrip": str.lstrip,
    "rstrip": str.rstrip,
    "strip": str.strip,
    "capitalize": str.capitalize,
    "alphanumeric": lambda text: "".join(c for c in text if c.isalnum()),
    "alphabetic": lambda text: "".join(c for c in text if c.isalpha()),
    "digits": lambda text: "".join(c for c in text if c.isdigit()),
    "ascii": lambda text: "".join(c for c in text if c.isascii()),
    "drop_blanks": str,
}
"""What may be done to a token's string before filters see it; `drop_blanks` refuses what is then
empty."""


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class TokenFilter:
    """The token strings in which every token passes every filter.

    Args:
        filters: one or more.
        transforms: names from `TRANSFORMS`, applied in this order: `("strip", "lower")`.

    Raises:
        InvalidArgument: no filters, or an unknown transform.
    """

    filters: Sequence[Filter]
    transforms: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(self.filters))
        given = (self.transforms,) if isinstance(self.transforms, str) else tuple(self.transforms)
        object.__setattr__(self, "transforms", given)
        if not self.filters:
            raise InvalidArgument("TokenFilter: filters must hold at least one, got none.")
        for name in given:
            if name not in TRANSFORMS:
                raise InvalidArgument(
                    f"TokenFilter: no transform is called {name!r}; there are: "
                    f"{', '.join(TRANSFORMS)}.{nearest(name, list(TRANSFORMS))}"
                )

    def compile(self, vocabulary: Vocabulary) -> "CompiledFilter":
        """Judge every token of a vocabulary.

        Raises:
            ConstraintError: no token passes; the message names the filters that contradict.
            MissingExtra: a filter needs a package that is not installed.
        """
        kept = self.masks(vocabulary)
        mask = np.logical_and.reduce(kept) & (_spelled(vocabulary) | self._by_character)
        mask[sorted(vocabulary.eos)] = False
        if not mask.any():
            guilty = [f"{named(f)} allows {n}" for f, n in contradicting(self.filters, kept)]
            raise ConstraintError(
                f"TokenFilter: no token of the vocabulary passes: {'; '.join(guilty)} of "
                f"{len(vocabulary)} tokens. Drop or loosen one of them, or transform tokens first "
                "(transforms=['strip'])."
            )
        bans = [f for f in self.filters if isinstance(f, Ban) and not f.together]
        return CompiledFilter(
            vocabulary=vocabulary, mask=mask, bans=bans, by_character=self._by_character
        )

    def masks(self, vocabulary: Vocabulary) -> list[NDArray[np.bool_]]:
        """Return bool[V] for each filter: the tokens that it allows by itself.

        Special tokens are never allowed; those that cut a character only where a ban is asked.
        """
        found: dict[int, NDArray[np.bool_]] = {}
        left = np.ones(len(vocabulary), np.bool_)
        with judging:
            for i in sorted(range(len(self.filters)), key=lambda i: _is_slow(self.filters[i])):
                found[i] = self._mask(self.filters[i], vocabulary, left)
                left &= found[i]
        return [found[i] for i in range(len(self.filters))]

    def explain(self, token: str) -> list[str]:
        """Return the filters that refuse a token, as a user would write them; none if it passes."""
        text, refused = self.transformed([token])[0], list[str]()
        if "drop_blanks" in self.transforms and not text:
            refused.append("drop_blanks")
        return refused + [named(f) for f in self.filters if not f.allows([text])[0]]

    def transformed(self, texts: Sequence[str]) -> list[str]:
        """Return texts as filters see them."""
        for name in self.transforms:
            texts = [TRANSFORMS[name](text) for text in texts]
        return list(texts)

    @property
    def _by_character(self) -> bool:
        """Whether a token that cuts a character can be judged by the characters it completes."""
        bans = all(isinstance(f, Ban) and not f.together for f in self.filters)
        return bans and not self.transforms

    def _mask(
        self, judge: Filter, vocabulary: Vocabulary, left: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return what one filter allows; one that is slow is asked about what is left alone."""
        slow = _is_slow(judge)
        key = (judge, self.transforms, vocabulary.fingerprint, left.tobytes() if slow else b"")
        if key not in _masks:
            ids = [
                i
                for i, token in enumerate(vocabulary.tokens)
                if token and (left[i] or not slow) and whole_characters(token)
            ]
            texts = self.transformed([bytes(vocabulary.tokens[i]).decode() for i in ids])
            answers = np.array(judge.allows(texts), np.bool_)
            if "drop_blanks" in self.transforms:
                answers &= np.array([bool(text) for text in texts], np.bool_)
            mask = np.zeros(len(vocabulary), np.bool_)
            mask[np.array(ids, np.intp)] = answers
            if self._by_character:  # tokens with cut characters are judged by the state
                mask |= ~_spelled(vocabulary) & np.array([bool(t) for t in vocabulary.tokens])
            _masks[key] = mask
            while len(_masks) > KEPT:
                _masks.popitem(last=False)
        return _masks[key].copy()


_masks: "OrderedDict[object, NDArray[np.bool_]]" = OrderedDict()


def _is_slow(judge: Filter) -> bool:
    return isinstance(judge, Similar)


def _spelled(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Return bool[V]: the tokens of whole characters."""
    return np.array(
        [bool(token) and whole_characters(token) for token in vocabulary.tokens], np.bool_
    )
