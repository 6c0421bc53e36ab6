"""A filter that holds from inside a token on.

A passage may begin after a space that the model would rather write together with the word that
follows. Its first token then holds some bytes from before the passage, which the filter must not
see: it is asked about the rest of the token, spelled in tokens that are there.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintState, InvalidArgument
from genwright.serving.studio.pieces import Pieces, Spelled


class Carried:
    """The state of a filter before a token that begins before its passage.

    Args:
        state: of the filter, at the beginning of the passage.
        before: the bytes of the next token that the filter must not see; none once it came.
        pieces: of the vocabulary.
    """

    __slots__ = ("_before", "_mask", "_pieces", "_state")

    def __init__(
        self,
        state: ConstraintState,
        before: bytes,
        pieces: Pieces,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        self._state, self._before, self._pieces, self._mask = state, before, pieces, mask

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next."""
        if not self._before:
            return self._state.mask()
        if self._mask is None:
            self._mask = np.zeros(len(self._pieces.vocabulary), np.bool_)
            self._allow(self._state, self._pieces.inside(self._before), 0)
        return self._mask

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        if not self._before:
            self._state.advance(token)
            return
        if not self.mask()[token]:
            raise InvalidArgument(f"advance: token {token} is not allowed here.")
        rest = bytes(self._pieces.vocabulary.tokens[token])[len(self._before) :]
        for piece in self._pieces.spelled(rest):
            self._state.advance(piece)
        self._before, self._mask = b"", None

    def fork(self) -> "Carried":
        """Return an independent copy."""
        return Carried(self._state.fork(), self._before, self._pieces, self._mask)

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        return not self._before and self._state.accepting

    def forced(self) -> list[int]:
        """Return the tokens that must come next; none before the first has come."""
        return [] if self._before else self._state.forced()

    def _allow(self, state: ConstraintState, group: Sequence[Spelled], depth: int) -> None:
        """Allow what a filter allows of tokens that are spelled alike up to some depth."""
        assert self._mask is not None
        following: dict[int, list[Spelled]] = {}
        for each in group:
            if len(each[1]) == depth:
                self._mask[each[0]] = True
            else:
                following.setdefault(each[1][depth], []).append(each)
        allowed = state.mask() if following else None
        for piece, part in following.items():
            if allowed is None or not allowed[piece]:
                continue
            if all(len(spelled) == depth + 1 for _, spelled in part):
                self._mask[[token for token, _ in part]] = True
                continue
            after = state.fork()
            after.advance(piece)
            self._allow(after, part, depth + 1)
