"""llguidance behind the constraint protocols: one tokenizer a vocabulary, one matcher a draw.

`Grammar`, `Regex`, `JsonSchema` and `SqlGrammar` only write down a language; what walks it is here.
A mask is computed by llguidance into 32-bit words and spread into bool[V] by one `unpackbits`; a
fork costs about a microsecond, because matchers share what they have compiled.

Moskal and Microsoft, llguidance, https://github.com/guidance-ai/llguidance: Earley parsing over a
lexer of derivatives, run against the trie of all tokens. Ours: end tokens are set from the
accepting state alone (llguidance also offers them at a dead end, which would turn a broken draw
into a finished one), tokens are forced only where the draw may not end, and masks near the start,
which every draw meets again and which are the widest, are kept. Llguidance's own, and kept: where
bytes are forced, the mask holds the canonical token alone, so that masks are exact over texts but
not over every way to spell a text in tokens.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, require

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_tokenizers: dict[str, "LLTokenizer"] = {}
_tokenizers_lock = Lock()
_DEAD_END = "NoExtensionBias"
"""What llguidance says where no token fits and the draw may not end."""

_ITEMS = 20_000
"""Parser items in a row: ten times llguidance's default, which many-tabled SQL grammars exceed."""

_LONGEST_FORCED = 100_000
"""Tokens in a row without a choice that no language with an end would have; llguidance stops at
200,001."""

KEPT_DEPTH = 24
"""Masks are kept after at most so many tokens: what draws begin with is what they share."""

KEPT_MASKS = 2048
"""Masks kept per compiled constraint, the last used ones: 12 MB at 49,152 tokens."""

ALL_BYTES = Vocabulary(
    tokens=[bytes([i]) for i in range(256)] + [b""],
    eos=frozenset({256}),
    encode=lambda text: list(text.encode()),
    name="all bytes",
)
"""A token for each byte: what no language in UTF-8 is out of reach for."""


class MatcherState:
    """Where one draw stands in a language that llguidance walks."""

    __slots__ = ("_compiled", "_mask", "_matcher", "_prefix", "_words")

    def __init__(
        self, matcher: "LLMatcher", compiled: "CompiledMatcher", prefix: tuple[int, ...] | None = ()
    ) -> None:
        self._matcher = matcher
        self._compiled = compiled
        self._prefix = prefix  # the tokens so far, or None past the depth to which masks are kept
        self._words: NDArray[np.int32] | None = None
        self._mask: NDArray[np.bool_] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens where the draw may end.

        Raises:
            ConstraintError: the grammar is too ambiguous for llguidance's limits at this place.
        """
        if self._mask is None:
            self._mask = self._compiled.spread(self._allowed())
            self._mask[self._compiled.eos] = self.accepting
        return self._mask

    def _allowed(self) -> NDArray[np.int32]:
        """Return the mask as bit words, from those that are kept where it is among them."""
        kept, prefix = self._compiled.kept, self._prefix
        if prefix is None:
            if self._words is None:
                self._words = np.zeros(self._compiled.words, np.int32)
            return self._compute(self._words)
        words = kept.pop(prefix, None)
        if words is None:
            words = self._compute(np.zeros(self._compiled.words, np.int32))
        kept[prefix] = words  # used last
        while len(kept) > KEPT_MASKS:
            kept.popitem(last=False)
        return words

    def _compute(self, words: NDArray[np.int32]) -> NDArray[np.int32]:
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        self.check_limits()
        return words

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        if not self._matcher.consume_token(token):
            self.check_limits()
            tokens = self._compiled.vocabulary.tokens
            raise InvalidArgument(
                f"advance: token {token} ({bytes(tokens[token])!r}) is not allowed here; "
                "take one where mask() is True."
            )
        self._mask = None
        if self._prefix is not None:
            self._prefix = (*self._prefix, token) if len(self._prefix) < KEPT_DEPTH else None

    def fork(self) -> "MatcherState":
        """Return an independent copy."""
        return MatcherState(self._matcher.deep_copy(), self._compiled, self._prefix)

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        return self._matcher.is_accepting()

    def forced(self) -> list[int]:
        """Return the tokens that must come next, possibly none; the state stays where it is."""
        return [] if self.accepting else self._matcher.compute_ff_tokens()

    def check_limits(self) -> None:
        """Raise `ConstraintError` if llguidance gave up; a dead end is an empty mask, no error."""
        reason = self._matcher.get_error().partition("\n")[0]
        if reason and reason != _DEAD_END and "doesn't satisfy" not in reason:
            name = self._compiled.name
            if "ff_tokens" in reason:
                raise _endless(name)
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
    kept: "OrderedDict[tuple[int, ...], NDArray[np.int32]]" = field(
        init=False,
        repr=False,
        default_factory=OrderedDict[tuple[int, ...], NDArray[np.int32]],
    )
    """The tokens so far -> the mask as bit words, without end tokens."""

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


def compile_matcher(name: str, grammar: str, vocabulary: Vocabulary) -> CompiledMatcher:
    """Compile a grammar (as `LLMatcher.grammar_from_*` writes it) for one vocabulary.

    Args:
        name: of the constraint, for messages.
        grammar: llguidance's own form.
        vocabulary: the tokens of the model.

    Raises:
        ConstraintError: llguidance refuses the grammar, its language is empty, it forces a text
            without end, or the vocabulary lacks the bytes to begin any of its strings.
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
    if len(compiled.start().forced()) > _LONGEST_FORCED:
        raise _endless(name)
    return compiled


def _endless(name: str) -> ConstraintError:
    return ConstraintError(
        f"{name}: what must come next has no end, so that no draw could finish; give every rule "
        "that calls itself another way out."
    )


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
