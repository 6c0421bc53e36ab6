"""One step of an optimizer, the rate it takes, and who is told, as every trainer here has them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from genwright.core import TrainingError

Watch = Callable[[str, int, float], None]
"""Called with (metric, step, value) as training goes."""


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
    clip: float = 1.0,
) -> float:
    """Move the weights one step down the gradient of a loss; return the loss.

    Args:
        loss: a scalar tensor.
        weights: what the optimizer moves.
        optimizer: all its groups take the rate, but those with a fixed one (`"fixed": True`).
        step: for the message.
        rate: of this step.
        clip: the longest gradient; a longer one is shortened to it.

    Raises:
        TrainingError: the loss is not finite; the weights were not moved.
    """
    import torch

    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(f"the loss is {value} at step {step}. A lower learning_rate may help.")
    for group in optimizer.param_groups:
        if not group.get("fixed"):
            group["lr"] = rate
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, clip)
    optimizer.step()
    optimizer.zero_grad()
    return value
