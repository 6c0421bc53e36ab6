"""Attention of one packed step over the caches: rows together, prompts one by one.

A step of one draw and one token has a way of its own (`plan.Alone`).

Rows get scores against their prompts, which siblings share, and against their own slots, and one
softmax over both. Everything is computed in the numbers that the cache holds.

Legend: N packed tokens, B rows, T tokens of the longest row chunk, H query heads, K key heads,
G = H / K, M = G T, D head size, P prompt length, S slot length.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from genwright.generators.language.cache import PromptCache
from genwright.generators.language.plan import Plan, Tiles


def attend(
    plan: Plan,
    layer: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    window: int | None = None,
) -> Tensor:
    """Write the new keys and values of one layer and return what every token attends to.

    Args:
        plan: the layout of the step.
        layer: index of the layer.
        q: queries [N, H, D].
        k: keys [N, K, D].
        v: values [N, K, D].
        scale: factor of the scores.
        window: how far back a token sees, itself included, or None for all the way.
    """
    if plan.lone:
        return plan.alone(window).attend(layer, q, k, v, scale)
    kind = q.dtype
    q, k, v = (x.to(plan.pool.keys.dtype) for x in (q, k, v))
    out = torch.empty_like(q)
    if plan.row_chunks:
        n = plan.n_rows
        out[:n] = _attend_rows(plan, layer, q[:n], k[:n], v[:n], scale, window)
    for prompt, start, size in plan.prompts:
        here = slice(start, start + size)
        out[here] = _attend_prompt(prompt, layer, q[here], k[here], v[here], scale, window)
    return out.to(kind)


def _attend_rows(
    plan: Plan, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None
) -> Tensor:
    """Attend from all rows together: [n_rows, H, D] in and out."""
    pool, b, t = plan.pool, len(plan.pool.rows), plan.t
    heads, kinds, size = q.shape[1], k.shape[1], q.shape[2]
    group = heads // kinds
    pool.keys[layer][plan.slots, :, plan.places] = k
    pool.values[layer][plan.slots, :, plan.places] = v
    if plan.dense:
        padded = q.view(b, 1, heads, size)
    else:
        padded = q.new_zeros(b, t, heads, size)
        padded[plan.slots, plan.steps] = q
    q_BKGTD = (padded * scale).view(b, t, kinds, group, size).permute(0, 2, 3, 1, 4)
    keys = pool.keys[layer, :b, :, : plan.s]
    values = pool.values[layer, :b, :, : plan.s]
    own, shared = plan.mask(window)
    q_BKMD = q_BKGTD.reshape(b, kinds, group * t, size)
    scores = q.new_empty(b, kinds, group, t, plan.p + plan.s)
    scores[..., plan.p :] = (q_BKMD @ keys.mT).view(b, kinds, group, t, plan.s)
    scores[..., plan.p :] += own
    if plan.tiles is not None:
        found = _by_prompt(plan.tiles, q_BKMD, plan.pool.shelf.keys[layer, :, :, : plan.p].mT)
        scores[..., : plan.p] = found.view(b, kinds, group, t, plan.p)
    for prompt, slots in plan.groups if plan.tiles is None else ():
        if prompt.length == 0:
            continue
        mine = q_BKMD if len(plan.groups) == 1 else q_BKMD[slots]
        flat = mine.transpose(0, 1).reshape(kinds, -1, size)
        found = flat @ prompt.keys[layer, :, : prompt.length].mT
        found = found.view(kinds, -1, group, t, prompt.length).transpose(0, 1)
        if len(plan.groups) == 1:
            scores[..., : plan.p] = found
        else:
            scores[slots, ..., : prompt.length] = found
    if shared is not None and plan.tiles is not None:
        scores[..., : plan.p] += shared
    elif shared is not None:  # places past a shorter prompt were never written
        scores[..., : plan.p].nan_to_num_(0.0).add_(shared)
    weights = scores.softmax(-1, dtype=torch.float32).to(q.dtype)
    mix = (weights[..., plan.p :].reshape(b, kinds, group * t, plan.s) @ values).view(
        b, kinds, group, t, size
    )
    if plan.tiles is not None:
        heavy = weights[..., : plan.p].reshape(b, kinds, group * t, plan.p)
        read = _by_prompt(plan.tiles, heavy, plan.pool.shelf.values[layer, :, :, : plan.p])
        mix += read.view(b, kinds, group, t, size)
    for prompt, slots in plan.groups if plan.tiles is None else ():
        if prompt.length == 0:
            continue
        mine = weights if len(plan.groups) == 1 else weights[slots]
        flat = mine[..., : prompt.length].transpose(0, 1).reshape(kinds, -1, prompt.length)
        read = (flat @ prompt.values[layer, :, : prompt.length]).view(kinds, -1, group, t, size)
        if len(plan.groups) == 1:
            mix += read.transpose(0, 1)
        else:
            mix[slots] += read.transpose(0, 1)
    out = mix.permute(0, 3, 1, 2, 4).reshape(b, t, heads, size)
    return out[:, 0] if plan.dense else out[plan.slots, plan.steps]


def _by_prompt(tiles: Tiles, rows_BKMX: Tensor, prompts_SKXY: Tensor) -> Tensor:
    """Multiply each row with the matrix of its own prompt: [B, K, M, Y], all prompts at once."""
    seats, widest = tiles.rows.shape
    _, kinds, m, x = rows_BKMX.shape
    tiled = rows_BKMX[tiles.rows].transpose(1, 2).reshape(seats, kinds, widest * m, x)
    found = tiled @ prompts_SKXY[:seats]
    found = found.view(seats, kinds, widest, m, -1).transpose(1, 2)
    return found.reshape(seats * widest, kinds, m, -1)[tiles.back]


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
