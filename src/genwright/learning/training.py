"""The loop of a training: progress, checkpoints, resuming, and an end with a reason.

A trainer says what one step does and which parts have a state (networks, optimizers, meters); the
loop calls it, saves the parts, and goes on where a killed training stopped. The randomness of step
i must depend on the seed and i alone; the weights are then those of a training that was not cut.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from genwright.core import TrainingError
from genwright.learning.checkpoint import save_checkpoint, unfinished
from genwright.learning.descent import Watch


def train(
    step: Callable[[int], Mapping[str, float]],
    parts: Mapping[str, Any],
    *,
    steps: int,
    identity: str,
    folder: str = "",
    save_every: int = 500,
    watch: Watch | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Do the steps that are left.

    Args:
        step: does step i and returns its metrics; raises `TrainingError` before it moves weights.
        parts: what has `state_dict` and `load_state_dict`.
        steps: how many in all.
        identity: names the training: its data, seed, settings and start.
        folder: where checkpoints go; none are written without it.
        save_every: steps between checkpoints.
        watch: told every metric.
        enough: asked before each step; training ends once it says so.

    Raises:
        TrainingError: a loss that is not finite, the parts as they were before that step are saved
            then; a checkpoint of another training.
    """
    first, place = 0, Path(folder)
    if folder and (state := unfinished(place, identity)):
        tensors = torch.load(place / "checkpoint" / "state.pt", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(tensors[name])
        first = state["step"]

    def save(done: int) -> None:
        tensors = {name: part.state_dict() for name, part in parts.items()}
        save_checkpoint(place, tensors, {"identity": identity, "step": done})

    for i in range(first, steps):
        if enough():
            return
        try:
            found = step(i)
        except TrainingError as error:
            if not folder:
                told = f"step {i}: {error} Nothing was saved: no folder is set."
                raise TrainingError(told) from error
            save(i)
            told = f"step {i}: {error} The state before it is in {place / 'checkpoint'}."
            raise TrainingError(told) from error
        if watch:
            for name, value in found.items():
                watch(name, i, value)
        if folder and (i + 1) % save_every == 0 and i + 1 < steps:
            save(i + 1)


def expect_finite(losses: Tensor, sigma: Tensor, what: str) -> None:
    """Look at the losses of a batch before anything is moved.

    Args:
        losses: [B].
        sigma: the level of noise of each row, [B].
        what: which loss, for the message.

    Raises:
        TrainingError: one is not finite; the message says how many and at which levels.
    """
    bad = ~torch.isfinite(losses.detach())
    if bool(bad.any()):
        levels = sigma.detach()[bad]
        raise TrainingError(
            f"the {what} is not finite in {int(bad.sum())} of {len(losses)} rows, at levels of "
            f"noise {levels.min().item():.3g} to {levels.max().item():.3g}. A lower learning_rate "
            "may help."
        )


@torch.no_grad()
def follow(average: torch.nn.Module, net: torch.nn.Module, step: int, ema: float) -> None:
    """Move the running average of a network's weights.

    Args:
        average: the average so far.
        net: the network after this step.
        step: from 0; early on the average forgets faster, (1 + step) / (10 + step).
        ema: the share it keeps later.
    """
    move = get_ema_multi_avg_fn(min(ema, (1 + step) / (10 + step)))
    move(list(average.parameters()), list(net.parameters()), step)
