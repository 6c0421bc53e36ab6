"""How much a sampler suffers from errors: noise in every step, and weights of few bits.

Choose it to compare ways to train by what their errors cost, not by their best case. `step_noise`
disturbs a sampler's state before each step, in proportion to the level of noise; `quantised` rounds
every weight of a network to the nearest of 2^bits even steps between its least and largest.

Xu et al. 2023, "PFGM++: Unlocking the Potential of Physics-Inspired Generative Models",
arXiv:2302.04265, Section 5.2. Ours: `norm_quantile`, which says how unusual a disturbed state is.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise

import torch
from scipy.stats import chi
from torch import Tensor, nn

from genwright.core import InvalidArgument
from genwright.generators.diffusion.noise import Gaussian, Rng
from genwright.generators.diffusion.samplers import Predict, falling

Sampler = Callable[[Predict, Tensor, Sequence[float]], Tensor]
"""(denoiser, x at the first level, falling levels) -> x at the last."""


def step_noise(
    sampler: Sampler, alpha: float
) -> Callable[[Predict, Tensor, Sequence[float] | Tensor, Rng], Tensor]:
    """Return a sampler that adds alpha sigma n to its state before each step.

    Args:
        sampler: such as `samplers.heun`; it is asked for one step at a time.
        alpha: size of the disturbance over the level of noise; 0 changes nothing.

    Raises:
        InvalidArgument: alpha below 0.
    """
    if not alpha >= 0:
        raise InvalidArgument(f"step_noise: alpha must be 0 or more, got {alpha}.")

    def disturbed(
        denoise: Predict, x: Tensor, sigmas: Sequence[float] | Tensor, rng: Rng
    ) -> Tensor:
        for sigma, lower in pairwise(falling(sigmas)):
            if alpha:
                x = x + Gaussian().sample(x.shape, x.new_tensor(alpha * sigma), rng)
            x = sampler(denoise, x, (sigma, lower))
        return x

    return disturbed


def quantised(module: nn.Module, bits: int) -> nn.Module:
    """Return a copy whose every parameter takes at most 2^bits values, evenly spaced.

    Args:
        module: left as it is.
        bits: of each weight, 1 to 16.

    Raises:
        InvalidArgument: bits out of range.
    """
    if not 1 <= bits <= 16:
        raise InvalidArgument(f"quantised: bits must be 1 to 16, got {bits}.")
    found = deepcopy(module)
    with torch.no_grad():
        for weight in found.parameters():
            low, high = weight.min(), weight.max()
            step = (high - low) / (2**bits - 1)
            if step > 0:
                weight.copy_(low + step * ((weight - low) / step).round())
    return found


def norm_quantile(alpha: float, dim: int) -> float:
    """Return where the length of a disturbed state lies among lengths of Gaussian noise.

    A state at level sigma has noise of length about sigma sqrt(dim); disturbed, its length grows to
    sigma sqrt(dim (1 + alpha^2)). The result is the share of undisturbed noise that is shorter: 0.5
    at alpha = 0, and near 1 where the disturbed state lies outside the shell that Gaussian training
    has seen.
    """
    return float(chi.cdf((dim * (1 + alpha**2)) ** 0.5, dim))
