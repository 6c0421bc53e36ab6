"""llguidance behind the constraint protocols: one tokenizer a vocabulary, one matcher a draw.

`Grammar`, `Regex`, `JsonSchema` and `SqlGrammar` only write down a language; what walks it is here.
A mask is computed by llguidance into 32-bit words and spread into bool[V] by one `unpackbits`; a
fork costs about a microsecond, because matchers share what they have compiled.

Moskal and Microsoft, llguidance, https://github.com/guidance-ai/llguidance: Earley parsing over a
lexer of derivatives, run against the trie of all tokens. Ours: end tokens are set from the
accepting state alone (llguidance also offers them at a dead end, which would turn a broken draw
into a finished one), and tokens are forced only where the draw may not end. Llguidance's own, and
kept: where bytes are forced, the mask holds the canonical token alone, so that masks are exact over
texts but not over every way to spell a text in tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, require

if TYPE_CHECKING:
    from llguidance import LLExecutor, LLMatcher, LLTokenizer

_tokenizers: dict[str, "LLTokenizer"] = {}
_tokenizers_lock = Lock()
_DEAD_END = "NoExtensionBias"
"""What llguidance says where no token fits and the draw may not end."""

_ITEMS = 20_000
"""Parser items in a row: ten times llguidance's default, which many-tabled SQL grammars exceed."""

ALL_BYTES = Vocabulary(
    tokens=[bytes([i]) for i in range(256)] + [b""],
    eos=frozenset({256}),
    encode=lambda text: list(text.encode()),
    name="all bytes",
)
"""A token for each byte: what no language in UTF-8 is out of reach for."""


class MatcherState:
    """Where one draw stands in a language that llguidance walks."""

    __slots__ = ("_compiled", "_mask", "_words", "matcher")

    def __init__(self, matcher: "LLMatcher", compiled: "CompiledMatcher") -> None:
        self.matcher = matcher
        self._compiled = compiled
        self._words: NDArray[np.int32] | None = None
        self._mask: NDArray[np.bool_] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens where the draw may end.

        Raises:
            ConstraintError: the grammar is too ambiguous for llguidance's limits at this place.
        """
        if self._mask is None:
            if self._words is None:
                self._words = np.zeros(self._compiled.words, np.int32)
            self.matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
            self._mask = self._compiled.spread(self._words)
            self._mask[self._compiled.eos] = self.accepting
            self.check_limits()
        return self._mask

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        if not self.matcher.consume_token(token):
            self.check_limits()
            tokens = self._compiled.vocabulary.tokens
            raise InvalidArgument(
                f"advance: token {token} ({bytes(tokens[token])!r}) is not allowed here; "
                "take one where mask() is True."
            )
        self._mask = None

    def fork(self) -> "MatcherState":
        """Return an independent copy."""
        return MatcherState(self.matcher.deep_copy(), self._compiled)

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        return self.matcher.is_accepting()

    def forced(self) -> list[int]:
        """Return the tokens that must come next, possibly none; the state stays where it is."""
        return [] if self.accepting else self.matcher.compute_ff_tokens()

    def check_limits(self) -> None:
        """Raise `ConstraintError` if llguidance gave up; a dead end is an empty mask, no error."""
        reason = self.matcher.get_error().partition("\n")[0]
        if reason and reason != _DEAD_END and "doesn't satisfy" not in reason:
            name = self._compiled.name
            raise ConstraintError(f"{name}: llguidance gave up in mid-draw: {reason}")


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledMatcher:
    """A language for one vocabulary, walked by llguidance; made by `compile_matcher`.

    Args:
        name: of the constraint, for messages.
        vocabulary: the tokens that masks speak of.
        matcher: at the start of the language; every draw gets a copy.
    """

    name: str
    vocabulary: Vocabulary
    matcher: "LLMatcher"
    eos: NDArray[np.intp] = field(init=False)
    words: int = field(init=False)
    _executor: "list[LLExecutor]" = field(init=False, default_factory=list["LLExecutor"])

    def __post_init__(self) -> None:
        object.__setattr__(self, "eos", np.array(sorted(self.vocabulary.eos), np.intp))
        object.__setattr__(self, "words", (len(self.vocabulary) + 31) // 32)

    def start(self) -> MatcherState:
        """Return the state of the empty draw."""
        return MatcherState(self.matcher.deep_copy(), self)

    def spread(self, words: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Turn int32[..., ceil(V/32)] bit words into bool[..., V]."""
        bits = np.unpackbits(
            words.view(np.uint8), axis=-1, count=len(self.vocabulary), bitorder="little"
        )
        return bits.view(np.bool_)

    def masks(self, states: Sequence[MatcherState], out: NDArray[np.bool_]) -> None:
        """Fill out[i] with the mask of states[i], all at once on llguidance's own threads.

        Args:
            states: states of this compiled constraint, each at most once.
            out: bool[len(states), V], overwritten.
        """
        if not self._executor:
            self._executor.append(require_llguidance(self.name).LLExecutor())
        words = np.zeros((len(states), self.words), np.int32)
        self._executor[0].unsafe_compute_mask_ptr(
            [(state.matcher, i) for i, state in enumerate(states)],
            words.ctypes.data,
            self.words * 4,
            len(states),
        )
        out[:] = self.spread(words)
        for i, state in enumerate(states):
            out[i, self.eos] = state.accepting
            state.check_limits()


