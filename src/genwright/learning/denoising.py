"""Training a denoiser on data, or on another denoiser.

Choose it to make a `DiffusionModel` from pictures or vectors, to train one further on accepted
draws, or, with `target`, to teach a smaller network what a larger one says (teacher score matching,
the first stage of multi-student distillation).

Karras et al. 2022, arXiv:2206.00364, Section 5: levels log-normal (-1.2, 1.2), loss
lambda(sigma) |D - x_0|^2 with lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2;
Ho & Salimans 2022, arXiv:2207.12598 (dropping the class). Ours: the mean over a draw's numbers, so
that a learning rate keeps its meaning across sizes; the gradient is clipped.
"""

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwright.core import InvalidArgument, child_seed, codec, describe, method
from genwright.generators.diffusion.denoiser import Denoise, Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Batch, Gaussian, Levels, LogNormal, Noise
from genwright.generators.diffusion.stored import load, save
from genwright.learning.checkpoint import drop_checkpoint, read_state, write_state
from genwright.learning.descent import descend, rate_at
from genwright.learning.examples import source_of
from genwright.learning.training import Watch, expect_finite, follow, train

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
        for name in ("steps", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"DenoisingLearner: {name} must be 1 or more.")
        if not self.learning_rate > 0 or not self.clip > 0 or self.warmup < 0:
            raise InvalidArgument(
                "DenoisingLearner: learning_rate and clip must be above 0, warmup 0 or more."
            )
        if not 0 <= self.ema < 1 or not 0 <= self.drop <= 1:
            raise InvalidArgument("DenoisingLearner: ema must be in [0, 1), drop in [0, 1].")
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
        settings = {k: v for k, v in describe(self).items() if k not in ("folder", "save_every")}
        told = [settings, weights_of(start), source.identity, weights_of(self.target), seed]
        identity = codec.digest(codec.dumps(told, canonical=True, lossy=True))
        if self.folder and read_state(Path(self.folder)).get("identity") == identity:
            return replace(generator, denoiser=self.folder)  # an earlier call finished it
        net, average = deepcopy(start.net).train().requires_grad_(True), deepcopy(start.net)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        net.to(device)
        average.to(device).requires_grad_(False)
        denoise = replace(start, net=net)
        noise = self.noise or generator.noise or Gaussian()
        levels = self.sigmas or LogNormal()
        weights = list(net.parameters())
        optimizer = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=0.0, fused=True)
        mixed = torch.autocast(device, torch.bfloat16, enabled=self.dtype == "bfloat16")

        def step(i: int) -> dict[str, float]:
            rng = Batch(seed, "step", i)
            x_0, cond = source.batch(self.batch, rng)
            sigma = levels.sample(self.batch, rng).float()
            x = x_0 + noise.sample(x_0.shape, sigma, rng)
            if cond is not None and self.drop and bool(rng.uniform(1) < self.drop):
                cond = None  # a whole batch at a time: a network takes a class for all rows or none
            x_0, x, sigma = x_0.to(device), x.to(device), sigma.to(device)
            cond = None if cond is None else cond.to(device)
            if self.target is not None:
                with torch.no_grad():
                    x_0 = self.target(x, sigma, cond)
            with mixed:
                losses = denoising_loss(denoise, x_0, x, sigma, cond, self.weight)
            expect_finite(losses, sigma, "denoising loss")
            rate = rate_at(i, peak=self.learning_rate, warmup=self.warmup, steps=self.steps)
            loss = descend(losses.mean(), weights, optimizer, step=i, rate=rate, clip=self.clip)
            follow(average, net, i, self.ema)
            return {"loss": loss}

        with meter.watching(net) if meter else nullcontext():
            parts = {"net": net, "average": average, "optimizer": optimizer}
            train(
                step,
                parts if meter is None else parts | {"meter": meter},
                steps=self.steps,
                identity=identity,
                folder=self.folder,
                save_every=self.save_every,
                watch=watch,
            )
        found = replace(start, net=average.eval())
        return replace(generator, denoiser=kept(found, self.folder, identity))


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


def trainable(denoiser: Any) -> Denoiser:
    """Return a denoiser with weights, read from its folder where it is one.

    Raises:
        InvalidArgument: an exact or a guided one.
        ModelNotFound: a folder without one.
    """
    found = load(denoiser) if isinstance(denoiser, str) else denoiser
    if not isinstance(found, Denoiser):
        raise InvalidArgument(
            f"only a Denoiser has weights to train, got a {type(found).__name__}."
        )
    return found


def weights_of(denoiser: Any) -> str:
    """Name what a denoiser is: its settings and its weights."""
    if denoiser is None:
        return ""
    if not isinstance(denoiser, Denoiser):
        return codec.dumps(describe(denoiser), canonical=True, lossy=True)
    told = [denoiser.precondition, denoiser.path, getattr(denoiser.net, "settings", None)]
    return codec.digest([told, [w.detach().cpu() for w in denoiser.net.state_dict().values()]])


def kept(denoiser: Denoiser, folder: str, identity: str) -> str | Denoiser:
    """Save a trained denoiser where there is a folder for it, and return what a generator takes."""
    if not folder:
        return denoiser
    save(denoiser, folder)
    write_state(Path(folder), {"identity": identity})
    drop_checkpoint(Path(folder))
    return folder


def untrained(net: Any, *, seed: int) -> Any:
    """Give a network fresh weights that depend on a seed alone; return it.

    Args:
        net: a function that makes it.
        seed: of its weights.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(child_seed(seed, "weights"))
        return net()
