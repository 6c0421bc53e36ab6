"""What fills the loop: generators, constraints, verifiers, strategies, learners.

Each is a protocol: any object with these methods is one. Registered methods are frozen dataclasses
whose construction checks and stores, nothing more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from genwright.core.cost import Budget
from genwright.core.samples import Sample, Samples, T
from genwright.core.task import Outcome, Task
from genwright.core.verdict import Verdict
from genwright.core.vocabulary import Vocabulary


@runtime_checkable
class Generator(Protocol[T]):
    """Something one can sample from.

    A prompt and a seed name an endless row of independent draws; `sample` returns draws `first` to
    `first + n - 1` of it. Draw k depends on `child_seed(seed, k)` and on nothing else, so that
    `sample(p, 8, seed=s)` equals `sample(p, 3, seed=s) + sample(p, 5, seed=s, first=3)`.
    """

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[T]:
        """Return n draws for one prompt."""
        ...


@runtime_checkable
class StreamingGenerator(Protocol[T]):
    """A generator that hands over each draw as it finishes.

    The runner prefers `stream`: a draw that was paid for is then in the ledger before the batch it
    belongs to is complete.
    """

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[T]:
        """Return n draws for one prompt."""
        ...

    def stream(
        self, prompt: Any, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[T]]]:
        """Yield (index of the draw, draw) in the order of finishing; indices start at `first`."""
        ...


@runtime_checkable
class Steerable(Protocol):
    """A generator that can be steered; `steered` returns a new one."""

    def steered(self, *constraints: "Constraint | LogitShaper") -> Self:
        """Return this generator with constraints and shapers added to those it has."""
        ...


class Memory(Protocol):
    """Where a generator leaves what it learnt while it drew, so as not to pay for it again."""

    def recall(self, name: str) -> list[tuple[bytes, bytes]]:
        """Return what is kept under a name: (key, value) pairs, in no particular order."""
        ...

    def remember(self, name: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep more under a name; a key that is there already stays as it is."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A generator that learns what makes later draws cheaper, never what they are."""

    def remembering(self, memory: Memory) -> Self:
        """Return this generator with a memory; the runner gives it the ledger."""
        ...


@runtime_checkable
class Constraint(Protocol):
    """A set of token strings that a draw must belong to."""

    def compile(self, vocabulary: Vocabulary) -> "CompiledConstraint":
        """Prepare for one vocabulary; done once, then cached by who asks.

        Raises:
            ConstraintError: it cannot be compiled, contradicts itself, or allows nothing at all.
                The message names the culprit (a JSON pointer, a rule, a filter).
        """
        ...


class CompiledConstraint(Protocol):
    """A constraint for one vocabulary. Stateless: every draw has a state of its own."""

    def start(self) -> "ConstraintState":
        """Return the state of the empty draw."""
        ...


