"""What the generators of this folder share: conditions, whole batches, and costs.

Products of matrices round differently for batches of different size. Draw k is therefore always
computed at row k mod `batch` of a batch of exactly `batch` rows: a call computes every batch it
touches as a whole and returns the rows it was asked for. Ours, and what makes a draw the same bit
for bit however it is asked for.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.core import Cost, InvalidArgument, Samples
from genwright.generators.diffusion.noise import Rows
from genwright.generators.diffusion.samplers import Predict

Follow = Callable[[Predict, Rows, tuple[int, ...]], Tensor]
"""(x_0 predictor, streams of the draws, shape of a batch) -> draws."""


def draw(
    denoise: Any, follow: Follow, prompt: Any, n: int, *, seed: int, first: int, batch: int
) -> Samples[Any]:
    """Return draws `first` to `first + n - 1` as one float32 array [n, ...].

    Args:
        denoise: a denoiser with `shape` and `classes`.
        follow: the way from noise to data.
        prompt: a class, or None.
        n: how many.
        seed: draw k takes its randomness from `child_seed(seed, k)`.
        first: index of the first.
        batch: rows computed together.

    Raises:
        InvalidArgument: a prompt that is no class of this denoiser.
    """
    given = class_of(prompt, denoise.classes)
    shape = tuple(denoise.shape)
    found, calls, start = np.empty((n, *shape), dtype=np.float32), 0, time.perf_counter()
    device = device_of(denoise)
    cond = None if given is None else torch.full((batch,), given, device=device)

    def predict(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal calls
        calls += getattr(denoise, "evaluations", 1)
        return denoise(x.to(device), sigma.to(device), cond)

    stop = first + n
    for low in range(first - first % batch, stop, batch):
        calls = 0
        with torch.inference_mode():
            rows = follow(predict, Rows(seed, low, batch), (batch, *shape)).float().cpu().numpy()
        begin, end = max(first, low), min(stop, low + batch)
        found[begin - first : end - first] = rows[begin - low : end - low]
    seconds = (time.perf_counter() - start) / max(1, n)
    cost = Cost(draws=1, network_evaluations=calls, seconds=seconds)
    return Samples(found, costs=[cost] * n)


def class_of(prompt: Any, classes: int) -> int | None:
    """Return the class that a prompt names, or None.

    Raises:
        InvalidArgument: it is neither None nor a class in range.
    """
    if prompt is None:
        return None
    if isinstance(prompt, bool) or not isinstance(prompt, int | np.integer):
        raise InvalidArgument(
            f"the prompt of a diffusion model is a class or None, got {prompt!r}."
        )
    if not 0 <= prompt < classes:
        known = f"one of 0 to {classes - 1}" if classes else "None: it knows no classes"
        raise InvalidArgument(f"the prompt of this model must be {known}, got {prompt}.")
    return int(prompt)


def device() -> torch.device:
    """Return where networks should compute: on the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(denoise: Any) -> torch.device:
    """Return where a denoiser computes: where its network is, else the processor."""
    while hasattr(denoise, "denoiser"):
        denoise = denoise.denoiser
    net = getattr(denoise, "net", None)
    weight = next(net.parameters(), None) if net is not None else None
    return torch.device("cpu") if weight is None else weight.device


def check_batch(what: object, batch: int) -> None:
    """Raise unless a batch has 1 row or more."""
    if batch < 1:
        raise InvalidArgument(f"{type(what).__name__}: batch must be 1 or more, got {batch}.")
