"""Keys and values of many sequences, and attention over them for a packed step.

A *prompt* owns its keys and values. A *row* is one draw: it points at a prompt that it shares with
its siblings, without a copy, and owns a slot of a pool for what it adds. Rows occupy the first
slots without a gap (the last row moves into a slot that falls free), so that a step reads slices.

One step is packed: all tokens of all chunks stand in one line, and everything but attention sees
only that line. Attention handles rows together (scores against their prompts and against their own
slots, one softmax over both) and prompts one by one.

Legend: N packed tokens, B rows, T tokens of the longest row chunk, H query heads, K key heads,
G = H / K, D head size, P prompt length, S slot length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from genwright.core import Chunk

GROW = 64


@dataclass(eq=False)
class PromptCache:
    """Keys and values of one prompt: [layers, K, room, D] each, of which `length` are filled."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def reserve(self, length: int) -> None:
        """Make room for `length` tokens."""
        room = self.keys.shape[2]
        if length > room:
            more = (0, 0, 0, max(length, 2 * room) - room)
            self.keys, self.values = pad(self.keys, more), pad(self.values, more)


@dataclass(eq=False)
class RowCache:
    """One draw: the prompt it continues, its slot in the pool, and how much it has added."""

    prompt: PromptCache
    slot: int
    length: int = 0
    last: int = 0  # tokens of the chunk appended last

    @property
    def position(self) -> int:
        """The position of the next token."""
        return self.prompt.length + self.length


