"""Where a text stands under filters that began to hold somewhere in it, and how it may go on.

Filters hold a passage: from a place that the writer chose to the cursor, and on. The model reads
the whole text in its own tokens; a filter follows the passage in whatever tokens spell it and that
it allows, since a person typed it and no filter was asked.

The last token is taken back and its text is asked for again as the beginning of the next one
("token healing"; Lundberg 2023, "The Art of Prompt Design: Prompt Boundaries and Token Healing"),
so that a text that ends inside a word, or in a space, goes on as the model would write it. Ours:
a token that begins inside a character stays, and so does one that the filters do not allow to be
asked for again; where the token began before the passage, a filter sees of the next token what lies
in the passage (`carried.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genwright.core import CompiledConstraint, ConstraintState, InvalidArgument, Vocabulary
from genwright.serving.studio.carried import Carried
from genwright.serving.studio.pieces import Pieces
from genwright.steering.compose import IntersectionState

LOOKS = 5000
"""Positions at which another spelling of a passage is looked for."""


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a text stands.

    Args:
        tokens: what the model reads: the text, but for its last few bytes.
        states: of the filters, before those bytes.
        pending: the last few bytes; the next token begins with them.
    """

    tokens: list[int]
    states: Sequence[ConstraintState]
    pending: bytes = b""


@dataclass(frozen=True)
class Broken:
    """A passage that the filters do not allow.

    Args:
        at: the bytes of it that are allowed.
        by: index of the filter that allows no more, or -1 where only all together do not.
    """

    at: int
    by: int


def stand(
    compiled: Sequence[CompiledConstraint], context: str, passage: str, pieces: Pieces
) -> Stand | Broken:
    """Follow a text to its end.

    Args:
        compiled: the filters; none allow everything.
        context: the text before the passage, which no filter sees.
        passage: what the filters hold.
        pieces: of the vocabulary.
    """
    encode, text = pieces.vocabulary.encode, context + passage
    ids, data, begins = encode(text) if text else [], text.encode(), len(context.encode())
    start = [each.start() for each in compiled]
    if pieces.vocabulary.decode(ids) != data:  # the tokenizer changes what it reads
        found = _spell(start, data[begins:], pieces, whole=True)
        return found if isinstance(found, Broken) else Stand(ids, found[1])
    last, pending = _taken_back(ids, data, pieces.vocabulary.tokens)
    cut = len(data) - len(pending)
    if cut < begins and compiled:
        carried = [Carried(state, data[cut:begins], pieces) for state in start]
        if _goes_on(carried, pieces.beginning_with(pending)):
            return Stand(ids[:last], carried, pending)
    else:
        found = _spell(start, data[begins : max(cut, begins)], pieces, whole=True)
        if not isinstance(found, Broken) and _goes_on(found[1], pieces.beginning_with(pending)):
            return Stand(ids[:last], found[1], pending)
    found = _spell(start, data[begins:], pieces, whole=True)
    if not isinstance(found, Broken):
        return Stand(ids, found[1])
    found = _spell(start, data[begins:], pieces)
    if isinstance(found, Broken):
        return found
    at, states = found
    read = ids if begins + at == len(data) else encode(data[: begins + at].decode())
    return Stand(list(read), states, data[begins + at :])


def _taken_back(ids: Sequence[int], data: bytes, tokens: Sequence[bytes]) -> tuple[int, bytes]:
    """Return how many tokens stay, and the bytes of the last one if it begins with a character."""
    pending = bytes(tokens[ids[-1]]) if ids else b""
    if not pending or pending[0] & 0xC0 == 0x80:
        return len(ids), b""
    return len(ids) - 1, pending


def _goes_on(states: Sequence[ConstraintState], ids: NDArray[np.intp]) -> bool:
    allowed = np.ones(len(ids), np.bool_)
    for state in states:
        allowed &= state.mask()[ids]
    return bool(allowed.any())


def _spell(
    start: Sequence[ConstraintState], data: bytes, pieces: Pieces, *, whole: bool = False
) -> tuple[int, list[ConstraintState]] | Broken:
    """Follow bytes in any tokens that spell them: depth first, long tokens first, a place once.

    Args:
        start: states at the beginning.
        data: what was written.
        pieces: of the vocabulary.
        whole: follow all of it; else the end may be left for the next token to begin with.

    Returns:
        (bytes that were followed, states after them), or where no spelling goes on.
    """
    waiting = [(0, [state.fork() for state in start])]
    seen: set[int] = set()
    furthest, by = -1, -1
    while waiting and len(seen) < LOOKS:
        at, states = waiting.pop()
        if at == len(data) or (not start and whole):
            return len(data), states
        if at in seen:
            continue
        seen.add(at)
        rest = data[at:]
        if not whole and len(rest) < pieces.longest and rest[0] & 0xC0 != 0x80:
            more = pieces.beginning_with(rest)
            if len(more) and _goes_on(states, more):
                return at, states
        fitting = pieces.spelling_beginnings(rest)
        masks = [state.mask() for state in states]
        allowed = [pair for pair in fitting if all(mask[pair[1]] for mask in masks)]
        if at > furthest and not allowed:
            furthest, by = at, _culprit(states, [token for _, token in fitting])
        for size, token in allowed:  # the longest is pushed last, so it is looked at first
            after = [state.fork() for state in states]
            for state in after:
                state.advance(token)
            waiting.append((at + size, after))
    return Broken(max(furthest, 0), by)


def _culprit(states: Sequence[ConstraintState], ids: Sequence[int]) -> int:
    for number, state in enumerate(states):
        if not any(state.mask()[token] for token in ids):
            return number
    return -1


@dataclass(frozen=True, eq=False)
class Passage:
    """The ways a passage may go on: a constraint, ready for its vocabulary.

    Args:
        stand: where the text stands.
        pieces: of the vocabulary.
    """

    stand: Stand
    pieces: Pieces
    _parts: list[ConstraintState] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = [*self.stand.states, _Pending(self.stand.pending, self.pieces)]
        object.__setattr__(self, "_parts", parts)

    def compile(self, vocabulary: Vocabulary) -> "Passage":
        """Return this: the filters are compiled already.

        Raises:
            InvalidArgument: for another vocabulary.
        """
        if vocabulary is not self.pieces.vocabulary:
            raise InvalidArgument("Passage: it was prepared for another vocabulary.")
        return self

    def start(self) -> IntersectionState:
        """Return the state at the cursor."""
        return IntersectionState([part.fork() for part in self._parts])


class _Pending:
    """The first token begins with some bytes; after it anything goes."""

    __slots__ = ("_bytes", "_mask", "_pieces")

    def __init__(self, data: bytes, pieces: Pieces, mask: NDArray[np.bool_] | None = None) -> None:
        self._bytes, self._pieces = data, pieces
        if mask is None:
            mask = np.full(len(pieces.vocabulary), not data)
            mask[pieces.beginning_with(data)] = True
        self._mask = mask

    def mask(self) -> NDArray[np.bool_]:
        return self._mask

    def advance(self, token: int) -> None:
        if not self._mask[token]:
            raise InvalidArgument(f"advance: token {token} does not begin with {self._bytes!r}.")
        if self._bytes:
            self.__init__(b"", self._pieces)

    def fork(self) -> "_Pending":
        return _Pending(self._bytes, self._pieces, self._mask)

    @property
    def accepting(self) -> bool:
        return not self._bytes

    def forced(self) -> list[int]:
        return []
