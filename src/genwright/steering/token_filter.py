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

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, method, nearest
from genwright.steering.lexical import PAPER, Ban, Filter, contradicting, fold, judging, named
from genwright.steering.similar import Similar

KEPT = 256
"""Masks kept: of filters by vocabulary, and of states by compiled constraint."""

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

State = tuple[bytes, tuple[str, ...]]
"""Bytes of an unfinished character, and for each ban the ending that may become a banned string."""


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
                if token and (left[i] or not slow) and _whole(token)
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


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledFilter:
    """Filters for one vocabulary: a mask, and what must be followed from token to token.

    Args:
        vocabulary: the tokens.
        mask: bool[V]: the tokens that pass by themselves.
        bans: whose strings may be spelled by several tokens.
        by_character: whether cut characters are followed.
    """

    vocabulary: Vocabulary
    mask: NDArray[np.bool_]
    bans: Sequence[Ban]
    by_character: bool
    cut: Mapping[bool, list[int]] = field(init=False, repr=False)
    """Allowed tokens that cut a character: those that go on with one (True), and those that do
    not (False)."""
    forms: Sequence[tuple[list[str], NDArray[np.intp]]] = field(init=False, repr=False)
    """For each ban the texts of all other allowed tokens as it reads them, sorted, and their
    ids."""
    kept: "OrderedDict[State, NDArray[np.bool_]]" = field(
        init=False, repr=False, default_factory=OrderedDict[State, NDArray[np.bool_]]
    )
    lively: dict[State, bool] = field(init=False, repr=False, default_factory=dict[State, bool])

    def __post_init__(self) -> None:
        tokens = self.vocabulary.tokens
        allowed = np.flatnonzero(self.mask).tolist()
        whole = {i: bytes(tokens[i]).decode() for i in allowed if _whole(tokens[i])}
        cut: dict[bool, list[int]] = {True: [], False: []}
        for i in sorted(allowed, key=lambda i: len(tokens[i])):
            if i not in whole:
                cut[0x80 <= tokens[i][0] < 0xC0].append(i)
        forms: list[tuple[list[str], NDArray[np.intp]]] = []
        for ban in self.bans:
            pairs = sorted((_form(ban, text), i) for i, text in whole.items())
            forms.append(([form for form, _ in pairs], np.array([i for _, i in pairs], np.intp)))
        object.__setattr__(self, "cut", cut)
        object.__setattr__(self, "forms", forms)

    def start(self) -> "FilterState":
        """Return the state of the empty draw."""
        return FilterState((b"", ("",) * len(self.bans)), self)

    def allowed(self, state: State) -> NDArray[np.bool_]:
        """Return bool[V] for one state, end tokens where no character is unfinished."""
        mask = self.kept.pop(state, None)
        if mask is None:
            pending, endings = state
            mask = np.zeros(len(self.vocabulary), np.bool_) if pending else self.mask.copy()
            mask[self.cut[True] + self.cut[False]] = False
            cut = self.cut[bool(pending)]
            mask[np.array(cut, np.intp)] = [self._leads_on(state, token) for token in cut]
            if not pending:
                self._strike(mask, endings)
                mask[sorted(self.vocabulary.eos)] = True
        self.kept[state] = mask
        if len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        return mask

    def _strike(self, mask: NDArray[np.bool_], endings: Sequence[str]) -> None:
        """Clear the tokens that finish what an ending began of a banned string."""
        for ban, ending, (forms, ids) in zip(self.bans, endings, self.forms, strict=True):
            for rest in _rests(ban, ending):
                first = bisect_left(forms, rest)
                after = bisect_left(forms, rest[:-1] + chr(ord(rest[-1]) + 1), first)
                mask[ids[first:after]] = False

    def after(self, state: State, token: int) -> State | None:
        """Return the state after a token, or None where it completes what is banned."""
        read = _decoded(state[0] + bytes(self.vocabulary.tokens[token]))
        if read is None or not self._clean(state[1], read[0]):
            return None
        text, pending = read
        pairs = zip(self.bans, state[1], strict=True)
        return pending, tuple(_ending(ban, ending + _form(ban, text)) for ban, ending in pairs)

    def _leads_on(self, state: State, token: int) -> bool:
        """Whether a token that cuts a character is allowed, and some token after it."""
        after = self.after(state, token)
        if after is None or not after[0]:
            return after is not None
        if after not in self.lively:
            self.lively[after] = any(self._leads_on(after, token) for token in self.cut[True])
        return self.lively[after]

    def _clean(self, endings: Sequence[str], text: str) -> bool:
        return not any(
            banned in ending + _form(ban, text)
            for ban, ending in zip(self.bans, endings, strict=True)
            for banned in _banned(ban)
        )


class FilterState:
    """Where one draw stands: what it began that must not be finished."""

    __slots__ = ("_compiled", "_state")

    def __init__(self, state: State, compiled: CompiledFilter) -> None:
        self._state = state
        self._compiled = compiled

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens where the draw may end."""
        return self._compiled.allowed(self._state)

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        after = self._compiled.after(self._state, token) if self.mask()[token] else None
        if after is None:
            raise InvalidArgument(f"advance: token {token} does not pass the filters here.")
        self._state = after

    def fork(self) -> "FilterState":
        """Return an independent copy."""
        return FilterState(self._state, self._compiled)

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here: after any whole character."""
        return not self._state[0]

    def forced(self) -> list[int]:
        """Return no tokens: filters leave a choice."""
        return []


_masks: "OrderedDict[object, NDArray[np.bool_]]" = OrderedDict()


def _is_slow(judge: Filter) -> bool:
    return isinstance(judge, Similar)


def _whole(token: bytes) -> bool:
    """Whether bytes are whole characters."""
    try:
        bytes(token).decode()
    except UnicodeDecodeError:
        return False
    return True


def _spelled(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Return bool[V]: the tokens of whole characters."""
    return np.array([bool(token) and _whole(token) for token in vocabulary.tokens], np.bool_)


def _decoded(data: bytes) -> tuple[str, bytes] | None:
    """Return (whole characters, bytes of one that has begun), or None for what is no UTF-8."""
    for size in range(min(3, len(data)) + 1):
        head, tail = data[: len(data) - size], data[len(data) - size :]
        try:
            text = head.decode()
        except UnicodeDecodeError:
            continue
        return (text, tail) if not tail or _begins_character(tail) else None
    return None


def _begins_character(tail: bytes) -> bool:
    """Whether some bytes after `tail` make it one character."""
    try:
        tail.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start == 0
    return False


def _form(ban: Ban, text: str) -> str:
    return fold(text) if ban.fold else text


@lru_cache
def _banned(ban: Ban) -> tuple[str, ...]:
    return tuple(_form(ban, text) for text in ban.strings)


def _rests(ban: Ban, ending: str) -> set[str]:
    """Return what a token must not begin with after an ending."""
    begun = (ending[-size:] for size in range(1, len(ending) + 1))
    return {b[len(s) :] for s in begun for b in _banned(ban) if b.startswith(s) and len(b) > len(s)}


def _ending(ban: Ban, text: str) -> str:
    """Return the longest ending of a text that is a proper beginning of a banned string."""
    banned = _banned(ban)
    for size in range(min(len(text), max(map(len, banned)) - 1), 0, -1):
        if any(b.startswith(text[-size:]) and len(b) > size for b in banned):
            return text[-size:]
    return ""
