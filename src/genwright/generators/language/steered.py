"""Shapers and constraints at one position of many draws: from logits to the odds of a choice."""

import numpy as np
import torch
from torch import Tensor

from genwright.generators.language.draw import Draw
from genwright.generators.language.sampling import totals

Failed = list[tuple[Draw, Exception]]


def steer(
    draws: list[Draw], logits_BV: Tensor, totals_B: Tensor
) -> tuple[Tensor, list[bool], Failed]:
    """Shape each row, then mask it.

    A draw with nothing left to choose from is finished as "constraint"; the others note how much
    of the model's own probability their mask took away.

    Args:
        draws: one a row.
        logits_BV: float32, left as they are.
        totals_B: logsumexp of each row.

    Returns:
        (odds [B, V], whether each row can be chosen from, the draws whose steering failed and why)
    """
    going, failed = [True] * len(draws), Failed()
    blocked = np.zeros(logits_BV.shape, np.bool_)
    shaped: dict[int, Tensor] = {}
    for i, draw in enumerate(draws):
        try:
            if draw.shapers:
                shaped[i] = _shaped(draw, logits_BV[i])
            if draw.states:
                np.logical_not(draw.allowed(), out=blocked[i])
        except Exception as error:  # it ends its own request; the others go on
            going[i] = False
            failed.append((draw, error))
    mask = torch.from_numpy(blocked)
    odds = logits_BV.masked_fill(mask, float("-inf"))
    left = totals(odds) - totals_B
    if shaped:
        rows = torch.tensor(list(shaped))
        odds[rows] = torch.stack(list(shaped.values())).masked_fill(mask[rows], float("-inf"))
    alive = (odds.amax(1) > float("-inf")).tolist()
    for i, (draw, mass) in enumerate(zip(draws, left.tolist(), strict=True)):
        if not going[i] or not draw.states:
            continue
        if not alive[i]:
            draw.finish, going[i] = "constraint", False
        else:
            draw.masked_mass -= min(mass, 0.0)
    return odds, going, failed


def _shaped(draw: Draw, logits_V: Tensor) -> Tensor:
    shaped = logits_V.numpy()
    for shaper in draw.shapers:
        shaped = shaper.shape(shaped)
    return torch.from_numpy(np.ascontiguousarray(shaped, dtype=np.float32))
