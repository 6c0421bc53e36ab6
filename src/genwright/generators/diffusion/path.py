"""Conventions for noised data, each mapped to one: x = x_0 + sigma n.

Everything here is stored and integrated in these canonical coordinates. A path says how another
convention maps to them: x_t = s(t) (x_0 + sigma(t) n). A network that was trained under one keeps
it (`Denoiser(net, precondition, path)`); samplers never see it.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models" (EDM),
arXiv:2206.00364, Table 1 (VE, VP); Ho et al. 2020, arXiv:2006.11239 (the 1,000 linear betas);
Liu et al. 2022, arXiv:2209.03003 (the straight path, here with t = 1 at the noise).
Ours: between two steps of `Discrete`, log sigma is linear in t.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from genwright.core import InvalidArgument

LINEAR_BETAS = tuple(float(b) for b in np.linspace(1e-4, 2e-2, 1000))
"""The betas of DDPM."""


class Path(Protocol):
    """A convention: times, levels of noise, and a scale."""

    def sigma(self, t: Tensor) -> Tensor:
        """Return the level of noise at a time."""
        ...

    def time(self, sigma: Tensor) -> Tensor:
        """Return the time of a level of noise."""
        ...

    def scale(self, sigma: Tensor) -> Tensor:
        """Return s, by which x is multiplied at a level of noise."""
        ...


@dataclass(frozen=True)
class VE:
    """Variance exploding: x_t = x_0 + t n."""

    def sigma(self, t: Tensor) -> Tensor:
        """Return t."""
        return t

    def time(self, sigma: Tensor) -> Tensor:
        """Return sigma."""
        return sigma

    def scale(self, sigma: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(sigma)


@dataclass(frozen=True, kw_only=True)
class VP:
    """Variance preserving, t in [0, 1].

    Args:
        beta_d: how much beta rises over [0, 1].
        beta_min: beta at 0.
    """

    beta_d: float = 19.9
    beta_min: float = 0.1

    def sigma(self, t: Tensor) -> Tensor:
        """Return sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1)."""
        return torch.expm1(self.beta_d * t**2 / 2 + self.beta_min * t).sqrt()

    def time(self, sigma: Tensor) -> Tensor:
        """Return the root of beta_d t^2 / 2 + beta_min t = log(1 + sigma^2) that is 0 or more."""
        logs = torch.log1p(sigma**2)
        return ((self.beta_min**2 + 2 * self.beta_d * logs).sqrt() - self.beta_min) / self.beta_d

    def scale(self, sigma: Tensor) -> Tensor:
        """Return 1 / sqrt(1 + sigma^2)."""
        return torch.rsqrt(1 + sigma**2)


@dataclass(frozen=True, kw_only=True)
class Discrete:
    """Variance preserving in numbered steps, t in [0, len(betas) - 1]; the DDPM convention.

    Args:
        betas: share of variance that each step replaces by noise.

    Raises:
        InvalidArgument: fewer than two betas, or one outside (0, 1).
    """

    betas: tuple[float, ...] = LINEAR_BETAS

    def __post_init__(self) -> None:
        if len(self.betas) < 2 or not all(0 < b < 1 for b in self.betas):
            raise InvalidArgument("Discrete: needs two betas or more, each between 0 and 1.")

    def sigma(self, t: Tensor) -> Tensor:
        """Return sqrt(1 / abar_t - 1), log-linear between whole steps."""
        logs = _log_sigmas(self.betas).to(t)
        low = t.floor().long().clamp(0, len(logs) - 2)
        share = (t - low).clamp(0, 1)
        return torch.lerp(logs[low], logs[low + 1], share).exp()

    def time(self, sigma: Tensor) -> Tensor:
        """Return the step of a level, with fraction; the first or the last one beyond theirs."""
        logs = _log_sigmas(self.betas).to(sigma)
        wanted = sigma.log()
        low = (torch.searchsorted(logs, wanted.contiguous()) - 1).clamp(0, len(logs) - 2)
        share = (wanted - logs[low]) / (logs[low + 1] - logs[low])
        return low + share.clamp(0, 1)

    def scale(self, sigma: Tensor) -> Tensor:
        """Return sqrt(abar) = 1 / sqrt(1 + sigma^2)."""
        return torch.rsqrt(1 + sigma**2)


@dataclass(frozen=True)
class Flow:
    """The straight path x_t = (1 - t) x_0 + t n, t in [0, 1); t = 1 is sigma = infinity."""

    def sigma(self, t: Tensor) -> Tensor:
        """Return t / (1 - t)."""
        return t / (1 - t)

    def time(self, sigma: Tensor) -> Tensor:
        """Return sigma / (1 + sigma)."""
        return sigma / (1 + sigma)

    def scale(self, sigma: Tensor) -> Tensor:
        """Return 1 - t = 1 / (1 + sigma)."""
        return 1 / (1 + sigma)


def to_canonical(path: Path, x_t: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return (x, sigma) of data in a path's convention.

    Args:
        path: the convention.
        x_t: [B, ...].
        t: one time, or [B].

    Returns:
        x [B, ...] and sigma [B].
    """
    sigma = path.sigma(each(t, x_t))
    return x_t / wide(path.scale(sigma), x_t), sigma


def from_canonical(path: Path, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return (x_t [B, ...], t [B]) in a path's convention; undoes `to_canonical`."""
    levels = each(sigma, x)
    return x * wide(path.scale(levels), x), path.time(levels)


def each(value: float | Tensor, x: Tensor) -> Tensor:
    """Return one number a draw, [B], of x's type, from one number or [B].

    Raises:
        InvalidArgument: a number below 0 (levels of noise and times have none), or another length.
    """
    if not isinstance(value, Tensor):
        if not value >= 0:
            raise InvalidArgument(f"a level of noise or a time must be 0 or more, got {value}.")
        return x.new_full((len(x),), value)
    if value.device.type == "cpu" and not bool((value >= 0).all()):  # elsewhere it would wait
        raise InvalidArgument(
            f"a level of noise or a time must be 0 or more, got {value.min().item()}."
        )
    if value.ndim and value.shape != x.shape[:1]:
        raise InvalidArgument(
            f"one number a draw is needed: {len(x)} draws, numbers of shape {list(value.shape)}."
        )
    return value.to(x).expand(len(x))


def wide(levels: Tensor, x: Tensor) -> Tensor:
    """Return [B] numbers as [B, 1, ...], to be multiplied with x [B, ...]."""
    return levels.reshape(-1, *(1,) * (x.ndim - 1))


@cache
def _log_sigmas(betas: tuple[float, ...]) -> Tensor:
    """Return float64 log sigma of every step."""
    kept = torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0)
    return 0.5 * torch.log(1 / kept - 1)
