"""A denoiser, a sampler and a noise, bound to a generator.

Choose it to draw images or vectors from a trained or an exact denoiser. Its prompt is a class, or
None for all of them; a draw is a float32 array. `learning.denoising.DenoisingLearner` trains one.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
arXiv:2206.00364; the defaults are those of its Section 5 for CIFAR-10: 18 steps of Heun, 35
evaluations. Ours: batches whose rows do not depend on each other (`drawing.py`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genwright.core import InvalidArgument, Samples, method
from genwright.generators.diffusion import samplers
from genwright.generators.diffusion.denoiser import Guided
from genwright.generators.diffusion.drawing import check_batch, draw
from genwright.generators.diffusion.noise import Gaussian, Noise, Rows
from genwright.generators.diffusion.stored import opened

SAMPLERS = ("euler", "heun", "churn", "few_step")


@method(paper="arXiv:2206.00364")
@dataclass(frozen=True, kw_only=True)
class DiffusionModel:
    """Draw by following a denoiser from noise to data.

    Args:
        denoiser: a folder that a learner wrote, or any denoiser with `shape` and `classes`.
        sampler: one of `SAMPLERS`.
        steps: of the schedule `karras(steps, lo, hi, rho)`.
        lo: lowest level of noise above 0.
        hi: highest level.
        rho: how much the schedule dwells at low levels.
        sigmas: a schedule of one's own, falling, in place of the four above.
        noise: the kernel; None is Gaussian.
        guidance: weight of classifier-free guidance; 1 is none, more doubles the evaluations.
        s_churn: for "churn", how much noise is added on the way.
        s_noise: for "churn", its scale.
        batch: draws computed together.

    Raises:
        InvalidArgument: an unknown sampler, a schedule that rises, a number out of its range.
    """

    denoiser: Any
    sampler: str = "heun"
    steps: int = 18
    lo: float = 0.002
    hi: float = 80.0
    rho: float = 7.0
    sigmas: tuple[float, ...] = ()
    noise: Noise | None = None
    guidance: float = 1.0
    s_churn: float = 0.0
    s_noise: float = 1.0
    batch: int = 64

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InvalidArgument(
                f"DiffusionModel: sampler must be one of {', '.join(SAMPLERS)}, "
                f"got {self.sampler!r}."
            )
        if not self.s_churn >= 0 or not self.s_noise >= 0:
            raise InvalidArgument("DiffusionModel: s_churn and s_noise must be 0 or more.")
        check_batch(self, self.batch)
        self.schedule()

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return n draws as one float32 array [n, ...].

        Args:
            prompt: a class, or None.
            n: how many.
            seed: of all draws of this prompt.
            first: index of the first.

        Raises:
            InvalidArgument: a prompt that is no class of this model.
            ModelNotFound: no denoiser is in the folder.
        """
        denoise = opened(self.denoiser)
        if self.guidance != 1.0 and prompt is not None:
            denoise = Guided(denoise, self.guidance)
        return draw(denoise, self._follow, prompt, n, seed=seed, first=first, batch=self.batch)

    def schedule(self) -> list[float]:
        """Return the falling levels of noise that are gone through."""
        levels = self.sigmas or samplers.karras(self.steps, self.lo, self.hi, self.rho)
        return samplers.falling(levels)

    def _follow(self, predict: samplers.Predict, rng: Rows, shape: tuple[int, ...]) -> Tensor:
        levels, noise = self.schedule(), self.noise or Gaussian()
        x = noise.sample(shape, torch.tensor(levels[0], dtype=torch.float32), rng)
        if self.sampler == "few_step":
            return samplers.few_step(predict, x, levels, noise, rng)
        if self.sampler == "churn":
            return samplers.churn(predict, x, levels, self.s_churn, self.s_noise, rng)
        return (samplers.euler if self.sampler == "euler" else samplers.heun)(predict, x, levels)
