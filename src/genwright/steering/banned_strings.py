"""Follow banned strings, and characters cut in two, from token to token.

A ban of one letter is a mask. A ban of more needs the state kept here: the longest ending of the
draw that begins a banned string. Where tokens may cut characters, the bytes of the unfinished one
are kept as well, and a character counts when its last byte arrives.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, Vocabulary
from genwright.steering.filters import fold
from genwright.steering.lexical import Ban

KEPT = 256
"""Masks kept by compiled constraint, of the states visited last."""

State = tuple[bytes, tuple[str, ...]]
"""Bytes of an unfinished character, and for each ban the ending that may become a banned string."""


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
        whole = {i: bytes(tokens[i]).decode() for i in allowed if whole_characters(tokens[i])}
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


def whole_characters(token: bytes) -> bool:
    """Whether bytes are whole characters."""
    try:
        bytes(token).decode()
    except UnicodeDecodeError:
        return False
    return True


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
        if any(b.startswith(text[-size:]) for b in banned):
            return text[-size:]
    return ""
