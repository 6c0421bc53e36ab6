"""One step of a rectified flow: regression on pairs, guided by two shorter steps; and SlimFlow.

`PairDistiller` trains a student that says in one step what a pair says; with `guide` also what the
flow makes of the student's own way half through, on fresh noise, which costs no ODE. `SlimFlow`
chains pairs, annealed reflow (`rectify.py`) and this.

Zhu et al. 2024, "SlimFlow: Training Smaller One-Step Diffusion Models with Rectified Flow",
arXiv:2407.12718, Section 3.2 (flow-guided distillation), and the authors' code (t uniform in
[0.2, 0.8]).
Ours: distances in the features of a small classifier trained on the same pictures, besides L2,
where the paper has LPIPS; any denoiser can be the student, which without a guide makes this plain
regression on ODE pairs (Luhman and Luhman 2021, "Knowledge Distillation in Iterative Generative
Models", arXiv:2101.02388).
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument, child_seed, codec, method
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.drawing import device
from genwright.generators.diffusion.meter import Meter, metered
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.one_step import OneStep
from genwright.generators.diffusion.path import wide
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import (
    Course,
    Losses,
    brought,
    expect_settings,
    trainable,
    weights_of,
)
from genwright.learning.descent import Watch
from genwright.learning.distillation.pairs import Pairs, ode_pairs
from genwright.learning.distillation.rectify import Reflow
from genwright.nets.feature_net import load_features

FAR = 1e4
"""The level of noise at which a network read on `Flow()` is at t = 0.9999."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two batches [B, ...] -> one number a row, [B]."""


@method(paper="arXiv:2407.12718")
@dataclass(frozen=True, kw_only=True)
class PairDistiller:
    """Train a one-step student by regression on pairs, and by its guide on fresh noise.

    Args:
        folder: where the student and its checkpoint go; "" keeps it in memory.
        steps: optimizer steps.
        batch: pairs a step.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        sigma_init: level at which the student is read; `FAR` for a network on the straight path.
        guide: a flow (`DiffusionModel` read on the straight path) whose second step the student
            must agree with; None is regression alone.
        t_low: the guide's step begins at a place between `t_low` and `t_high` on the way from
            noise (0) to data (1).
        t_high: see `t_low`.
        features: a classifier (`nets.feature_net.Features` or its file) in whose features pictures
            are compared, besides L2; None is L2 alone.
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
    sigma_init: float = FAR
    guide: Any = None
    t_low: float = 0.2
    t_high: float = 0.8
    features: Any = None
    ema: float = 0.999
    save_every: int = 500

    def __post_init__(self) -> None:
        expect_settings(self)
        if not 0 <= self.t_low <= self.t_high <= 1 or not self.sigma_init > 0:
            raise InvalidArgument(
                "PairDistiller: needs 0 <= t_low <= t_high <= 1 and sigma_init above 0, got "
                f"{self.t_low}, {self.t_high} and {self.sigma_init}."
            )

    def fit(
        self,
        generator: DiffusionModel,
        data: Any,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> OneStep:
        """Train from the generator's network.

        Args:
            generator: whose denoiser is where the student starts.
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
        guide = None if self.guide is None else brought(opened(self.guide.denoiser))
        told = [weights_of(start), weights_of(guide), pairs.identity, seed]
        eye = eye_of(self.features)
        told += [] if eye is None else [codec.digest(list(eye.state_dict().values()))]
        course = Course(self, start.net, *told, without=("guide", "features"))
        one_step = OneStep(denoiser=self.folder, sigma_init=self.sigma_init, batch=generator.batch)
        if course.finished:
            return one_step
        student, distance = replace(start, net=course.net), distance_of(eye)

        def losses(i: int) -> Losses:
            rng = Batch(seed, "step", i)
            noise, clean, cond = course.here(*pairs.batch(self.batch, rng))
            level = noise.new_full((len(noise),), self.sigma_init)
            found = distance(student(self.sigma_init * noise, level, cond), clean)
            if guide is not None:
                fresh = rng.normal(noise.shape).to(noise)
                place = self.t_low + (self.t_high - self.t_low) * rng.uniform(self.batch)
                t = place.to(noise)
                said = student(self.sigma_init * fresh, level, cond)
                wanted = guided_target(guided, fresh, said.detach(), t, cond)
                found = found + distance(said, wanted)
            return Losses(found, level)

        with metered(meter, guide, course.net) as guided:
            course.run(losses, what="loss on pairs", watch=watch, meter=meter)
        found = replace(start, net=course.average)
        return replace(one_step, denoiser=course.kept(found))


