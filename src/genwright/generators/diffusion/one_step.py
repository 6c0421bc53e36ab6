"""A network that makes data of noise in one evaluation.

Choose it where a draw must be cheap; the learners of `learning.distillation` make it of a
`DiffusionModel`. It is the denoiser read at one high level, x_0 = D(sigma_init n, sigma_init), as
in Zhou et al. 2024, "Score identity Distillation", arXiv:2404.04057, Section 3.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genwright.core import InvalidArgument, Samples, method
from genwright.generators.diffusion.drawing import check_batch, draw
from genwright.generators.diffusion.noise import Gaussian, Rows
from genwright.generators.diffusion.samplers import Predict
from genwright.generators.diffusion.stored import opened


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
        return draw(
            opened(self.denoiser),
            self._follow,
            prompt,
            n,
            seed=seed,
            first=first,
            batch=self.batch,
        )

    def _follow(self, predict: Predict, rng: Rows, shape: tuple[int, ...]) -> Tensor:
        x = Gaussian().sample(shape, torch.tensor(self.sigma_init), rng)
        return predict(x, x.new_full((len(x),), self.sigma_init))
