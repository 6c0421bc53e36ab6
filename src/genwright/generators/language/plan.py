"""One step over many cached sequences, laid out: what every chunk reads and where it writes.

A step is packed: all tokens of all chunks stand in one line, rows first, prompts after, and
everything but attention sees only that line. The layout is found once and used by all layers.

Legend: N packed tokens, B rows, T tokens of the longest row chunk, P prompt length, S slot length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genwright.core import Chunk
from genwright.generators.language.cache import Pool, PromptCache, RowCache

SPARSE = 3
"""Tiles are used while they hold at most this many places a row."""
SHELF_BYTES = 1 << 30
"""Tiles are used while the copies of all prompts fit into this."""


@dataclass(frozen=True)
class Tiles:
    """Rows by prompt: `rows` [seats, R] are slots (padded with slot 0), `back` [B] finds a slot."""

    rows: Tensor
    back: Tensor


class Alone:
    """One row that adds one token, and nothing else: every view of every layer is made at once.

    With few numbers a layer, the time goes into the calls, so there are as few as may be.

    Args:
        row: of the first slot.
        keys: the pool's, [layers, slots, K, room, D].
        values: likewise.
        window: how far back the token sees, itself included, or None for all the way.
    """

    def __init__(self, row: RowCache, keys: Tensor, values: Tensor, window: int | None) -> None:
        at, prompt = row.length, row.prompt
        first = max(row.position + 1 - window, 0) if window else 0
        here = slice(max(first - prompt.length, 0), at + 1)
        there = slice(min(first, prompt.length), prompt.length)
        self._shape = (keys.shape[2], -1, keys.shape[4])
        self._dtype = keys.dtype
        self._new = keys[:, 0, :, at].unbind(), values[:, 0, :, at].unbind()
        self._own = keys[:, 0, :, here].mT.unbind(), values[:, 0, :, here].unbind()
        self._prompt = (
            prompt.keys[:, :, there].mT.unbind(),
            prompt.values[:, :, there].unbind(),
        )
        self._split = there.stop - there.start

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Write the new keys and values of a layer and return what the token attends to, [1, H, D].

        Args:
            layer: index of the layer.
            q: queries [1, H, D].
            k: keys [1, K, D].
            v: values [1, K, D].
            scale: factor of the scores.
        """
        self._new[0][layer].copy_(k[0])
        self._new[1][layer].copy_(v[0])
        q_KGD = q.view(self._shape).to(self._dtype).mul(scale)
        prompts, own = (torch.bmm(q_KGD, keys[layer]) for keys in (self._prompt[0], self._own[0]))
        weights = torch.cat([prompts, own], 2).softmax(2)
        mix = torch.bmm(weights[:, :, : self._split], self._prompt[1][layer])
        mix = torch.baddbmm(mix, weights[:, :, self._split :], self._own[1][layer])
        return mix.view(q.shape).to(q.dtype)


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
        self.prompts: list[tuple[PromptCache, int, int]] = []
        for i in order:
            cache, size = chunks[i].cache, len(chunks[i].tokens)
            if isinstance(cache, PromptCache):
                cache.reserve(cache.length + size)
                self.prompts.append((cache, starts[i], size))
        self.row_chunks = [c for c in ordered if isinstance(c.cache, RowCache)]
        self._masks: dict[int | None, tuple[Tensor, Tensor | None]] = {}
        self._alone: dict[int | None, Alone] = {}
        self.lone = False
        if self.row_chunks:
            self._plan_rows()

    def _plan_rows(self) -> None:
        chunks, device = self.row_chunks, self.pool.keys.device
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
        self.lone = b == self.n_rows == 1 and not self.prompts
        if self.lone:
            return
        groups: dict[int, tuple[PromptCache, list[int]]] = {}
        for row in self.pool.rows:
            groups.setdefault(id(row.prompt), (row.prompt, []))[1].append(row.slot)
        self.groups = [(p, torch.tensor(slots, device=device)) for p, slots in groups.values()]
        self.p = max(p.length for p, _ in self.groups)
        self.tiles = self._tiles() if self.p and len(self.groups) > 1 else None

    def _tiles(self) -> "Tiles | None":
        """Lay rows out by the seat of their prompt; None where that would be mostly padding."""
        b, widest = len(self.pool.rows), max(len(slots) for _, slots in self.groups)
        keys = self.pool.keys
        token = 2 * keys.shape[0] * keys.shape[2] * keys.shape[4] * keys.element_size()
        if len(self.groups) * self.p * token > SHELF_BYTES:
            return None
        if len(self.groups) * widest > SPARSE * b + 8:
            return None
        seats = self.pool.shelf.seats([prompt for prompt, _ in self.groups])
        rows = torch.zeros(max(seats) + 1, widest, dtype=torch.long)
        back = torch.zeros(b, dtype=torch.long)
        for seat, (_, slots) in zip(seats, self.groups, strict=True):
            rows[seat, : len(slots)] = slots.cpu()
            back[slots.cpu()] = seat * widest + torch.arange(len(slots))
        device = self.pool.keys.device
        return Tiles(rows.to(device), back.to(device))

    def alone(self, window: int | None) -> Alone:
        """Return what a lone row reads and writes."""
        if window not in self._alone:
            pool = self.pool
            self._alone[window] = Alone(pool.rows[0], pool.keys, pool.values, window)
        return self._alone[window]

    def mask(self, window: int | None) -> tuple[Tensor, Tensor | None]:
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
        for chunk in self.row_chunks:
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

    def finish(self) -> None:
        """Record that every chunk was appended."""
        for prompt, _, size in self.prompts:
            prompt.length += size
        for chunk in self.row_chunks:
            chunk.cache.length += len(chunk.tokens)
            chunk.cache.last = len(chunk.tokens)


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
