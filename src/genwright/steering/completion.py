"""What completion at a cursor is made of: the tool's protocol, its count, and what it may say.

A completion tool knows what a language model cannot: the names that a project really has. Given the
text before and after a cursor, it returns the ways to finish the name there, as an editor shows
them. `JediTool` asks Jedi about Python; a language server fits the same protocol.

`CompletionShaper` chooses among the names where a trained model asks for them; `CodeCompletion`
holds every attribute of any model to them.
"""

import builtins
import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from genwright.core import InvalidArgument, Vocabulary

TRIGGER = "<lsp>"
"""The token by which a trained model asks for completion; the paper's."""

EVERYWHERE = frozenset([*keyword.kwlist, *dir(builtins), *dir(object), "self", "cls"])
"""Names that need no project: keywords, built-ins, what every object has."""

NAME_BYTES = frozenset(b for b in range(256) if b >= 0x80 or chr(b).isalnum() or b == ord("_"))
"""Bytes that go on with a name."""


@runtime_checkable
class CompletionTool(Protocol):
    """Something that completes names."""

    def complete(self, file: str, before: str, after: str) -> Sequence[str]:
        """Return what may follow the cursor to finish a name, each way once; none if it is unknown.

        These are remainders: at `pri` the name `print` is `nt`. A tool that fails counts it and
        returns none.

        Args:
            file: path of the file within the project.
            before: the file's text up to the cursor.
            after: the text from the cursor on.
        """
        ...


@dataclass
class Tally:
    """What a tool was asked, since the process began.

    Args:
        asked: questions.
        known: questions that had a name for an answer.
        failed: questions without an answer: the tool raised, died, or took too long.
        seconds: spent waiting for answers.
    """

    asked: int = 0
    known: int = 0
    failed: int = 0
    seconds: float = 0.0


def candidates(tool: CompletionTool, file: str, before: str, after: str) -> tuple[str, ...]:
    """Return the ways to finish a name; none where all of them are names known everywhere."""
    found = tuple(dict.fromkeys(name for name in tool.complete(file, before, after) if name))
    return () if all(name in EVERYWHERE for name in found) else found


def trigger_id(vocabulary: Vocabulary, trigger: str) -> int:
    """Return the token that a trigger is.

    Raises:
        InvalidArgument: it is several tokens, or an end of draws.
    """
    ids = vocabulary.encode(trigger)
    if len(ids) != 1 or ids[0] in vocabulary.eos:
        raise InvalidArgument(
            f"the trigger {trigger!r} must be one token of {vocabulary.name or 'the model'}, and "
            f"it is {len(ids)}; add it with generators.language.added_tokens.with_tokens and train "
            "the model to write it."
        )
    return ids[0]