@method(paper="arXiv:2407.12718")
@dataclass(frozen=True, kw_only=True)
class SlimFlow:
    """Pairs of a teacher, annealed reflow of a small network, guided distillation of that.

    Args:
        student: a denoiser whose network is trained, read on the straight path.
        pairs: how many are drawn from the teacher.
        reflow: the second stage; None is `Reflow()`.
        distil: the third, whose guide is set to the flow of the second; None is `PairDistiller()`.
    """

    student: Any
    pairs: int = 20_000
    reflow: Reflow | None = None
    distil: PairDistiller | None = None

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise InvalidArgument(f"SlimFlow: pairs must be 1 or more, got {self.pairs}.")

    def fit(
        self,
        generator: DiffusionModel,
        data: Any,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> OneStep:
        """Distil the generator into the student.

        Args:
            generator: the teacher.
            data: `Pairs` that were drawn already; anything else is not looked at, the teacher is
                all that is learnt from.
            seed: of all stages.
            watch: told the losses, as `reflow/loss` and `distil/loss`.
            meter: counts train units, those of drawing pairs included.
        """
        own = child_seed(seed, "pairs")
        drawn = isinstance(data, Pairs)
        pairs = data if drawn else ode_pairs(generator, self.pairs, seed=own, meter=meter)
        small = DiffusionModel(denoiser=trainable(self.student), batch=generator.batch)

        def tell(stage: str) -> Watch:
            def named(name: str, step: int, value: float) -> None:
                if watch is not None:
                    watch(f"{stage}/{name}", step, value)

            return named

        flow = (self.reflow or Reflow()).fit(
            small, pairs, seed=child_seed(seed, "reflow"), watch=tell("reflow"), meter=meter
        )
        distil = replace(self.distil or PairDistiller(), guide=flow)
        return distil.fit(
            flow, pairs, seed=child_seed(seed, "distil"), watch=tell("distil"), meter=meter
        )


@torch.no_grad()
def guided_target(
    guide: Any, noise: Tensor, said: Tensor, t: Tensor, cond: Tensor | None
) -> Tensor:
    """Return where the guide's step from the student's own straight line ends, [B, ...].

    Args:
        guide: a denoiser.
        noise: z, where the line begins.
        said: x_0 that the student said, where it ends.
        t: place on it, from 0 at the noise to 1 at what was said, [B].
        cond: int64[B], or None.
    """
    x_t = wide(1 - t, noise) * noise + wide(t, noise) * said
    clean = t >= 1  # there the canonical level is 0, and nothing is left to denoise
    inside = torch.where(clean, torch.full_like(t, 0.5), t)
    sigma = (1 - inside) / inside
    wanted = guide(x_t / wide(inside, x_t), sigma.clamp(max=FAR), cond)
    return torch.where(wide(clean, x_t), x_t, wanted)


def eye_of(features: Any) -> nn.Module | None:
    """Return what sees the features of pictures, where networks are trained.

    Args:
        features: `Features`, their file, or None.
    """
    if features is None:
        return None
    known = load_features(features) if isinstance(features, str) else features
    return deepcopy(known.net.body).to(device()).requires_grad_(False)


def distance_of(eye: nn.Module | None) -> Distance:
    """Return mean squares between pictures, and between what is seen of them by an eye."""
    if eye is None:
        return lambda a, b: (a - b).flatten(1).square().mean(1)

    def both(a: Tensor, b: Tensor) -> Tensor:
        apart = (eye(a) - eye(b)).square().mean(1)
        return (a - b).flatten(1).square().mean(1) + apart

    return both
