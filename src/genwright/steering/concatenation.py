"""Hold a draw to several constraints one after the other.

Choose it for a fixed frame around a free part (a line of reasoning, then JSON), where each part is
a constraint of its own.

Ours throughout. Parts that llguidance walks become one grammar, so that a token may reach over from
one part into the next; neighbouring regular expressions are joined first. As everywhere in such a
grammar, a piece of text is read as long as it goes: where the end of one part could also begin the
next, only the longest reading is allowed. Parts of other kinds are followed side by side, one
reading for each place where a part may have ended; tokens then end where parts do.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import Any, cast

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
from genwright.steering.grammar import Regex
from genwright.steering.matching import compile_matcher

READINGS = 256
"""Readings followed at once; a part that may end anywhere opens one at every token."""


@method()
@dataclass(frozen=True, kw_only=True)
class Concatenation:
    """The strings made of one string of each part, in order.

    Args:
        parts: one constraint or more.

    Raises:
        InvalidArgument: no parts.
    """

    parts: Sequence[Constraint]

    def __post_init__(self) -> None:
        if not self.parts:
            raise InvalidArgument(
                "Concatenation: parts must hold at least one constraint, got none."
            )

    def compile(self, vocabulary: Vocabulary) -> CompiledConstraint:
        """Prepare for one vocabulary.

        Raises:
            ConstraintError: a part cannot be compiled.
        """
        parts = list(_joined(self.parts))
        offered = [getattr(part, "grammar", lambda: None)() for part in parts]
        forms = [str(form) for form in offered if form is not None]
        if len(forms) == len(parts):
            return compile_matcher("Concatenation", _in_a_row(forms), vocabulary)
        return CompiledConcatenation([part.compile(vocabulary) for part in parts], vocabulary)


@dataclass(frozen=True)
class CompiledConcatenation:
    """Parts that were compiled for one vocabulary."""

    parts: Sequence[CompiledConstraint]
    vocabulary: Vocabulary

    def start(self) -> "ConcatenationState":
        """Return the state of the empty draw."""
        return ConcatenationState(self, [(0, self.parts[0].start())])


class ConcatenationState:
    """Where one draw may stand: (part, its state) for each reading of the draw so far."""

    __slots__ = ("_compiled", "_mask", "_readings")

    def __init__(
        self, compiled: CompiledConcatenation, readings: list[tuple[int, ConstraintState]]
    ) -> None:
        self._compiled = compiled
        self._readings = readings
        self._mask: NDArray[np.bool_] | None = None
        for part, state in readings:  # the list grows: a part that may end lets the next begin
            if state.accepting and part + 1 < len(compiled.parts):
                readings.append((part + 1, compiled.parts[part + 1].start()))

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that some reading allows, end tokens where it may end."""
        if self._mask is None:
            self._mask = reduce(np.logical_or, (state.mask() for _, state in self._readings)).copy()
            self._mask[sorted(self._compiled.vocabulary.eos)] = self.accepting
        return self._mask

    def advance(self, token: int) -> None:
        """Move on by one allowed token; readings that do not allow it end.

        Raises:
            InvalidArgument: no reading allows the token.
            ConstraintError: the draw has too many readings to follow.
        """
        if not self.mask()[token]:
            raise InvalidArgument(f"advance: token {token} is not allowed by any reading.")
        going = [(part, state) for part, state in self._readings if state.mask()[token]]
        for _, state in going:
            state.advance(token)
        if len(going) > READINGS:
            raise ConstraintError(
                f"Concatenation: more than {READINGS} readings of one draw; let a part end in "
                "fewer places."
            )
        self.__init__(self._compiled, going)

    def fork(self) -> "ConcatenationState":
        """Return an independent copy."""
        copy = ConcatenationState(self._compiled, [])
        copy._readings = [(part, state.fork()) for part, state in self._readings]
        return copy

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here: some reading has reached the end of the last part."""
        last = len(self._compiled.parts) - 1
        return any(part == last and state.accepting for part, state in self._readings)

    def forced(self) -> list[int]:
        """Return what the only reading forces; nothing where there are several."""
        return self._readings[0][1].forced() if len(self._readings) == 1 else []


def _joined(parts: Iterable[Constraint]) -> Iterable[Constraint]:
    """Join neighbouring regular expressions into one, whose readings are then exact."""
    for regular, run in groupby(parts, lambda part: isinstance(part, Regex)):
        if regular:
            yield Regex(pattern="".join(f"(?:{cast('Regex', part).pattern})" for part in run))
        else:
            yield from run


def _in_a_row(forms: Sequence[str]) -> str:
    """Return the grammar of one sub-grammar after the other, in llguidance's form."""
    named: list[dict[str, Any]] = []
    for number, form in enumerate(forms):
        inner = json.loads(form)["grammars"] if form.startswith("{") else [{"lark_grammar": form}]
        named.append({**inner[0], "name": f"part{number}"})
    start = "start: " + " ".join(f"@{grammar['name']}" for grammar in named)
    return json.dumps({"grammars": [{"lark_grammar": start}, *named]})