class ConstraintState(Protocol):
    """Where one draw stands in the set."""

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens where the draw may end.

        The caller must not write to it, and must not keep it past the next `advance`.
        """
        ...

    def advance(self, token: int) -> None:
        """Move on by one allowed token. End tokens are not passed in."""
        ...

    def fork(self) -> "ConstraintState":
        """Return an independent copy."""
        ...

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        ...

    def forced(self) -> list[int]:
        """Return the tokens that must come next, possibly none; the state stays where it is.

        Only tokens of the canonical tokenization that every continuation shares: appending them
        costs no network step of their own.
        """
        ...


class LogitShaper(Protocol):
    """Something that changes the odds of the next token without forbidding any by itself.

    One that does not suit every model has a method `suits(vocabulary)` too, which is asked before
    the first network step, and raises where it does not.
    """

    def start(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "ShaperState":
        """Return the state of one draw that continues `prompt` (token ids)."""
        ...


class ShaperState(Protocol):
    """The shaper's side of one draw."""

    def shape(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32[V] shaped logits; the input is left as it was."""
        ...

    def advance(self, token: int) -> None:
        """Move on by one token."""
        ...


@dataclass(frozen=True)
class Guesses:
    """A tree of guesses at the next tokens of a draw.

    Args:
        tokens: ids, none of them an end token.
        parents: the index of each guess's parent, below its own, or -1 for a guess that follows
            the last token directly.
        odds: for each the chance that the draw comes by it, at most its parent's; with them only
            the guesses that pay for themselves are evaluated. None has all of them evaluated.
    """

    tokens: Sequence[int] = ()
    parents: Sequence[int] = ()
    odds: Sequence[float] | None = None


@runtime_checkable
class DraftSource(Protocol):
    """Something that guesses the next tokens, so that the engine can check many at once."""

    def begin(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "DraftState":
        """Return the state of one draw that continues `prompt` (token ids).

        Raises:
            InvalidArgument: it guesses for another vocabulary.
        """
        ...


class DraftState(Protocol):
    """The source's side of one draw. What it learns of the draw it learns from `tokens`."""

    def draft(self, tokens: Sequence[int], size: int, floor: float) -> Guesses:
        """Guess what follows.

        Args:
            tokens: what the draw has written so far; it starts with what it was last time.
            size: the most guesses.
            floor: guesses with lower odds would not be evaluated, so they may be left out.
        """
        ...

    def end(self, tokens: Sequence[int]) -> None:
        """Take leave of the draw, which has written these tokens."""
        ...


@runtime_checkable
class Verifier(Protocol[T]):
    """Something that checks finished draws of one task."""

    def check(self, samples: Samples[T]) -> list[Verdict]:
        """Return one verdict a draw, in order. A hostile draw is a verdict, never an exception."""
        ...


@runtime_checkable
class Strategy(Protocol):
    """Something that spends a budget over many draws and stands by one of them."""

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task. Draws come from `generator`, verdicts from `task.verifier`."""
        ...


@runtime_checkable
class Learner(Protocol):
    """Something that changes weights. Its input generator stays as it was."""

    def fit(self, generator: Any, data: Sequence[Mapping[str, Any]], *, seed: int) -> Any:
        """Return a new generator; `data` holds rows such as `{"prompt", "completion"}`."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Tokens to append to one cached sequence: one token, a piece of a prompt, or a draft tree.

    Args:
        cache: the sequence, made by `TokenModel.new_cache` or `TokenModel.branch`.
        tokens: at least one.
        parents: None for a plain run of tokens. For a tree: the index of each token's parent within
            the chunk, below its own, or -1 for a token that follows the cached sequence directly.
        every: whether logits are wanted after every token, or only after the last.
    """

    cache: Any
    tokens: Sequence[int]
    parents: Sequence[int] | None = None
    every: bool = False


class TokenModel(Protocol):
    """A model of the next token, many chunks at a time; what the engine drives.

    `generators/language/engine.py` is the only decoding loop. It hands over chunks: one token, a
    piece of a prompt, or a draft tree are the same call. Only one thread may call these methods.
    """

    vocabulary: Vocabulary
    context: int
    """The most tokens a sequence may hold."""

    def new_cache(self, source: Any = None, length: int = 0) -> Any:
        """Return a cache for a prompt that starts with a copy of the first tokens of another's."""
        ...

    def branch(self, cache: Any) -> Any:
        """Return a cache that continues a prompt and shares its memory; the prompt stays as is."""
        ...

    def fork(self, cache: Any) -> Any:
        """Return an independent copy of a branch, as far as it was read."""
        ...

    def step(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Append every chunk; return float32[rows, V] logits, in the order of chunks and tokens.

        A chunk brings one row, or one a token where it asks for every one. What one chunk gets does
        not depend on the others, up to rounding.
        """
        ...

    def keep(self, cache: Any, nodes: Sequence[int]) -> None:
        """Of the chunk appended last to a branch, keep only these tokens: one path of its tree."""
        ...

    def release(self, cache: Any) -> None:
        """Free a cache; it must not be used again."""
        ...
