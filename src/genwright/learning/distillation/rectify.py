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

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument, codec, describe, method
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.path import Flow, wide
from genwright.generators.diffusion.precondition import RawFlow
from genwright.generators.diffusion.stored import opened
from genwright.learning.checkpoint import read_state
from genwright.learning.denoising import kept, trainable, weights_of
from genwright.learning.descent import descend, rate_at
from genwright.learning.distillation.metered import metered
from genwright.learning.distillation.pairs import Pairs
from genwright.learning.training import Watch, expect_finite, follow, train

Losses = Callable[[nn.Module, int], tuple[Tensor, Tensor]]
"""(network, step) -> (losses [B], their levels of noise or times [B])."""


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
        check_training(self)
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

        def losses(net: nn.Module, i: int) -> tuple[Tensor, Tensor]:
            rng = Batch(seed, "step", i)
            noise, clean, cond = pairs.batch(self.batch, rng)
            if self.flip:
                noise, clean = flipped(noise, clean, rng)
            z = annealed(noise, beta_at(i, self.steps, self.anneal), rng)
            t = rng.uniform(self.batch).float()
            x_t = wide(1 - t, clean) * clean + wide(t, clean) * z
            error = net(x_t, t, cond) - (z - clean)
            return error.flatten(1).square().mean(1), t

        told = [weights_of(start), pairs.identity, seed]
        found = trained_on_pairs(self, start.net, losses, told, watch, meter)
        return replace(generator, denoiser=found, sampler="heun", guidance=1.0)


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
    with torch.no_grad():
        said = denoiser.net(x_t, t, pairs.classes)
        return float((said - (pairs.noise - pairs.data)).square().mean())


def trained_on_pairs(
    learner: Any,
    start: nn.Module,
    losses: Losses,
    told: list[Any],
    watch: Watch | None,
    meter: Meter | None,
    reading: Denoiser | None = None,
) -> Any:
    """Train a copy of a network by (net, step) -> (losses [B], levels [B]); keep its average."""
    settings = {
        k: v
        for k, v in describe(learner).items()
        if k not in ("folder", "save_every", "guide", "features")
    }
    identity = codec.digest(codec.dumps([settings, *told], canonical=True, lossy=True))
    if learner.folder and read_state(Path(learner.folder)).get("identity") == identity:
        return learner.folder
    net = deepcopy(start).train().requires_grad_(True)
    average = deepcopy(net).requires_grad_(False)
    weights = list(net.parameters())
    optimizer = torch.optim.AdamW(weights, lr=learner.learning_rate, weight_decay=0.0)

    def step(i: int) -> dict[str, float]:
        found, levels = losses(net, i)
        expect_finite(found, levels, "loss on pairs")
        rate = rate_at(i, peak=learner.learning_rate, warmup=learner.warmup, steps=learner.steps)
        loss = descend(found.mean(), weights, optimizer, step=i, rate=rate)
        follow(average, net, i, learner.ema)
        return {"loss": loss}

    parts: dict[str, Any] = {"net": net, "average": average, "optimizer": optimizer}
    with metered(meter, None, net):
        train(
            step,
            parts if meter is None else parts | {"meter": meter},
            steps=learner.steps,
            identity=identity,
            folder=learner.folder,
            save_every=learner.save_every,
            watch=watch,
        )
    made = (
        flow_denoiser(average.eval()) if reading is None else replace(reading, net=average.eval())
    )
    return kept(made, learner.folder, identity)


def check_training(learner: Any) -> None:
    """Raise `InvalidArgument` unless the numbers that trainers on pairs share are in range."""
    name = type(learner).__name__
    if min(learner.steps, learner.batch, learner.save_every) < 1:
        raise InvalidArgument(f"{name}: steps, batch and save_every must be 1 or more.")
    if not learner.learning_rate > 0 or not 0 <= learner.ema < 1 or learner.warmup < 0:
        raise InvalidArgument(
            f"{name}: learning_rate must be above 0, ema in [0, 1), warmup 0 or more."
        )
