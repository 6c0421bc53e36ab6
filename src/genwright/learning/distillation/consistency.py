"""Few steps by consistency: a student that says the same of both ends of a step of its teacher.

Choose it to turn a diffusion model into one that samples in 1 to 4 evaluations, from the teacher
and data alone. With `sub_path` the student is also trained between the two ends, along their chord,
which grades the error where steps are long (SLAM); without, it is consistency distillation.

Song et al. 2023, "Consistency Models", arXiv:2303.01469, Algorithm 2 (consistency distillation);
Xu et al. 2024, "Accelerating Image Generation with Sub-path Linear Approximation Model",
arXiv:2404.13903, Sections 3.2 and 3.3, and the authors' code (pseudo-Huber distance with c = 0.001,
running average 0.95). In canonical coordinates x = x_0 + sigma n the drift alpha_n / alpha_m of
the paper is 1: x_gamma = gamma x_n + (1 - gamma) x_m, and sigma_gamma^2 = sigma_m^2 + gamma^2
(sigma_n^2 - sigma_m^2).
Ours: levels of the curve of Karras et al.; a network read with EDM's preconditioning instead of an
epsilon network, so that x_gamma - sigma_gamma epsilon is the network read at level sigma_gamma,
which is where the teacher's weights already fit (it is told sigma_gamma and gamma, from which n
follows); the learning rate falls along a cosine.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genwright.core import InvalidArgument, method
from genwright.generators.diffusion.denoiser import Denoiser, Guided
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, metered
from genwright.generators.diffusion.noise import Batch, Gaussian, Noise
from genwright.generators.diffusion.path import VE, wide
from genwright.generators.diffusion.precondition import Boundary
from genwright.generators.diffusion.samplers import karras
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import (
    Course,
    Losses,
    brought,
    expect_settings,
    kernel_of,
    trainable,
    weights_of,
)
from genwright.learning.denoising import sigma_data_of
from genwright.learning.descent import Watch
from genwright.learning.examples import source_of
from genwright.nets.sub_path import SubPathNet

SUB_PATHS = ("", "variance", "linear")


@method(paper="arXiv:2404.13903")
@dataclass(frozen=True, kw_only=True)
class ConsistencyDistiller:
    """Distil a `DiffusionModel` into one that samples in few steps.

    Args:
        folder: where the student and its checkpoint go; "" keeps it in memory.
        steps: optimizer steps.
        batch: draws a step.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        levels: N, steps of the teacher's solver between `lo` and `hi`; fewer are longer.
        skip: solver steps between the two ends that must agree.
        lo: lowest level of noise, where the student changes nothing.
        hi: highest level, where sampling begins.
        sub_path: how sigma_gamma goes along the chord: "variance" or "linear"; "" trains at its
            ends alone, which is consistency distillation.
        huber: c of the pseudo-Huber distance of each number.
        ema: how much of their running average the weights keep each step; the average is the
            target, and is returned.
        guidance: weight of classifier-free guidance of the teacher; 1 is none.
        draw_steps: evaluations of the generator that is returned.
        student: a denoiser to start from; None is the teacher's own.
        save_every: steps between checkpoints.

    Raises:
        InvalidArgument: a number out of its range.
    """

    folder: str = ""
    steps: int = 2000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: int = 20
    levels: int = 18
    skip: int = 1
    lo: float = 0.002
    hi: float = 80.0
    sub_path: str = ""
    huber: float = 1e-3
    ema: float = 0.95
    guidance: float = 1.0
    draw_steps: int = 1
    student: Any = None
    save_every: int = 500

    def __post_init__(self) -> None:
        expect_settings(self)
        for name in ("levels", "skip", "draw_steps"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"ConsistencyDistiller: {name} must be 1 or more.")
        if not (self.huber > 0 and 0 < self.lo < self.hi):
            raise InvalidArgument(
                "ConsistencyDistiller: huber must be above 0, and 0 < lo < hi; got "
                f"{self.huber}, {self.lo} and {self.hi}."
            )
        if self.sub_path not in SUB_PATHS:
            raise InvalidArgument(
                "ConsistencyDistiller: sub_path must be 'variance', 'linear' or '', got "
                f"{self.sub_path!r}."
            )
        if self.skip > self.levels or self.draw_steps > self.levels:
            raise InvalidArgument(
                "ConsistencyDistiller: skip and draw_steps must be at most levels "
                f"({self.levels}), got {self.skip} and {self.draw_steps}."
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
        """Distil; a distillation that was cut off goes on.

        Args:
            generator: the teacher; its denoiser may be an exact one if `student` is given.
            data: `Images`, rows of `prompt` and `completion`, or a law (`learning.examples`).
            seed: of batches, noise, levels and places.
            watch: told the loss of every step.
            meter: counts train units.

        Returns:
            a `DiffusionModel` with the sampler "few_step".

        Raises:
            InvalidArgument: no student to start from, or data that does not fit.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
        """
        teacher = brought(opened(generator.denoiser))
        start = trainable(self.student if self.student is not None else generator.denoiser)
        source = source_of(data, start.shape, start.classes)
        told = [weights_of(start), weights_of(teacher), source.identity, seed]
        told += kernel_of(generator)
        course = Course(self, SubPathNet(start.net), *told, without=("student",))
        if course.finished:
            return self._drawing(generator, self.folder)
        reading = Boundary(sigma_data=sigma_data_of(start), sigma_min=self.lo)
        guided = Guided(teacher, self.guidance) if self.guidance != 1 else teacher
        levels = self.ladder().to(course.device)

        def losses(i: int) -> Losses:
            rng = Batch(seed, "step", i)
            x_0, cond = course.here(*source.batch(self.batch, rng))
            ends = chord(taught, x_0, cond, levels, self.skip, rng, generator.noise)
            gamma = rng.uniform(self.batch).to(x_0) if self.sub_path else torch.ones_like(ends.high)
            found = sub_path_loss(
                _Read(course.net, reading), _Read(course.average, reading), ends, gamma, cond,
                inner=self.sub_path, huber=self.huber,
            )  # fmt: skip
            return Losses(found, ends.high)

        with metered(meter, guided, course.net, course.average) as taught:
            course.run(losses, what="consistency loss", watch=watch, meter=meter)
        found = Denoiser(course.average.net, reading)  # pyright: ignore[reportArgumentType]
        return self._drawing(generator, course.kept(found))

    def ladder(self) -> Tensor:
        """Return float32[levels + 1] rising levels, from `lo` to `hi`."""
        return karras(self.levels + 1, self.lo, self.hi)[:-1].flip(0).float()

    def _drawing(self, teacher: DiffusionModel, denoiser: Any) -> DiffusionModel:
        return drawing_in(
            replace(teacher, denoiser=denoiser), self.draw_steps, self.ladder().tolist()
        )


def drawing_in(model: DiffusionModel, steps: int, ladder: list[float]) -> DiffusionModel:
    """Return a consistency model that draws in so many evaluations.

    Args:
        model: with the denoiser that a distiller made.
        steps: evaluations.
        ladder: the rising levels it was trained on; sampling begins at the highest, and goes on at
            levels spaced evenly along the ladder.
    """
    highest = len(ladder) - 1
    places = [highest - round(i * highest / steps) for i in range(steps)]
    sigmas = (*(ladder[p] for p in places), 0.0)
    return replace(model, sampler="few_step", sigmas=sigmas, guidance=1.0)


class Chord(NamedTuple):
    """One step of the teacher's solver: both ends, [B, ...], and their levels, [B]."""

    x_high: Tensor
    x_low: Tensor
    high: Tensor
    low: Tensor


