"""Keys and values of many sequences.

A *prompt* owns its keys and values. A *row* is one draw: it points at a prompt that it shares with
its siblings, without a copy, and owns a slot of a pool for what it adds. Rows occupy the first
slots without a gap (the last row moves into a slot that falls free), so that a step reads slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

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
            more = (0, 0, 0, length - room)  # no more than that: a prompt is read in few pieces
            self.keys, self.values = pad(self.keys, more), pad(self.values, more)

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Take the keys and values [layers, K, N, D] of the next N tokens, computed elsewhere."""
        start, self.length = self.length, self.length + keys.shape[2]
        self.reserve(self.length + 1)  # the next token is read at once
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values


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


class Shelf:
    """Copies of the prompts that rows continue, side by side: [layers, seats, K, room, D].

    Rows of many prompts can then be multiplied with all of them at once. A prompt that rows
    continue no longer changes, so it is copied when it takes its seat and never again.
    """

    def __init__(self, shape: tuple[int, int, int], kind: dict[str, Any]) -> None:
        layers, heads, size = shape
        self.keys = torch.zeros(layers, 0, heads, 0, size, **kind)
        self.values = torch.zeros(layers, 0, heads, 0, size, **kind)
        self._seated: list[PromptCache | None] = []

    def seats(self, prompts: Sequence[PromptCache]) -> list[int]:
        """Return a seat for each prompt; those that are not named give theirs up."""
        wanted = {id(p) for p in prompts}
        self._seated = [p if id(p) in wanted else None for p in self._seated]
        at = {id(p): i for i, p in enumerate(self._seated) if p is not None}
        free = [i for i, p in enumerate(self._seated) if p is None]
        new = [prompt for prompt in prompts if id(prompt) not in at]
        more = max(0, len(new) - len(free))
        free += range(len(self._seated), len(self._seated) + more)
        self._seated += [None] * more
        self._reserve(len(self._seated), max((p.length for p in new), default=0))
        for prompt, seat in zip(new, free, strict=False):
            at[id(prompt)], self._seated[seat] = seat, prompt
            for shelf, own in ((self.keys, prompt.keys), (self.values, prompt.values)):
                shelf[:, seat, :, : prompt.length] = own[:, :, : prompt.length]
        return [at[id(p)] for p in prompts]

    def _reserve(self, seats: int, length: int) -> None:
        _, have, _, room, _ = self.keys.shape
        if seats > have or length > room:
            new_room = -(-max(length, room) // GROW) * GROW
            more = (0, 0, 0, new_room - room, 0, 0, 0, max(seats - have, 0))
            self.keys, self.values = pad(self.keys, more), pad(self.values, more)


class Pool:
    """The slots of all rows, and the prompts' factory."""

    def __init__(
        self, layers: int, heads: int, size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._shape = (layers, heads, size)
        self._kind: dict[str, Any] = {"dtype": dtype, "device": device}
        self.keys = torch.zeros(layers, 0, heads, 0, size, **self._kind)
        self.values = torch.zeros(layers, 0, heads, 0, size, **self._kind)
        self.shelf = Shelf(self._shape, self._kind)
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
    def fork(self, row: RowCache) -> RowCache:
        """Return a new row that holds what another does, and continues the same prompt."""
        new = RowCache(row.prompt, len(self.rows), row.length)
        self.reserve(len(self.rows) + 1, row.length)
        for pool in (self.keys, self.values):
            pool[:, new.slot, :, : row.length] = pool[:, row.slot, :, : row.length]
        self.rows.append(new)
        return new

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
