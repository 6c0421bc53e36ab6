"""A frozen model and an adapter as one token model of 2 V tokens: who writes, and what.

Token t < V is t written by the frozen model, V + t is t written by the adapter; a row of logits is
log P(who) + log P(token | who). So a draw of the engine is the paper's pair of selection and token,
its log-probability is that of the pair, and every scheme is a shaper of the row (`selective`).

The frozen model's hidden states are read through the engine's own cache: an identity stands in the
place of its output layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import Chunk, InvalidArgument, Vocabulary
from genwright.generators.language.embedded import resolve
from genwright.generators.language.hf import token_model
from genwright.generators.language.loading import best_dtype, read
from genwright.generators.language.local import LocalLM
from genwright.generators.language.tokens import vocabulary
from genwright.nets.adapters import RecurrentAdapter, State
from genwright.nets.products import product


@dataclass(eq=False)
class _Cache:
    """One sequence: the frozen model's cache, the adapter's state, and for a prompt its states."""

    inner: Any
    state: State | None
    seen: list[Tensor] | None


class Frozen:
    """A local model that gives hidden states, and the output layer that it had.

    Args:
        model: its weights are read anew and never changed.
    """

    def __init__(self, model: LocalLM) -> None:
        where = resolve(model.model)
        net, tokenizer = read(where, best_dtype() if model.dtype == "auto" else model.dtype)
        weight: Tensor = net.get_output_embeddings().weight.detach()
        self.width = int(weight.shape[1])
        ends = frozenset({int(tokenizer.eos_token_id)})
        self.vocabulary = vocabulary(tokenizer, len(weight), ends, where)
        self.weight = weight
        self._head = product(weight)
        identity = torch.nn.Linear(self.width, self.width, bias=False)
        identity.weight = torch.nn.Parameter(torch.eye(self.width, dtype=weight.dtype), False)
        net.set_output_embeddings(identity.to(weight.device))
        self.states = token_model(net, Vocabulary([b""], frozenset(), tokenizer.encode))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32[N, V] logits of hidden states [N, D]."""
        return self._head(hidden.to(self.weight.device, self.weight.dtype)).float()

    def step(self, chunks: Sequence[Chunk]) -> Tensor:
        """Append every chunk and return float32[N, D]: the states after all their tokens."""
        every = [Chunk(c.cache, c.tokens, c.parents, every=True) for c in chunks]
        return torch.as_tensor(self.states.step(every), device=self.weight.device)

    def read(self, texts: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return float32[T, D] for each text: the hidden states after its tokens."""
        caches = [self.states.new_cache() for _ in texts]
        found = self.step([Chunk(c, list(t)) for c, t in zip(caches, texts, strict=True)])
        for cache in caches:
            self.states.release(cache)
        return _parted(found, [len(text) for text in texts])


class SelectiveModel:
    """The pair as a token model; it takes no draft trees.

    Args:
        frozen: the model that stays as it is.
        adapter: the writer beside it. Once its weights change, so do rows for prompts that an
            engine has kept: take a new engine.
    """

    def __init__(self, frozen: Frozen, adapter: RecurrentAdapter) -> None:
        self.frozen, self.adapter = frozen, adapter.to(frozen.weight.device).eval()
        own = frozen.vocabulary
        self.size = len(own)
        ends = own.eos | {end + self.size for end in own.eos}
        self.vocabulary = Vocabulary([*own.tokens, *own.tokens], ends, own.encode, own.name)
        self.context = frozen.states.context

    def new_cache(self, source: _Cache | None = None, length: int = 0) -> _Cache:
        """Return a prompt's cache; the adapter reads again what is copied of another prompt."""
        if source is None:
            return _Cache(self.frozen.states.new_cache(), None, [])
        seen = torch.cat(source.seen or [torch.empty(0, self.frozen.width)])[:length]
        inner = self.frozen.states.new_cache(source.inner, length)
        state = self.adapter(seen[None]).state if length else None
        return _Cache(inner, state, [seen] if length else [])

    def branch(self, cache: _Cache) -> _Cache:
        """Return a cache that continues a prompt."""
        return _Cache(self.frozen.states.branch(cache.inner), cache.state, None)

    def fork(self, cache: _Cache) -> _Cache:
        """Return an independent copy of a branch."""
        return _Cache(self.frozen.states.fork(cache.inner), cache.state, None)

    def step(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Append every chunk and return float32[rows, 2 V].

        Raises:
            InvalidArgument: a draft tree.
        """
        if any(chunk.parents is not None for chunk in chunks):
            raise InvalidArgument("SelectiveModel: takes no drafts; leave `drafts` out.")
        inner = [Chunk(c.cache.inner, [t % self.size for t in c.tokens]) for c in chunks]
        with torch.no_grad():
            states = _parted(self.frozen.step(inner), [len(c.tokens) for c in chunks])
            rows: list[Tensor] = [torch.empty(0)] * len(chunks)
            for length in {len(c.tokens) for c in chunks}:
                group = [i for i, c in enumerate(chunks) if len(c.tokens) == length]
                found = self._read([chunks[i].cache for i in group], [states[i] for i in group])
                for i, own in zip(group, found, strict=True):
                    rows[i] = own if chunks[i].every else own[-1:]
            return self._joint(torch.cat(rows)).cpu().numpy()

    def keep(self, cache: _Cache, nodes: Sequence[int]) -> None:
        """Without drafts there is nothing to choose from."""
        raise InvalidArgument("SelectiveModel: takes no drafts; leave `drafts` out.")

    def release(self, cache: _Cache) -> None:
        """Free a cache."""
        self.frozen.states.release(cache.inner)

    def _read(self, caches: Sequence[_Cache], states: Sequence[Tensor]) -> list[Tensor]:
        """Let the adapter go on by states [T, D] each; return [T, 2 D + 2]: what a row is made of.

        The columns are x, W h, and the two log-probabilities of the selector.
        """
        layers, hidden = self.adapter.lstm.num_layers, self.adapter.lstm.hidden_size
        empty = states[0].new_zeros(layers, hidden)
        begun = [cache.state or (empty[:, None], empty[:, None]) for cache in caches]
        x_BTD = torch.stack(list(states))
        h, c = (torch.cat(parts, 1) for parts in zip(*begun, strict=True))
        found = self.adapter(x_BTD, (h, c))
        for i, cache in enumerate(caches):
            after = found.state
            cache.state = after[0][:, i : i + 1].contiguous(), after[1][:, i : i + 1].contiguous()
            if cache.seen is not None:
                cache.seen.append(states[i])
        return list(torch.cat([x_BTD, found.shift, found.chosen], 2))

    def _joint(self, rows: Tensor) -> Tensor:
        """Return float32[N, 2 V] log-probabilities of who writes and what."""
        d = self.frozen.width
        x, shift, chosen = rows[:, :d], rows[:, d : 2 * d], rows[:, 2 * d :]
        plain = self.frozen.logits(x).log_softmax(1)
        adapted = self.frozen.logits(x + shift).log_softmax(1)
        return torch.cat([plain + chosen[:, :1], adapted + chosen[:, 1:]], 1)


def _parted(rows: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Cut rows into pieces of these sizes."""
    ends = list(accumulate(sizes))
    return [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]