class _Read(NamedTuple):
    """A sub-path network read at a level: (x, sigma, gamma, cond) -> x_0."""

    net: Any
    precondition: Boundary

    def __call__(self, x: Tensor, sigma: Tensor, gamma: Tensor, cond: Tensor | None) -> Tensor:
        c = self.precondition.coefficients(sigma, VE())
        out = self.net(x * wide(c.into, x), c.noise, gamma, cond)
        return x * wide(c.skip, x) + wide(c.out, x) * out


@torch.no_grad()
def chord(
    teacher: Any,
    x_0: Tensor,
    cond: Tensor | None,
    levels: Tensor,
    skip: int,
    rng: Batch,
    noise: Noise | None = None,
) -> Chord:
    """Noise data to a random level, and let the teacher make one Euler step down.

    Args:
        teacher: a denoiser.
        x_0: [B, ...].
        cond: int64[B], or None.
        levels: rising.
        skip: how many levels a step goes down, or to the lowest.
        rng: of levels and noise.
        noise: the kernel; None is Gaussian.
    """
    n = (1 + rng.integers(len(levels) - 1, len(x_0))).to(levels.device)
    high, low = levels[n], levels[(n - skip).clamp(min=0)]
    x_high = x_0 + (noise or Gaussian()).sample(x_0.shape, high, rng)
    slope = (x_high - teacher(x_high, high, cond)) / wide(high, x_0)
    return Chord(x_high, x_high + wide(low - high, x_0) * slope, high, low)


def sub_path_loss(
    student: Any,
    target: Any,
    ends: Chord,
    gamma: Tensor,
    cond: Tensor | None,
    *,
    inner: str,
    huber: float,
) -> Tensor:
    """Return the distance of the student on the chord from the target at its low end, one a row.

    Args:
        student: (x, sigma, gamma, cond) -> x_0.
        target: the same, of the running average.
        ends: the chord.
        gamma: places on it, [B]; 1 is the high end.
        cond: int64[B], or None.
        inner: "variance" or "linear".
        huber: c.
    """
    x, sigma = on_chord(ends, gamma, inner)
    said = student(x, sigma, gamma, cond)
    with torch.no_grad():
        wanted = target(ends.x_low, ends.low, torch.ones_like(gamma), cond)
    error = said - wanted
    return ((error.square() + huber**2).sqrt() - huber).flatten(1).mean(1)


def on_chord(ends: Chord, gamma: Tensor, inner: str) -> tuple[Tensor, Tensor]:
    """Return x_gamma [B, ...] and sigma_gamma [B]; at gamma = 1 exactly the high end."""
    places = wide(gamma, ends.x_high)
    x = places * ends.x_high + (1 - places) * ends.x_low
    ratio = ends.low / ends.high
    if inner == "linear":
        return x, (gamma + (1 - gamma) * ratio) * ends.high
    return x, (gamma**2 + (1 - gamma**2) * ratio**2).sqrt() * ends.high
