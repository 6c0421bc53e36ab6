"""The prompts that draws continue: each is read once, piece by piece, and kept to begin others.

Draws of one prompt share its keys and values. A new prompt starts from a copy of the longest prefix
that it has in common with one that was read recently.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from genwright.core import TokenModel
from genwright.generators.language.draw import Spent

KEPT_TOKENS = 16_384
"""Prompts are kept for reuse up to this many tokens together (46 kB each for a model of 135M)."""


@dataclass(eq=False)
class ReadPrompt:
    """A prompt that is being read, or was: `logits` is float32[1, V] once it is ready.

    `ahead` is where the predictor of its cache keeps what it has read, until the cache is filled.
    """

    tokens: tuple[int, ...]
    cache: Any
    done: int
    logits: Tensor | None = None
    spent: Spent = field(default_factory=Spent)
    ahead: Any = None

    def note(self, size: int, logits: Tensor) -> None:
        """Note that a piece was read, with the logits [1, V] after its last token."""
        self.done += size
        self.spent.prompt_tokens += size
        if self.done == len(self.tokens):
            self.logits = logits.clone()


class Predictor(Protocol):
    """Something that reads prompts in a model's place and fills its caches (`kv_predictor.py`)."""

    def begin(self) -> Any:
        """Return what a new prompt holds as `ahead`."""
        ...

    def read(self, prompt: ReadPrompt, size: int) -> int:
        """Read at most `size` tokens of a prompt; return how many of them are left to the model."""
        ...


class Prompts:
    """The prompts of one model.

    Args:
        model: makes and frees their caches.
        keep: how many are kept for reuse.
        predictor: reads them in the model's place, each from its first token; None lets the model.
    """

    def __init__(self, model: TokenModel, keep: int, predictor: Predictor | None = None) -> None:
        self._model, self._keep, self._predictor = model, keep, predictor
        self._kept: OrderedDict[tuple[int, ...], ReadPrompt] = OrderedDict()

    def find(self, tokens: tuple[int, ...]) -> ReadPrompt:
        """Return the prompt, begun from what an earlier one has in common with it."""
        found = self._kept.get(tokens)
        if found is None and self._predictor is not None:
            cache, ahead = self._model.new_cache(), self._predictor.begin()
            found = self._kept[tokens] = ReadPrompt(tokens, cache, 0, ahead=ahead)
        elif found is None:
            best, length = None, 0
            for other in self._kept.values():
                shared = min(_shared(tokens, other.tokens), other.done, len(tokens) - 1)
                if shared > length:
                    best, length = other, shared
            cache = self._model.new_cache(None if best is None else best.cache, length)
            found = self._kept[tokens] = ReadPrompt(tokens, cache, length)
        self._kept.move_to_end(tokens)
        self._drop_oldest()
        return found

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def _drop_oldest(self) -> None:
        held = sum(map(len, self._kept))
        for key in list(self._kept)[:-1]:
            if len(self._kept) <= self._keep and held <= KEPT_TOKENS:
                break
            if self._kept[key].logits is not None:  # those who draw from it hold it themselves
                self._model.release(self._kept.pop(key).cache)
                held -= len(key)


def unread(prompts: Iterable[ReadPrompt], piece: int) -> list[tuple[ReadPrompt, int]]:
    """Return which prompts to read on, and how many tokens of each: `piece` together at most."""
    found: dict[int, tuple[ReadPrompt, int]] = {}
    for prompt in prompts:
        if prompt.logits is None and id(prompt) not in found:
            size = min(len(prompt.tokens) - prompt.done, piece)
            if size:
                found[id(prompt)] = prompt, size
                piece -= size
    return list(found.values())


def predicted(
    reading: Iterable[tuple[ReadPrompt, int]], predictor: Predictor
) -> list[tuple[ReadPrompt, int]]:
    """Let the predictor read what it is to read; return what is left to the model."""
    left = (
        (prompt, size if prompt.ahead is None else predictor.read(prompt, size))
        for prompt, size in reading
    )
    return [(prompt, size) for prompt, size in left if size]


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Return the length of the longest common prefix."""
    size = min(len(a), len(b))
    if a[:size] == b[:size]:
        return size
    return next(i for i in range(size) if a[i] != b[i])