def compile_matcher(name: str, grammar: str, vocabulary: Vocabulary) -> CompiledMatcher:
    """Compile a grammar (as `LLMatcher.grammar_from_*` writes it) for one vocabulary.

    Args:
        name: of the constraint, for messages.
        grammar: llguidance's own form.
        vocabulary: the tokens of the model.

    Raises:
        ConstraintError: llguidance refuses the grammar, its language is empty, or the vocabulary
            lacks the bytes to begin any of its strings.
        MissingExtra: llguidance is not installed.
    """
    compiled = _compiled(name, grammar, vocabulary)
    if not compiled.start().mask().any():
        if _compiled(name, grammar, ALL_BYTES).start().mask().any():
            known = vocabulary.name or f"of {len(vocabulary)} tokens"
            raise ConstraintError(
                f"{name}: the vocabulary {known} cannot spell the beginning of any allowed string; "
                "use a tokenizer with byte fallback, or allow other characters."
            )
        raise ConstraintError(f"{name}: no string at all is allowed; its parts contradict.")
    return compiled


def refusal(grammar: str) -> tuple[str, list[str]]:
    """Return (why llguidance refuses the grammar, or `""`; its warnings)."""
    failed, messages = require_llguidance("steering").LLMatcher.validate_grammar_with_warnings(
        grammar
    )
    return (messages[0].strip(), []) if failed else ("", [m.strip() for m in messages])


def require_llguidance(needed_by: str) -> Any:
    """Import llguidance, or raise `MissingExtra`."""
    return require("llguidance", extra="lm", needed_by=needed_by)


def _compiled(name: str, grammar: str, vocabulary: Vocabulary) -> CompiledMatcher:
    tokenizer = _tokenizer(name, vocabulary)
    llguidance = require_llguidance(name)
    limits = llguidance.LLParserLimits(
        max_items_in_row=_ITEMS, step_max_items=20 * _ITEMS, verbose_errors=False
    )
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    if matcher.is_error():
        raise ConstraintError(f"{name}: {matcher.get_error().partition('<state>')[0].strip()}")
    return CompiledMatcher(name=name, vocabulary=vocabulary, matcher=matcher)


def _tokenizer(name: str, vocabulary: Vocabulary) -> "LLTokenizer":
    """Return llguidance's view of a vocabulary; made once, since it takes up to a second."""
    if not vocabulary.eos:
        raise ConstraintError(f"{name}: the vocabulary {vocabulary.name} has no end token.")
    with _tokenizers_lock:
        key = vocabulary.fingerprint
        if key not in _tokenizers:
            _tokenizers[key] = _new_tokenizer(name, vocabulary)
        return _tokenizers[key]


def _new_tokenizer(name: str, vocabulary: Vocabulary) -> "LLTokenizer":
    llguidance = require_llguidance(name)
    size, eos = len(vocabulary), sorted(vocabulary.eos)
    if hasattr(vocabulary.backend, "backend_tokenizer"):
        from_hf = require("llguidance.hf", extra="lm", needed_by=name).from_tokenizer
        return from_hf(vocabulary.backend, n_vocab=size, eos_token=eos)
    return llguidance.LLTokenizer(_BareTokens(vocabulary), n_vocab=size, eos_token=eos)


class _BareTokens:
    """A vocabulary without a tokenizer of its own, in the form llguidance asks for."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.eos_token_id = min(vocabulary.eos)
        self.tokens = [bytes(token) for token in vocabulary.tokens]
        self.special_token_ids = [i for i, t in enumerate(self.tokens) if not t]
        self._by_bytes = {t: i for i, t in reversed(list(enumerate(self.tokens))) if t}
        self._longest = max(map(len, self.tokens), default=0)
        self._encode = vocabulary.encode

    def __call__(self, text: str | bytes) -> list[int]:
        """Tokenize as the vocabulary does, or greedily where it cannot give the bytes back."""
        data = text.encode() if isinstance(text, str) else text
        try:
            ids = self._encode(data.decode())
            if b"".join(self.tokens[i] for i in ids) == data:
                return ids
        except (ValueError, LookupError):  # bytes that are no text, or no word of a tiny vocabulary
            pass
        return self._greedy(data)

    def _greedy(self, data: bytes) -> list[int]:
        ids: list[int] = []
        while data:
            sizes = range(min(self._longest, len(data)), 0, -1)
            size = next((n for n in sizes if data[:n] in self._by_bytes), 0)
            if not size:
                break  # the rest cannot be spelled: nothing of it is forced
            ids.append(self._by_bytes[data[:size]])
            data = data[size:]
        return ids
