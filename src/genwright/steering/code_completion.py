"""Hold every name behind a dot to those that the project really has.

After the trigger, a dot by default, a completion tool is asked about the file as it stands; if it
knows how the name may go on, the draw must spell one of its answers to the end. Choose it for any
model as it is, for code in a project that it cannot see. Beside it everything is allowed, and where
the tool knows nothing (in a string, behind a float's dot, behind an object of unknown type) the
draw is free: code may still be wrong elsewhere.

Agrawal et al. 2023, "Monitor-Guided Decoding of Code LMs with Static Analysis of Repository
Context", arXiv:2306.10763, Section 3: a dereference triggers the static analysis, whose answers
mask the tokens until a name is complete. With the trigger of a trained model (`"<lsp>"`) it is the
trie of Wang et al. 2024, arXiv:2401.06391, without its threshold and its stopping rule, which need
probabilities (`CompletionShaper`). Ours: names are held byte by byte, so that a token may reach
from a name into what follows; a token in which a letter follows a dot is refused, since the tool
could not be asked in between.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, Vocabulary, method
from genwright.steering.completion import NAME_BYTES, CompletionTool, candidates
from genwright.steering.jedi_tool import opened

Rest = tuple[bytes, bool]
"""What is left of a candidate, and whether a letter behind it would make it another name."""


@method(paper="arXiv:2306.10763")
@dataclass(frozen=True, kw_only=True)
class CodeCompletion:
    """The texts in which a tool's names follow every trigger, where it knows any.

    Args:
        tool: a `CompletionTool`, or the folder of a Python project, which Jedi then completes.
        file: path of the file that the draw is written into, within the project.
        before: the file's text up to the draw.
        after: the text that follows it. What the draw replaces must be in neither.
        trigger: one ASCII character that is no part of a name, or a special token of the model.

    Raises:
        InvalidArgument: no trigger, or a character that may be part of a name.
    """

    tool: CompletionTool | str | Path
    file: str
    before: str = ""
    after: str = ""
    trigger: str = "."

    def __post_init__(self) -> None:
        if not self.trigger or (len(self.trigger) == 1 and ord(self.trigger) in NAME_BYTES):
            raise InvalidArgument(
                "CodeCompletion: trigger must be one character that is no part of a name, or a "
                f"special token, got {self.trigger!r}."
            )
        if isinstance(self.tool, str):  # no plain data: what is learnt under it must not be kept
            object.__setattr__(self, "tool", Path(self.tool))  # for a project that has changed

    def compile(self, vocabulary: Vocabulary) -> "CompiledCompletion":
        """Prepare for one vocabulary.

        Raises:
            InvalidArgument: the trigger is neither one character nor a special token.
            MissingFile: there is no such project.
            MissingExtra: Jedi is not installed.
        """
        mark = None
        if len(self.trigger) > 1:
            ids = vocabulary.encode(self.trigger)
            if len(ids) != 1 or vocabulary.tokens[ids[0]] or ids[0] in vocabulary.eos:
                raise InvalidArgument(
                    f"CodeCompletion: {self.trigger!r} is no special token of "
                    f"{vocabulary.name or 'the model'}; give one, or one character such as '.'."
                )
            mark = ids[0]
        return CompiledCompletion(constraint=self, vocabulary=vocabulary, mark=mark)


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledCompletion:
    """The constraint for one vocabulary.

    Args:
        constraint: as it was written.
        vocabulary: the tokens.
        mark: the trigger, where it is a special token.
    """

    constraint: CodeCompletion
    vocabulary: Vocabulary
    mark: int | None
    tool: CompletionTool = field(init=False, repr=False)
    free: NDArray[np.bool_] = field(init=False, repr=False)
    """bool[V]: what may come where no name is asked for."""
    apart: NDArray[np.bool_] = field(init=False, repr=False)
    """bool[V]: which of these do not go on with a name."""
    spelled: Sequence[bytes] = field(init=False, repr=False)
    """The tokens that have bytes, sorted."""
    ids: NDArray[np.intp] = field(init=False, repr=False)
    """Their ids."""
    letters: frozenset[int] = field(init=False, repr=False)
    """Bytes that are tokens: what a name can be spelled with to its end."""

    def __post_init__(self) -> None:
        tokens = self.vocabulary.tokens
        code = b"" if self.mark is not None else self.constraint.trigger.encode()
        free = np.array([bool(t) and not _reaches_over(bytes(t), code) for t in tokens], np.bool_)
        free[sorted(self.vocabulary.eos)] = True
        apart = np.array([not t or t[0] not in NAME_BYTES for t in tokens], np.bool_)
        if self.mark is not None:
            free[self.mark] = True
        pairs = sorted((bytes(t), i) for i, t in enumerate(tokens) if t and free[i])
        made = {
            "tool": opened(self.constraint.tool),
            "free": free,
            "apart": free & apart,
            "spelled": [text for text, _ in pairs],
            "ids": np.array([i for _, i in pairs], np.intp),
            "letters": frozenset(text[0] for text, _ in pairs if len(text) == 1),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def start(self) -> "CodeState":
        """Return the state of the empty draw; a trigger that ends the file's text counts."""
        due = self.mark is None and self.constraint.before.endswith(self.constraint.trigger)
        return CodeState(self, b"", due=due)

    def rests(self, text: bytes) -> list[Rest] | None:
        """Ask the tool behind a text; None where it knows nothing."""
        where = self.constraint
        before = where.before + text.decode("utf-8", "replace")
        names = candidates(self.tool, where.file, before, where.after)
        spelled = [name.encode() for name in names if self.letters.issuperset(name.encode())]
        return [(name, name[-1] in NAME_BYTES) for name in spelled] or None

    def allowed(self, rests: Sequence[Rest]) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that go on with a candidate, or end one."""
        mask = np.zeros(len(self.vocabulary), np.bool_)
        for rest, closed in rests:
            if not rest:
                mask |= self.apart if closed else self.free
                continue
            for size in range(1, len(rest)):
                mask[self._spelling(rest[:size])] = True
            first = bisect_left(self.spelled, rest)
            for i in range(first, len(self.spelled)):
                text = self.spelled[i]
                if not text.startswith(rest):
                    break
                if len(text) == len(rest) or not closed or text[len(rest)] not in NAME_BYTES:
                    mask[self.ids[i]] = True
        return mask

    def _spelling(self, text: bytes) -> NDArray[np.intp]:
        first = last = bisect_left(self.spelled, text)
        while last < len(self.spelled) and self.spelled[last] == text:
            last += 1
        return self.ids[first:last]


class CodeState:
    """Where one draw stands: in a name that must be finished, or nowhere in particular."""

    __slots__ = ("_compiled", "_due", "_marked", "_mask", "_rests", "_text")

    def __init__(
        self,
        compiled: CompiledCompletion,
        text: bytes,
        *,
        due: bool = False,
        marked: bool = False,
        rests: list[Rest] | None = None,
    ) -> None:
        self._compiled, self._text = compiled, text
        self._due, self._marked, self._rests = due, marked, rests
        self._mask: NDArray[np.bool_] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens outside of unfinished names."""
        if self._mask is None:
            rests, compiled = self._open(), self._compiled
            self._mask = compiled.free if rests is None else compiled.allowed(rests)
            if self._marked:
                self._mask = self._mask.copy()
                self._mask[compiled.mark] = False
        return self._mask

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        compiled = self._compiled
        if not self.mask()[token] or token in compiled.vocabulary.eos:
            raise InvalidArgument(f"advance: token {token} is not allowed here.")
        self._mask = None
        self._marked = self._due = token == compiled.mark
        if self._marked:
            self._rests = None
            return
        piece = bytes(compiled.vocabulary.tokens[token])
        self._text += piece
        self._rests = _after(self._rests, piece)
        if self._rests is None and compiled.mark is None:
            self._due = piece.endswith(compiled.constraint.trigger.encode())

    def fork(self) -> "CodeState":
        """Return an independent copy."""
        return CodeState(
            self._compiled, self._text, due=self._due, marked=self._marked, rests=self._rests
        )

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here: unless a name is unfinished."""
        rests = self._open()
        return rests is None or any(not rest for rest, _ in rests)

    def forced(self) -> list[int]:
        """Return no tokens: a name has no canonical cut of its own."""
        return []

    def _open(self) -> list[Rest] | None:
        """Return what is left of the candidates; the tool is asked when it is first needed."""
        if self._due:
            self._due = False
            self._rests = self._compiled.rests(self._text)
        return self._rests


def _after(rests: Sequence[Rest] | None, piece: bytes) -> list[Rest] | None:
    """Return the candidates that a token goes on with, or None where it has left them."""
    going: list[Rest] = []
    for rest, closed in rests or ():
        if rest.startswith(piece):
            going.append((rest[len(piece) :], closed))
        elif piece.startswith(rest) and not (closed and piece[len(rest)] in NAME_BYTES):
            return None  # a candidate ended within the token, and what follows is free
    return going or None


def _reaches_over(token: bytes, code: bytes) -> bool:
    """Whether a name begins behind the trigger within a token."""
    at = token.find(code) if code else -1
    while at >= 0:
        if token[at + 1 : at + 2] and token[at + 1] in NAME_BYTES:
            return True
        at = token.find(code, at + 1)
    return False
