"""Prompts that another process read, handed to the decoding engine through shared memory.

Choose it to continue here what was read elsewhere: `pack` there, `Delivered(model).deliver` here.
To the engine a delivered prompt is one that its model read at once, so what follows is the engine's
own decoding, bit for bit in float32.

Patel et al. 2023, "Splitwise: Efficient Generative LLM Inference Using Phase Splitting",
arXiv:2311.18677, Section 4.2. Ours: two processes of one machine, and the whole cache in one copy
(the serial transfer; nothing is layered here).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from genwright.core import Chunk, InvalidArgument, TokenModel
from genwright.generators.language.cache import PromptCache


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A prompt's keys, values and last logits in shared memory.

    Args:
        name: of the shared memory.
        tokens: of the prompt.
        shape: of the keys, and of the values: [layers, K, tokens, D].
        width: of the logits.
    """

    name: str
    tokens: tuple[int, ...]
    shape: tuple[int, ...]
    width: int


def pack(tokens: Sequence[int], cache: PromptCache, logits: Any) -> Parcel:
    """Copy a prompt that was read into shared memory; who unpacks it frees it.

    Args:
        tokens: of the prompt.
        cache: with as many tokens; float32.
        logits: float32[V], after the last.

    Raises:
        InvalidArgument: keys that are not float32: copying them would round, or need another form.
    """
    if cache.keys.dtype != torch.float32:
        raise InvalidArgument(f"pack: needs a model in float32, got {cache.keys.dtype}.")
    keys, values = (x[:, :, : cache.length].contiguous() for x in (cache.keys, cache.values))
    row = np.asarray(logits, np.float32).reshape(-1)
    parts = [keys.numpy().reshape(-1), values.numpy().reshape(-1), row]
    memory = SharedMemory(create=True, size=sum(part.nbytes for part in parts))
    target = np.ndarray(sum(map(len, parts)), np.float32, memory.buf)
    np.concatenate(parts, out=target)
    del target  # it holds the buffer that is closed next
    memory.close()
    shape = tuple(keys.shape)
    return Parcel(name=memory.name, tokens=tuple(tokens), shape=shape, width=len(row))


def unpack(parcel: Parcel) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.float32]]:
    """Return copies of (keys, values, logits) and free the shared memory."""
    memory = SharedMemory(name=parcel.name)
    size = int(np.prod(parcel.shape))
    numbers = np.ndarray(2 * size + parcel.width, np.float32, memory.buf).copy()
    memory.close()
    memory.unlink()
    both = torch.from_numpy(numbers[: 2 * size]).reshape(2, *parcel.shape)
    return both[0], both[1], numbers[2 * size :]


class Delivered:
    """A token model to which prompts can be delivered that another process read.

    Args:
        model: does everything else; its prompts' caches must be `PromptCache`.
    """

    def __init__(self, model: TokenModel) -> None:
        self.vocabulary, self.context = model.vocabulary, model.context
        self._model = model
        self._parcels: dict[tuple[int, ...], Parcel] = {}
        self._read: WeakKeyDictionary[Any, tuple[int, ...]] = WeakKeyDictionary()

    def deliver(self, parcel: Parcel) -> None:
        """Have a prompt taken from a parcel when it is next read; any thread may."""
        self._parcels[parcel.tokens] = parcel

    def new_cache(self, source: Any = None, length: int = 0) -> Any:
        """Return a prompt's cache; which tokens it holds is kept beside it."""
        cache = self._model.new_cache(source, length)
        self._read[cache] = self._read[source][:length] if source is not None else ()
        return cache

    def branch(self, cache: Any) -> Any:
        """Return a cache that continues a prompt."""
        return self._model.branch(cache)

    def fork(self, cache: Any) -> Any:
        """Return an independent copy of a branch."""
        return self._model.fork(cache)

    def keep(self, cache: Any, nodes: Sequence[int]) -> None:
        """Keep one path of a draft tree."""
        self._model.keep(cache, nodes)

    def release(self, cache: Any) -> None:
        """Free a cache."""
        self._model.release(cache)

    def step(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Append every chunk; prompts that were delivered are copied, the others computed."""
        rows: dict[int, NDArray[np.float32]] = {}
        left: list[tuple[int, Chunk]] = []
        for i, chunk in enumerate(chunks):
            if chunk.cache in self._read:
                whole = self._read[chunk.cache] + tuple(chunk.tokens)
                self._read[chunk.cache] = whole
                parcel = self._parcels.pop(whole, None)
                if parcel is not None:
                    rows[i] = _fill(chunk.cache, parcel)
                    continue
            left.append((i, chunk))
        if left:
            found, start = self._model.step([chunk for _, chunk in left]), 0
            for i, chunk in left:
                size = len(chunk.tokens) if chunk.every else 1
                rows[i] = found[start : start + size]
                start += size
        return np.concatenate([rows[i] for i in range(len(chunks))])


def _fill(cache: PromptCache, parcel: Parcel) -> NDArray[np.float32]:
    """Put a parcel into an unread prompt's cache; return float32[1, V] logits."""
    keys, values, logits = unpack(parcel)
    cache.keys, cache.values = keys.to(cache.keys), values.to(cache.values)
    cache.length = len(parcel.tokens)
    return logits[None]
