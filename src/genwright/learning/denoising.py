"""Training a denoiser on data, or on another denoiser.

Choose it to make a `DiffusionModel` from pictures or vectors, to train one further on accepted
draws, or, with `target`, to teach a smaller network what a larger one says (teacher score matching,
the first stage of multi-student distillation).

Karras et al. 2022, arXiv:2206.00364, Section 5: levels log-normal (-1.2, 1.2), loss
lambda(sigma) |D - x_0|^2 with lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2;
Ho & Salimans 2022, arXiv:2207.12598 (dropping the class). Ours: the mean over a draw's numbers, so
that a learning rate keeps its meaning across sizes; the gradient is clipped.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genwright.core import InvalidArgument, child_seed, method
from genwright.generators.diffusion.denoiser import Denoise
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, metered
from genwright.generators.diffusion.noise import Batch, Gaussian, Levels, LogNormal, Noise
from genwright.learning.course import (
    Course,
    Losses,
    brought,
    expect_settings,
    kernel_of,
    trainable,
    weights_of,
)
from genwright.learning.descent import Watch
from genwright.learning.examples import source_of

WEIGHTS = ("edm", "one")


@method(paper="arXiv:2206.00364")
@dataclass(frozen=True, kw_only=True)
class DenoisingLearner:
    """Train the denoiser of a `DiffusionModel`, and return a new `DiffusionModel`.

    Args:
        folder: where the new denoiser and its checkpoint go; "" keeps it in memory.
        steps: optimizer steps.
        batch: draws a step.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        noise: the kernel; None is that of the generator.
        sigmas: law of the levels; None is `LogNormal(-1.2, 1.2)`.
        weight: of the loss at a level: "edm", or "one" everywhere.
        ema: how much of their running average the weights keep each step; the average is returned.
        drop: share of draws whose class is left out, which guidance needs.
        target: a denoiser to imitate in place of the data.
        clip: longest gradient.
        dtype: "float32", or "bfloat16" for mixed precision.
        save_every: steps between checkpoints; a killed training goes on from the last one.

    Raises:
        InvalidArgument: a number out of its range.
    """

    folder: str = ""
    steps: int = 2000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: int = 20
    noise: Noise | None = None
    sigmas: Levels | None = None
    weight: str = "edm"
    ema: float = 0.999
    drop: float = 0.0
    target: Any = None
    clip: float = 1.0
    dtype: str = "float32"
    save_every: int = 500

    def __post_init__(self) -> None:
        expect_settings(self)
        if not self.clip > 0 or not 0 <= self.drop <= 1:
            raise InvalidArgument(
                "DenoisingLearner: clip must be above 0 and drop in [0, 1], got "
                f"{self.clip} and {self.drop}."
            )
        if self.weight not in WEIGHTS or self.dtype not in ("float32", "bfloat16"):
            raise InvalidArgument(
                f"DenoisingLearner: weight must be one of {', '.join(WEIGHTS)} and dtype float32 "
                f"or bfloat16, got {self.weight!r} and {self.dtype!r}."
            )

    def fit(
        self,
        generator: DiffusionModel,
        data: Any,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> DiffusionModel:
        """Train from the generator's weights; a training that was cut off goes on.

        Args:
            generator: whose denoiser is where to start.
            data: `Images`, rows of `prompt` and `completion`, or a law (`learning.examples`).
            seed: of the batches and the noise.
            watch: told the loss of every step.
            meter: counts train units.

        Raises:
            InvalidArgument: a denoiser that has no weights, or data that does not fit it.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
        """
        start = trainable(generator.denoiser)
        source = source_of(data, start.shape, start.classes)
        told = [weights_of(start), source.identity, weights_of(self.target), seed]
        course = Course(self, start.net, *told, *kernel_of(generator), fused=True)
        if course.finished:
            return replace(generator, denoiser=self.folder)
        denoise = replace(start, net=course.net)
        noise = self.noise or generator.noise or Gaussian()
        levels = self.sigmas or LogNormal()
        device, mixed = course.device.type, self.dtype == "bfloat16"

        def losses(i: int) -> Losses:
            rng = Batch(seed, "step", i)
            x_0, cond = source.batch(self.batch, rng)
            sigma = levels.sample(self.batch, rng).float()
            x = x_0 + noise.sample(x_0.shape, sigma, rng)
            if cond is not None and self.drop and bool(rng.uniform(1) < self.drop):
                cond = None  # a whole batch at a time: a network takes a class for all rows or none
            x_0, x, sigma, cond = course.here(x_0, x, sigma, cond)
            if target is not None:
                with torch.no_grad():
                    x_0 = target(x, sigma, cond)
            with torch.autocast(device, torch.bfloat16, enabled=mixed):
                return Losses(denoising_loss(denoise, x_0, x, sigma, cond, self.weight), sigma)

        with metered(meter, brought(self.target), course.net) as target:
            course.run(losses, what="denoising loss", watch=watch, meter=meter, clip=self.clip)
        found = replace(start, net=course.average)
        return replace(generator, denoiser=course.kept(found))


def denoising_loss(
    denoise: Denoise,
    x_0: Tensor,
    x: Tensor,
    sigma: Tensor,
    cond: Tensor | None,
    weight: str = "edm",
) -> Tensor:
    """Return lambda(sigma) times the mean square of D(x) - x_0, one a row.

    Args:
        denoise: a `Denoiser`; for the weight "edm" its precondition tells sigma_data.
        x_0: what it should say, [B, ...].
        x: [B, ...].
        sigma: [B].
        cond: int64[B], or None.
        weight: one of `WEIGHTS`.
    """
    error = (denoise(x, sigma, cond).float() - x_0).flatten(1).square().mean(1)
    if weight == "one":
        return error
    data = sigma_data_of(denoise)
    return (sigma**2 + data**2) / (sigma * data) ** 2 * error


def sigma_data_of(denoise: Any) -> float:
    """Return the standard deviation of data that a denoiser was made for; 1 if it tells none."""
    return float(getattr(getattr(denoise, "precondition", None), "sigma_data", 1.0))


def untrained(net: Any, *, seed: int) -> Any:
    """Give a network fresh weights that depend on a seed alone; return it.

    Args:
        net: a function that makes it.
        seed: of its weights.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(child_seed(seed, "weights"))
        return net()
