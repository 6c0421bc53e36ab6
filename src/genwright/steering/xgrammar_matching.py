"""xgrammar behind the constraint protocols, for the schemas that llguidance refuses.

Dong et al. 2024, "XGrammar: Flexible and Efficient Structured Generation Engine for Large Language
Models", arXiv:2411.15100, Sections 3.1 and 3.2 (adaptive token mask cache, persistent stack).
Ours: it never reports forced tokens, because its jump-forward string may end inside a token of the
canonical tokenization.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, require

if TYPE_CHECKING:
    from xgrammar import CompiledGrammar, GrammarMatcher


class XGrammarState:
    """Where one draw stands in a language that xgrammar walks."""

    __slots__ = ("_compiled", "_mask", "_matcher")

    def __init__(self, matcher: "GrammarMatcher", compiled: "CompiledXGrammar") -> None:
        self._matcher = matcher
        self._compiled = compiled
        self._mask: NDArray[np.bool_] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens where the draw may end."""
        if self._mask is None:
            size = len(self._compiled.vocabulary)
            words = np.full((1, (size + 31) // 32), -1, np.int32)
            self._matcher.fill_next_token_bitmask(words)
            bits = np.unpackbits(words[0].view(np.uint8), count=size, bitorder="little")
            self._mask = bits.view(np.bool_)
        return self._mask

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        if not self._matcher.accept_token(token):
            shown = bytes(self._compiled.vocabulary.tokens[token])
            raise InvalidArgument(
                f"advance: token {token} ({shown!r}) is not allowed here; "
                "take one where mask() is True."
            )
        self._mask = None

    def fork(self) -> "XGrammarState":
        """Return an independent copy."""
        return XGrammarState(self._matcher.fork(), self._compiled)

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        return bool(self.mask()[min(self._compiled.vocabulary.eos)])

    def forced(self) -> list[int]:
        """Return no tokens: see the module's first lines."""
        return []


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledXGrammar:
    """A language for one vocabulary, walked by xgrammar; made by `compile_schema`."""

    vocabulary: Vocabulary
    grammar: "CompiledGrammar" = field(repr=False)

    def start(self) -> XGrammarState:
        """Return the state of the empty draw."""
        matcher = require("xgrammar", extra="lm", needed_by="JsonSchema").GrammarMatcher
        return XGrammarState(matcher(self.grammar), self)


def compile_schema(schema: str, vocabulary: Vocabulary, *, any_whitespace: bool) -> Any:
    """Compile a JSON Schema for one vocabulary.

    Args:
        schema: as JSON text.
        vocabulary: the tokens of the model.
        any_whitespace: whether white space may stand between the parts of a value.

    Raises:
        ConstraintError: xgrammar refuses the schema.
        MissingExtra: xgrammar is not installed.
    """
    xgrammar = require("xgrammar", extra="lm", needed_by="JsonSchema(engine='xgrammar')")
    tokens = xgrammar.TokenizerInfo(
        list(vocabulary.tokens), vocab_size=len(vocabulary), stop_token_ids=sorted(vocabulary.eos)
    )
    separators = None if any_whitespace else (",", ":")
    try:
        grammar = xgrammar.GrammarCompiler(tokens, max_threads=1).compile_json_schema(
            schema, any_whitespace=any_whitespace, separators=separators, strict_mode=False
        )
    except (RuntimeError, ValueError) as error:
        reason = re.sub(r"\[\d\d:\d\d:\d\d\] \S+: ", "", str(error)).strip()
        raise ConstraintError(f"JsonSchema: xgrammar refuses the schema: {reason}.") from error
    return CompiledXGrammar(vocabulary=vocabulary, grammar=grammar)
