"""Hold a draw to several constraints at once.

Choose `Intersection` for what no single one says well: a schema and a word filter, a grammar and a
machine of your own. Masks are ANDed token by token, so that parts which agree on every next token
but on no whole string run into a dead end: a mask without any token. So do two parts that force the
same bytes cut into different tokens; put them into one grammar instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from genwright.core import (
    CompiledConstraint,
    Constraint,
    ConstraintError,
    ConstraintState,
    InvalidArgument,
    Vocabulary,
    method,
)


@method()
@dataclass(frozen=True, kw_only=True)
class Intersection:
    """The strings that every part allows.

    Args:
        parts: one constraint or more.

    Raises:
        InvalidArgument: no parts.
    """

    parts: Sequence[Constraint]

    def __post_init__(self) -> None:
        if not self.parts:
            raise InvalidArgument(
                "Intersection: parts must hold at least one constraint, got none."
            )

    def compile(self, vocabulary: Vocabulary) -> "CompiledIntersection":
        """Prepare every part for one vocabulary.

        Raises:
            ConstraintError: a part cannot be compiled, or the parts share no first token.
        """
        compiled = CompiledIntersection([part.compile(vocabulary) for part in self.parts])
        if not compiled.start().mask().any():
            names = ", ".join(type(part).__name__ for part in self.parts)
            raise ConstraintError(f"Intersection: {names} contradict: no token may come first.")
        return compiled


@dataclass(frozen=True)
class CompiledIntersection:
    """Parts that were compiled for one vocabulary."""

    parts: Sequence[CompiledConstraint]

    def start(self) -> "IntersectionState":
        """Return the state of the empty draw."""
        return IntersectionState([part.start() for part in self.parts])


class IntersectionState:
    """Where one draw stands in every part."""

    __slots__ = ("_mask", "parts")

    def __init__(self, parts: list[ConstraintState]) -> None:
        self.parts = parts
        self._mask: NDArray[np.bool_] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that every part allows."""
        if self._mask is None:
            self._mask = reduce(np.logical_and, (part.mask() for part in self.parts))
        return self._mask

    def advance(self, token: int) -> None:
        """Move every part on by one allowed token.

        Raises:
            InvalidArgument: a part does not allow the token; then no part has moved.
        """
        if not self.mask()[token]:
            raise InvalidArgument(f"advance: token {token} is not allowed by every part.")
        for part in self.parts:
            part.advance(token)
        self._mask = None

    def fork(self) -> "IntersectionState":
        """Return an independent copy."""
        return IntersectionState([part.fork() for part in self.parts])

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        return all(part.accepting for part in self.parts)

    def forced(self) -> list[int]:
        """Return what one part forces, as far as every part allows it."""
        wanted = max((part.forced() for part in self.parts), key=len)
        ahead = self.fork()
        for n, token in enumerate(wanted):
            if not ahead.mask()[token]:
                return wanted[:n]
            ahead.advance(token)
        return wanted
