"""Rectified flow on pairs, and the annealing that leads a small network there.

Choose it where the student is smaller than its teacher, and therefore cannot start from its
weights. `Reflow` trains a flow on pairs of noise and data (`pairs.py`); with `anneal` the noise of
a pair is at first fresh noise, as in ordinary flow training, and only then more and more its own.

Liu et al. 2022, "Flow Straight and Fast", arXiv:2209.03003, Section 2;
Zhu et al. 2024, "SlimFlow: Training Smaller One-Step Diffusion Models with Rectified Flow",
arXiv:2407.12718, Section 3.1 (annealing reflow). The paper's t runs from noise to data; networks
here are read on `Flow()`, whose t runs the other way, as everywhere in this package.
Ours: beta falls over a share of the steps, not over a fixed number of them.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument, method
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.drawing import device_of
from genwright.generators.diffusion.meter import Meter, metered
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.path import Flow, wide
from genwright.generators.diffusion.precondition import RawFlow
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import Course, Losses, expect_settings, trainable, weights_of
from genwright.learning.descent import Watch
from genwright.learning.distillation.pairs import Pairs


@method(paper="arXiv:2407.12718")
@dataclass(frozen=True, kw_only=True)
class Reflow:
    """Train a flow on pairs; returns a `DiffusionModel` read on the straight path.

    Args:
        folder: where the flow and its checkpoint go; "" keeps it in memory.
        steps: optimizer steps.
        batch: pairs a step.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        anneal: share of the steps over which beta falls from 1 to 0: noise is at first fresh, and
            at the end that of the pair. 0 trains on the pairs from the first step: plain reflow.
        flip: whether half of the pairs are mirrored, noise and picture together.
        ema: how much of their running average the weights keep each step.
        save_every: steps between checkpoints.

    Raises:
        InvalidArgument: a number out of its range.
    """

    folder: str = ""
    steps: int = 2000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: int = 20
    anneal: float = 0.6
    flip: bool = False
    ema: float = 0.999
    save_every: int = 500

    def __post_init__(self) -> None:
        expect_settings(self)
        if not 0 <= self.anneal <= 1:
            raise InvalidArgument(f"Reflow: anneal must be in [0, 1], got {self.anneal}.")

    def fit(
        self,
        generator: DiffusionModel,
        data: Any,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> DiffusionModel:
        """Train from the generator's network.

        Args:
            generator: whose network is where to start, whatever it predicts.
            data: `Pairs`.
            seed: of batches, times and fresh noise.
            watch: told the loss of every step.
            meter: counts train units.

        Raises:
            InvalidArgument: data that are no pairs.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
        """
        pairs = Pairs.of(data)
        start = trainable(generator.denoiser)
        course = Course(self, start.net, weights_of(start), pairs.identity, seed)
        flow = replace(generator, sampler="heun", guidance=1.0)
        if course.finished:
            return replace(flow, denoiser=self.folder)

        def losses(i: int) -> Losses:
            rng = Batch(seed, "step", i)
            noise, clean, cond = pairs.batch(self.batch, rng)
            if self.flip:
                noise, clean = flipped(noise, clean, rng)
            z = annealed(noise, beta_at(i, self.steps, self.anneal), rng)
            t = rng.uniform(self.batch).float()
            z, clean, t, cond = course.here(z, clean, t, cond)
            x_t = wide(1 - t, clean) * clean + wide(t, clean) * z
            error = course.net(x_t, t, cond) - (z - clean)
            return Losses(error.flatten(1).square().mean(1), t)

        with metered(meter, None, course.net):
            course.run(losses, what="loss on pairs", watch=watch, meter=meter)
        return replace(flow, denoiser=course.kept(flow_denoiser(course.average)))


def flow_denoiser(net: nn.Module) -> Denoiser:
    """Return a network of n - x_0 on the straight path as a denoiser."""
    return Denoiser(net, RawFlow(), Flow())


def beta_at(step: int, steps: int, anneal: float) -> float:
    """Return beta: from 1 at the first step linearly to 0 after `anneal` of all steps."""
    ramp = anneal * steps
    return max(0.0, 1 - step / ramp) if ramp else 0.0


def annealed(noise: Tensor, beta: float, rng: Batch) -> Tensor:
    """Return sqrt(1 - beta^2) noise + beta fresh noise, of unit variance for every beta."""
    if beta == 0:
        return noise
    fresh = rng.normal(noise.shape).to(noise)
    return (1 - beta**2) ** 0.5 * noise + beta * fresh


def flipped(noise: Tensor, data: Tensor, rng: Batch) -> tuple[Tensor, Tensor]:
    """Mirror half of the pairs left to right, both parts of a pair or neither."""
    mirror = wide(rng.uniform(len(noise)) < 0.5, noise)
    return torch.where(mirror, noise.flip(-1), noise), torch.where(mirror, data.flip(-1), data)


def straightness(flow: DiffusionModel, pairs: Pairs, *, seed: int) -> float:
    """Return the mean square of v(x_t, t) - (z - x_1) along a flow's own paths; 0 is straight.

    Args:
        flow: a `DiffusionModel` read on the straight path.
        pairs: of that flow (`ode_pairs(flow, ...)`).
        seed: of the times.
    """
    denoiser = opened(flow.denoiser)
    t = Batch(seed, "straightness").uniform(len(pairs)).float()
    x_t = wide(1 - t, pairs.data) * pairs.data + wide(t, pairs.data) * pairs.noise
    told = (x_t, t, pairs.classes)
    with torch.no_grad():
        said = denoiser.net(*(v if v is None else v.to(device_of(denoiser)) for v in told))
        return float((said.cpu() - (pairs.noise - pairs.data)).square().mean())
