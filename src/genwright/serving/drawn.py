"""Draws of several prompts together, and the way of a diffusion model from noise to them.

Ours.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import Cost, Generator, InvalidArgument, child_seed
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.stored import opened


def drawn(
    generator: Generator[Any], prompts: Sequence[Any], n: int, seed: int
) -> tuple[NDArray[Any], Cost]:
    """Return n draws for each prompt, one after the other, and what they cost.

    Raises:
        InvalidArgument: draws that are no arrays.
    """
    parts: list[NDArray[Any]] = []
    cost = Cost()
    for i, prompt in enumerate(prompts):
        found = generator.sample(prompt, n, seed=child_seed(seed, "drawn", i))
        if not hasattr(found.values, "shape"):
            raise InvalidArgument(
                f"draw: this generator makes {type(found.values[0]).__name__}, no pictures; use "
                "genwright solve or genwright ask."
            )
        parts.append(np.asarray(found.values))
        cost += found.cost
    return np.concatenate(parts), cost


def trajectory(model: Any, prompts: Sequence[Any], n: int, seed: int) -> list[NDArray[np.float64]]:
    """Return what the draws of `drawn` looked like on the way: a frame each level of noise.

    A frame holds the noised draws at that level, brought to the spread of the data by
    1 / (1 + sigma), and last the draws themselves.

    Raises:
        InvalidArgument: not a `DiffusionModel`.
    """
    if not isinstance(model, DiffusionModel):
        raise InvalidArgument(
            f"draw: only a diffusion model has a way to show, got {type(model).__name__}."
        )
    seen = Seen(opened(model.denoiser))
    watched = replace(model, denoiser=seen, batch=n)
    parts: list[list[NDArray[np.float64]]] = []
    for i, prompt in enumerate(prompts):
        seen.frames.clear()
        found = watched.sample(prompt, n, seed=child_seed(seed, "drawn", i))
        levels = sorted(seen.frames, reverse=True)
        way = [seen.frames[level] / (1 + level) for level in levels]
        parts.append([*way, np.asarray(found.values, dtype=np.float64)])
    return [np.concatenate(frames) for frames in zip(*parts, strict=True)]


class Seen:
    """A denoiser that keeps what it was first asked at each level of noise.

    Args:
        denoiser: what answers.
    """

    def __init__(self, denoiser: Any) -> None:
        self.denoiser = denoiser
        self.shape, self.classes = denoiser.shape, denoiser.classes
        self.frames: dict[float, NDArray[np.float64]] = {}

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Answer as the denoiser does."""
        level = float(torch.as_tensor(sigma).flatten()[0])
        self.frames.setdefault(level, x.detach().double().cpu().numpy())
        return self.denoiser(x, sigma, cond)
