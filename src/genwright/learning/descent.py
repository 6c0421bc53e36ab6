"""One step of an optimizer, and the rate it takes, as every trainer here does them."""

import math
from collections.abc import Sequence
from typing import Any

from genwright.core import TrainingError


def rate_at(step: int, *, peak: float, warmup: int, steps: int) -> float:
    """Return the learning rate of a step: linear rise to the peak, then a cosine to a tenth."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.55 + 0.45 * math.cos(math.pi * share))


def descend(
    loss: Any,
    weights: Sequence[Any],
    optimizer: Any,
    *,
    step: int,
    rate: float,
    kept: str = "",
    clip: float = 1.0,
) -> float:
    """Move the weights one step down the gradient of a loss; return the loss.

    Args:
        loss: a scalar tensor.
        weights: what the optimizer moves.
        optimizer: of one group.
        step: for the message.
        rate: of this step.
        kept: what is not lost, for the message.
        clip: the longest gradient; a longer one is shortened to it.

    Raises:
        TrainingError: the loss is not finite; the weights were not moved.
    """
    import torch

    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value} at step {step}{kept}. A lower learning_rate may help."
        )
    optimizer.param_groups[0]["lr"] = rate
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, clip)
    optimizer.step()
    optimizer.zero_grad()
    return value
