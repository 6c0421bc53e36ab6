"""Ways from noise to data, as plain functions of any callable `(x, sigma) -> x_0`.

`euler` is DDIM, `heun` the usual choice, `churn` adds noise on the way, `few_step` is for models
that predict x_0 in one step (consistency models), `jumps` for maps between any two levels. All
follow dx / dsigma = (x - D) / sigma down a schedule such as `karras`.

Karras et al. 2022, arXiv:2206.00364, equation 5 and Algorithms 1 and 2; Song et al. 2021, "DDIM",
arXiv:2010.02502; Song et al. 2023, arXiv:2303.01469, Algorithm 1 (few_step); Kim et al. 2024,
arXiv:2310.02279, Algorithm 3 (jumps). Ours: churn takes noise from any `Rng`, so that draws have
streams of their own; the state keeps the type of x, where the code of Karras et al. goes in
float64 between calls of its network.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from genwright.core import InvalidArgument
from genwright.generators.diffusion.noise import Gaussian, Noise, Rng

Predict = Callable[[Tensor, Tensor], Tensor]
"""(x [B, ...], sigma [B]) -> x_0 [B, ...]."""

GAMMA_MAX = 2**0.5 - 1
"""No step adds more than its own variance (Karras et al., Algorithm 2)."""


def karras(n: int, lo: float = 0.002, hi: float = 80.0, rho: float = 7.0) -> Tensor:
    """Return float64[n + 1] falling levels from `hi` to `lo`, and 0: n steps of a sampler.

    Raises:
        InvalidArgument: n below 1, or not 0 < lo < hi.
    """
    if n < 1 or not 0 < lo < hi or not rho > 0:
        raise InvalidArgument(
            f"karras: needs n of 1 or more, 0 < lo < hi and rho above 0, got n={n}, lo={lo}, "
            f"hi={hi}, rho={rho}."
        )
    places = torch.linspace(0, 1, n, dtype=torch.float64) if n > 1 else torch.zeros(1).double()
    high, low = hi ** (1 / rho), lo ** (1 / rho)
    return torch.cat([(high + places * (low - high)) ** rho, torch.zeros(1).double()])


def euler(denoise: Predict, x: Tensor, sigmas: Sequence[float] | Tensor) -> Tensor:
    """Return x at the last level, one evaluation a step; order 1.

    Args:
        denoise: any denoiser.
        x: [B, ...] at the first level.
        sigmas: falling levels.

    Raises:
        InvalidArgument: levels that rise or are below 0.
    """
    for sigma, lower in pairwise(falling(sigmas)):
        x = x + (lower - sigma) * _slope(denoise, x, sigma)
    return x


def heun(denoise: Predict, x: Tensor, sigmas: Sequence[float] | Tensor) -> Tensor:
    """Return x at the last level, two evaluations a step but one where it ends at 0; order 2.

    See `euler` for the arguments.
    """
    for sigma, lower in pairwise(falling(sigmas)):
        x = _heun_step(denoise, x, sigma, lower)
    return x


def churn(
    denoise: Predict,
    x: Tensor,
    sigmas: Sequence[float] | Tensor,
    s_churn: float,
    s_noise: float,
    rng: Rng,
    *,
    s_min: float = 0.0,
    s_max: float = float("inf"),
) -> Tensor:
    """Return x at the last level by Heun's steps, each begun a little higher with fresh noise.

    Args:
        denoise: any denoiser.
        x: [B, ...] at the first level.
        sigmas: falling levels.
        s_churn: how much noise all steps add; 0 is `heun`, bit for bit.
        s_noise: scale of it, slightly above 1 against the loss of detail.
        rng: of the noise.
        s_min: lowest level at which noise is added.
        s_max: highest.

    Raises:
        InvalidArgument: levels that rise or are below 0, or s_churn or s_noise below 0.
    """
    if not s_churn >= 0 or not s_noise >= 0:
        raise InvalidArgument(
            f"churn: s_churn and s_noise must be 0 or more, got {s_churn} and {s_noise}."
        )
    levels = falling(sigmas)
    most = min(s_churn / max(1, len(levels) - 1), GAMMA_MAX)
    for sigma, lower in pairwise(levels):
        gamma = most if s_min <= sigma <= s_max else 0.0
        higher = sigma * (1 + gamma)
        if gamma > 0:
            added = (higher**2 - sigma**2) ** 0.5 * s_noise
            x = x + Gaussian().sample(x.shape, x.new_tensor(added), rng)
        x = _heun_step(denoise, x, higher, lower)
    return x


def few_step(
    predict: Predict, x: Tensor, sigmas: Sequence[float] | Tensor, noise: Noise, rng: Rng
) -> Tensor:
    """Return x_0: predict it, add noise of the next level, repeat; one evaluation a level above 0.

    Args:
        predict: (x, sigma) -> x_0 in one step.
        x: [B, ...] at the first level.
        sigmas: falling levels; a last level of 0 is no step.
        noise: kernel of what is added.
        rng: of the noise.

    Raises:
        InvalidArgument: levels that rise or are below 0.
    """
    levels = [sigma for sigma in falling(sigmas) if sigma > 0]
    clean = predict(x, _each(x, levels[0]))
    for sigma in levels[1:]:
        x = clean + noise.sample(x.shape, x.new_tensor(sigma), rng)
        clean = predict(x, _each(x, sigma))
    return clean


def jumps(
    jump: Callable[[Tensor, Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Sequence[float] | Tensor,
    gamma: float,
    rng: Rng,
) -> Tensor:
    """Return x at the last level by jumps below each next level and noise back up to it.

    Args:
        jump: (x, s [B], u [B]) -> x at level u, given x at level s.
        x: [B, ...] at the first level.
        sigmas: falling levels.
        gamma: share of noise; 0 adds none, 1 jumps to level 0 each time, as `few_step` does.
        rng: of the noise.

    Raises:
        InvalidArgument: levels that rise or are below 0, or gamma outside [0, 1].
    """
    if not 0 <= gamma <= 1:
        raise InvalidArgument(f"jumps: gamma must be in [0, 1], got {gamma}.")
    for sigma, lower in pairwise(falling(sigmas)):
        x = jump(x, _each(x, sigma), _each(x, (1 - gamma**2) ** 0.5 * lower))
        if gamma * lower > 0:
            x = x + Gaussian().sample(x.shape, x.new_tensor(gamma * lower), rng)
    return x


def falling(sigmas: Sequence[float] | Tensor) -> list[float]:
    """Return a schedule as numbers.

    Raises:
        InvalidArgument: fewer than two levels, one that is not finite or below 0, or a rise.
    """
    levels = [float(s) for s in sigmas]
    if len(levels) < 2 or any(not 0 <= s < float("inf") for s in levels):
        raise InvalidArgument(
            f"a schedule needs two levels or more, each finite and 0 or more, got {levels}."
        )
    for i, (sigma, lower) in enumerate(pairwise(levels)):
        if lower >= sigma:
            raise InvalidArgument(
                f"a schedule must fall, but level {i + 1} is {lower} after {sigma}."
            )
    return levels


def _heun_step(denoise: Predict, x: Tensor, sigma: float, lower: float) -> Tensor:
    slope = _slope(denoise, x, sigma)
    ahead = x + (lower - sigma) * slope
    if lower == 0:
        return ahead
    return x + (lower - sigma) * 0.5 * (slope + _slope(denoise, ahead, lower))


def _slope(denoise: Predict, x: Tensor, sigma: float) -> Tensor:
    return (x - denoise(x, _each(x, sigma))) / sigma


def _each(x: Tensor, sigma: float) -> Tensor:
    return x.new_full((len(x),), sigma)
