"""The next token of many draws: shapers and constraints act on a row of logits, then it is chosen.

Two things keep this a small part of a step. Rows are worked on a few at a time, so that they stay
in the processor's cache. And where a mask leaves few tokens, those are gathered first, so that
nothing but the gathering looks at the whole vocabulary. How wide a row is then depends on its own
mask alone: company does not change a draw.

Legend: R rows worked on together, V vocabulary, W width of a table of gathered tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import uniform
from genwright.generators.language.draw import Draw
from genwright.generators.language.sampling import choose as choose_tokens
from genwright.generators.language.sampling import totals
from genwright.generators.language.scoring import Rows

ROWS = 16
"""At a vocabulary of 49,152, 64 rows take 13 ms as a whole and 2.4 ms in parts of 16."""
WIDTHS = (256, 4096)
"""Rows with at most this many allowed tokens are gathered into a table of this width."""

Failed = list[tuple[Draw, Exception]]


@dataclass(frozen=True, eq=False)
class _Row:
    """One draw's row: `place` in what was asked, `allowed` is None for a draw without a mask."""

    place: int
    draw: Draw
    logits: Tensor
    total: Tensor
    shaped: Tensor | None
    allowed: NDArray[np.bool_] | None


def choose(ready: Sequence[tuple[Draw, int]], rows: Rows) -> Failed:
    """Choose the next token of every draw from its row of logits, and write it.

    Args:
        ready: draws, each with its row.
        rows: of the step.

    Returns:
        the draws whose steering failed, and why.
    """
    tokens, failed = pick(ready, rows.logits, rows.totals)
    chosen = [(d, row, t) for (d, row), t in zip(ready, tokens, strict=True) if t is not None]
    if not chosen:
        return failed
    _, at, picked = zip(*chosen, strict=True)
    for (draw, row, token), score in zip(chosen, rows.logprobs(at, picked), strict=True):
        try:
            draw.take(token, score)
            if draw.sampling.logprobs and draw.end_logprob is None:
                rows.note_top(draw, row)
        except Exception as error:
            failed.append((draw, error))
    return failed


def pick(
    ready: Sequence[tuple[Draw, int]], logits: Tensor, totals_: Tensor
) -> tuple[list[int | None], Failed]:
    """Choose a token for every draw, and note how much of the model's probability its mask took.

    A draw with nothing left to choose from is finished as "constraint".

    Args:
        ready: draws, each with its row of logits.
        logits: float32 [rows, V], left as they are.
        totals_: logsumexp of each row.

    Returns:
        (a token a draw, or None where there is none; the draws whose steering failed, and why)
    """
    tokens: list[int | None] = [None] * len(ready)
    failed = Failed()
    tables: dict[int, list[_Row]] = {}
    for place, (draw, at) in enumerate(ready):
        try:
            shaped = _shaped(draw, logits[at]) if draw.shapers else None
            allowed = draw.allowed() if draw.states else None
        except Exception as error:  # it ends its own request; the others go on
            failed.append((draw, error))
            continue
        row = _Row(place, draw, logits[at], totals_[at], shaped, allowed)
        tables.setdefault(_width(row), []).append(row)
    for width, rows in tables.items():
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            for row, token in zip(part, _pick(part, width), strict=True):
                tokens[row.place] = token
    return tokens, failed


def _width(row: _Row) -> int:
    whole = row.logits.shape[0]
    if row.allowed is None:
        return whole
    count = np.count_nonzero(row.allowed)
    return next((width for width in WIDTHS if count <= width < whole), whole)


def _pick(rows: Sequence[_Row], width: int) -> list[int | None]:
    """Choose a token for each of a few rows that share a table."""
    ids = None
    if width < rows[0].logits.shape[0]:
        ids = [torch.from_numpy(np.flatnonzero(row.allowed)) for row in rows]  # pyright: ignore
    odds_RW = _table([row.logits for row in rows], rows, ids, width)
    masked = [i for i, row in enumerate(rows) if row.allowed is not None]
    if masked:
        mine = odds_RW if len(masked) == len(rows) else odds_RW[masked]
        left = (totals(mine) - torch.stack([rows[i].total for i in masked])).tolist()
        for i, mass in zip(masked, left, strict=True):
            if mass == mass:  # a row with nothing left has none
                rows[i].draw.masked_mass -= min(mass, 0.0)
    if any(row.shaped is not None for row in rows):
        shaped = [row.logits if row.shaped is None else row.shaped for row in rows]
        odds_RW = _table(shaped, rows, ids, width)
    alive = (odds_RW.amax(1) > float("-inf")).tolist()
    for row, lives in zip(rows, alive, strict=True):
        if not lives:
            row.draw.finish = "constraint"
    going = [i for i, lives in enumerate(alive) if lives]
    if not going:
        return [None] * len(rows)
    draws = [rows[i].draw for i in going]
    numbers = [uniform(draw.seed, len(draw.tokens)) for draw in draws]
    odds_RW = odds_RW if len(going) == len(rows) else odds_RW[going]
    found = dict(
        zip(going, choose_tokens(odds_RW, [draw.sampling for draw in draws], numbers), strict=True)
    )
    if ids is not None:
        found = {i: int(ids[i][spot]) for i, spot in found.items()}
    return [found.get(i) for i in range(len(rows))]


def _table(
    sources: Sequence[Tensor], rows: Sequence[_Row], ids: Sequence[Tensor] | None, width: int
) -> Tensor:
    """Return what may be chosen from, [R, W]: allowed tokens, gathered or in place, else -inf."""
    if ids is None:
        table = torch.stack(list(sources))
        for i, row in enumerate(rows):
            if row.allowed is not None:
                table[i].masked_fill_(torch.from_numpy(~row.allowed), float("-inf"))
        return table
    table = torch.full((len(rows), width), float("-inf"))
    for i, (source, kept) in enumerate(zip(sources, ids, strict=True)):
        table[i, : len(kept)] = source[kept]
    return table


def _shaped(draw: Draw, logits_V: Tensor) -> Tensor:
    shaped = logits_V.numpy()
    for shaper in draw.shapers:
        shaped = shaper.shape(shaped)
    return torch.from_numpy(np.ascontiguousarray(shaped, dtype=np.float32))
