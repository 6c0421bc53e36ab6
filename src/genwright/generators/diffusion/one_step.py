"""A network that makes data of noise in one evaluation.

Choose it where a draw must be cheap; the learners of `learning.distillation` make it of a
`DiffusionModel`. It is the denoiser read at one high level, x_0 = D(sigma_init n, sigma_init), as
in Zhou et al. 2024, "Score identity Distillation", arXiv:2404.04057, Section 3: a `DiffusionModel`
of one step.
"""

from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument, Samples, method
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.drawing import check_batch


@method(paper="arXiv:2404.04057")
@dataclass(frozen=True, kw_only=True)
class OneStep:
    """Draw by one evaluation.

    Args:
        denoiser: a folder that a learner wrote, or any denoiser with `shape` and `classes`.
        sigma_init: level of noise at which it is read.
        batch: draws computed together.

    Raises:
        InvalidArgument: a number that is not above 0.
    """

    denoiser: Any
    sigma_init: float = 2.5
    batch: int = 64

    def __post_init__(self) -> None:
        check_batch(self, self.batch)
        if not self.sigma_init > 0:
            raise InvalidArgument(f"OneStep: sigma_init must be above 0, got {self.sigma_init}.")

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return n draws as one float32 array [n, ...]; see `DiffusionModel.sample`."""
        model = DiffusionModel(
            denoiser=self.denoiser,
            sampler="few_step",
            sigmas=(self.sigma_init, 0.0),
            batch=self.batch,
        )
        return model.sample(prompt, n, seed=seed, first=first)