class Pool:
    """The slots of all rows, and the prompts' factory."""

    def __init__(
        self, layers: int, heads: int, size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._shape = (layers, heads, size)
        self._kind = {"dtype": dtype, "device": device}
        self.keys = torch.zeros(layers, 0, heads, 0, size, **self._kind)
        self.values = torch.zeros(layers, 0, heads, 0, size, **self._kind)
        self.rows: list[RowCache] = []

    @torch.inference_mode()
    def prompt(self, source: PromptCache | None, length: int) -> PromptCache:
        """Return a prompt whose first `length` tokens are copied from another."""
        layers, heads, size = self._shape
        new = PromptCache(
            torch.zeros(layers, heads, length, size, **self._kind),
            torch.zeros(layers, heads, length, size, **self._kind),
            length,
        )
        if source is not None and length:
            new.keys.copy_(source.keys[:, :, :length])
            new.values.copy_(source.values[:, :, :length])
        return new

    def branch(self, prompt: PromptCache) -> RowCache:
        """Return a new row that continues a prompt."""
        row = RowCache(prompt, len(self.rows))
        self.rows.append(row)
        return row

    @torch.inference_mode()
    def release(self, cache: PromptCache | RowCache) -> None:
        """Free a row's slot; the last row moves into it. A prompt is freed by its last user."""
        if isinstance(cache, PromptCache):
            return
        last = self.rows.pop()
        if last is not cache:
            here, there = (slice(None), cache.slot), (slice(None), last.slot)
            for pool in (self.keys, self.values):
                if last.length:
                    pool[here][:, :, : last.length] = pool[there][:, :, : last.length]
            last.slot = cache.slot
            self.rows[cache.slot] = last

    @torch.inference_mode()
    def keep(self, row: RowCache, nodes: Sequence[int]) -> None:
        """Keep only these tokens of the chunk that was appended last, closing the gaps."""
        start = row.length - row.last
        if list(nodes) != list(range(len(nodes))):
            picked = torch.tensor([start + n for n in nodes], device=self.keys.device)
            for pool in (self.keys, self.values):
                pool[:, row.slot, :, start : start + len(nodes)] = pool[:, row.slot][:, :, picked]
        row.length = start + len(nodes)
        row.last = len(nodes)

    def reserve(self, slots: int, length: int) -> None:
        """Make room for `slots` rows of `length` tokens each; what is there is kept."""
        _, have, _, room, _ = self.keys.shape
        if slots > have or length > room:
            new_slots = max(slots, 2 * have) if slots > have else have
            new_room = -(-max(length, room * 3 // 2) // GROW) * GROW if length > room else room
            more = (0, 0, 0, new_room - room, 0, 0, 0, new_slots - have)
            self.keys, self.values = pad(self.keys, more), pad(self.values, more)


class Plan:
    """One step: what every chunk reads and where it writes, found once and used by all layers."""

    def __init__(self, pool: Pool, chunks: Sequence[Chunk]) -> None:
        self.pool = pool
        device = pool.keys.device
        order = sorted(range(len(chunks)), key=lambda i: _place(chunks[i].cache))
        tokens: list[int] = []
        positions: list[int] = []
        starts = [0] * len(chunks)
        for i in order:
            starts[i] = len(tokens)
            tokens += chunks[i].tokens
            positions += _positions(chunks[i])
        outputs: list[int] = []
        for i, chunk in enumerate(chunks):
            end = starts[i] + len(chunk.tokens)
            outputs += range(starts[i] if chunk.every else end - 1, end)
        self.tokens = torch.tensor(tokens, device=device)
        self.positions = torch.tensor(positions, device=device)
        self.outputs = torch.tensor(outputs, device=device)
        ordered = [chunks[i] for i in order]
        self._prompts: list[tuple[PromptCache, int, int]] = []
        for i in order:
            cache, size = chunks[i].cache, len(chunks[i].tokens)
            if isinstance(cache, PromptCache):
                cache.reserve(cache.length + size)
                self._prompts.append((cache, starts[i], size))
        self._row_chunks = [c for c in ordered if isinstance(c.cache, RowCache)]
        self._masks: dict[int | None, tuple[Tensor, Tensor | None]] = {}
        if self._row_chunks:
            self._plan_rows()

    def _plan_rows(self) -> None:
        chunks, device = self._row_chunks, self.pool.keys.device
        self.n_rows = sum(len(c.tokens) for c in chunks)
        self.t = max(len(c.tokens) for c in chunks)
        self.s = max(c.cache.length + len(c.tokens) for c in chunks)
        self.pool.reserve(len(self.pool.rows), self.s)
        b = len(self.pool.rows)
        slots = [c.cache.slot for c in chunks for _ in c.tokens]
        steps = [t for c in chunks for t in range(len(c.tokens))]
        places = [c.cache.length + t for c in chunks for t in range(len(c.tokens))]
        self.slots, self.steps, self.places = torch.tensor(
            [slots, steps, places], device=device
        ).unbind()
        self.dense = self.n_rows == b and self.t == 1
        groups: dict[int, tuple[PromptCache, list[int]]] = {}
        for row in self.pool.rows:
            groups.setdefault(id(row.prompt), (row.prompt, []))[1].append(row.slot)
        self.groups = [(p, torch.tensor(slots, device=device)) for p, slots in groups.values()]
        self.p = max(p.length for p, _ in self.groups)

    def _mask(self, window: int | None) -> tuple[Tensor, Tensor | None]:
        """Return what is added to scores: [B, 1, 1, T, S] for slots, [B, 1, 1, T, P] for prompts.

        The second is None where every row sees its whole prompt and all prompts are equally long.
        """
        if window in self._masks:
            return self._masks[window]
        device, b = self.pool.keys.device, len(self.pool.rows)
        seen = torch.zeros(b, self.t, self.s, dtype=torch.bool)
        seen[:, :, 0] = True  # rows and padding that nobody reads must not be all -inf
        lengths = torch.tensor([row.prompt.length for row in self.pool.rows])
        slot_at = lengths[:, None] + torch.arange(self.s)  # the position that each slot holds
        at = torch.zeros(b, self.t, dtype=torch.long)
        for chunk in self._row_chunks:
            row, size = chunk.cache, len(chunk.tokens)
            slot_at[row.slot, row.length : row.length + size] = torch.tensor(_positions(chunk))
            seen[row.slot, :size, : row.length] = True
            seen[row.slot, :size, row.length : row.length + size] = _ancestors(chunk)
            at[row.slot, :size] = torch.tensor(_positions(chunk))
        columns = torch.arange(self.p)
        whole = (columns < lengths[:, None])[:, None].expand(b, self.t, self.p)
        if window is not None:
            near = at[:, :, None] - slot_at[:, None] < window
            seen = seen & (near | (at == 0)[:, :, None])
            whole = whole & (at[:, :, None] - columns < window)
        own = _additive(seen, self.pool.keys)[:, None, None].to(device)
        shared = None if bool(whole.all()) else _additive(whole, self.pool.keys)[:, None, None]
        self._masks[window] = own, None if shared is None else shared.to(device)
        return self._masks[window]

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None = None
    ) -> Tensor:
        """Write the new keys and values of one layer and return what every token attends to.

        Args:
            layer: index of the layer.
            q: queries [N, H, D].
            k: keys [N, K, D].
            v: values [N, K, D].
            scale: factor of the scores.
            window: how far back a token sees, itself included, or None for all the way.
        """
        kind = q.dtype
        q, k, v = (x.to(self.pool.keys.dtype) for x in (q, k, v))
        out = torch.empty_like(q)
        if self._row_chunks:
            n = self.n_rows
            out[:n] = self._attend_rows(layer, q[:n], k[:n], v[:n], scale, window)
        for prompt, start, size in self._prompts:
            here = slice(start, start + size)
            out[here] = _attend_prompt(prompt, layer, q[here], k[here], v[here], scale, window)
        return out.to(kind)

    def _attend_rows(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None
    ) -> Tensor:
        pool, b, t = self.pool, len(self.pool.rows), self.t
        heads, kinds, size = q.shape[1], k.shape[1], q.shape[2]
        group = heads // kinds
        pool.keys[layer][self.slots, :, self.places] = k
        pool.values[layer][self.slots, :, self.places] = v
        if self.dense:
            padded = q.view(b, 1, heads, size)
        else:
            padded = q.new_zeros(b, t, heads, size)
            padded[self.slots, self.steps] = q
        q_BKGTD = (padded * scale).view(b, t, kinds, group, size).permute(0, 2, 3, 1, 4)
        keys = pool.keys[layer, :b, :, : self.s]
        values = pool.values[layer, :b, :, : self.s]
        own, shared = self._mask(window)
        q_BKMD = q_BKGTD.reshape(b, kinds, group * t, size)
        scores = q.new_empty(b, kinds, group, t, self.p + self.s)
        scores[..., self.p :] = (q_BKMD @ keys.mT).view(b, kinds, group, t, self.s)
        scores[..., self.p :] += own
        for prompt, slots in self.groups:
            if prompt.length == 0:
                continue
            mine = q_BKMD if len(self.groups) == 1 else q_BKMD[slots]
            flat = mine.transpose(0, 1).reshape(kinds, -1, size)
            found = flat @ prompt.keys[layer, :, : prompt.length].mT
            found = found.view(kinds, -1, group, t, prompt.length).transpose(0, 1)
            if len(self.groups) == 1:
                scores[..., : self.p] = found
            else:
                scores[slots, ..., : prompt.length] = found
        if shared is not None:
            scores[..., : self.p].nan_to_num_(0.0).add_(shared)
        weights = scores.softmax(-1, dtype=torch.float32).to(q.dtype)
        mix = (weights[..., self.p :].reshape(b, kinds, group * t, self.s) @ values).view(
            b, kinds, group, t, size
        )
        for prompt, slots in self.groups:
            if prompt.length == 0:
                continue
            mine = weights if len(self.groups) == 1 else weights[slots]
            flat = mine[..., : prompt.length].transpose(0, 1).reshape(kinds, -1, prompt.length)
            read = (flat @ prompt.values[layer, :, : prompt.length]).view(kinds, -1, group, t, size)
            if len(self.groups) == 1:
                mix += read.transpose(0, 1)
            else:
                mix[slots] += read.transpose(0, 1)
        out = mix.permute(0, 3, 1, 2, 4).reshape(b, t, heads, size)
        return out[:, 0] if self.dense else out[self.slots, self.steps]

    def finish(self) -> None:
        """Record that every chunk was appended."""
        for prompt, _, size in self._prompts:
            prompt.length += size
        for chunk in self._row_chunks:
            chunk.cache.length += len(chunk.tokens)
            chunk.cache.last = len(chunk.tokens)


def _attend_prompt(
    prompt: PromptCache,
    layer: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    window: int | None,
) -> Tensor:
    start, size = prompt.length, len(q)
    end = start + size
    prompt.keys[layer, :, start:end] = k.transpose(0, 1)
    prompt.values[layer, :, start:end] = v.transpose(0, 1)
    mask = None
    if start or (window is not None and end > window):
        at = torch.arange(start, end, device=q.device)[:, None]
        column = torch.arange(end, device=q.device)
        mask = column <= at
        if window is not None:
            mask &= at - column < window
    group = q.shape[1] // k.shape[1]
    keys = prompt.keys[layer, :, :end].repeat_interleave(group, 0)
    values = prompt.values[layer, :, :end].repeat_interleave(group, 0)
    out = scaled_dot_product_attention(
        q.transpose(0, 1)[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
    )
    return out[0].transpose(0, 1)


def _place(cache: PromptCache | RowCache) -> tuple[int, int]:
    """Rows come first, in the order of their slots; prompts keep their own order."""
    return (0, cache.slot) if isinstance(cache, RowCache) else (1, 0)


def _positions(chunk: Chunk) -> list[int]:
    cache = chunk.cache
    start = cache.position if isinstance(cache, RowCache) else cache.length
    if chunk.parents is None:
        return list(range(start, start + len(chunk.tokens)))
    depths: list[int] = []
    for parent in chunk.parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    return [start + depth for depth in depths]


def _ancestors(chunk: Chunk) -> Tensor:
    """Return bool[T, T]: whether token j is token i or an ancestor of it."""
    size = len(chunk.tokens)
    if chunk.parents is None:
        return torch.ones(size, size, dtype=torch.bool).tril()
    seen = torch.eye(size, dtype=torch.bool)
    for i, parent in enumerate(chunk.parents):
        if parent >= 0:
            seen[i] |= seen[parent]
    return seen


def _additive(seen: Tensor, like: Tensor) -> Tensor:
    return torch.zeros(seen.shape, dtype=like.dtype).masked_fill_(~seen, float("-inf"))
