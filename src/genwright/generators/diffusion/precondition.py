"""What a network is given and what its output stands for: D = c_skip x + c_out F(c_in x, c_noise).

`Edm` is the one to train with. `X0`, `NoisePrediction` and `VPrediction` read networks that were
trained under a path of their own; `RawFlow` one that predicts n - x_0 on the straight path.
`Boundary` makes D(x, sigma_min) = x exactly, which consistency models need; `Jump` turns a network
of two levels into a map from one level to a lower one.

Karras et al. 2022, arXiv:2206.00364, Table 1 and Section 5 (Edm); Song et al. 2023, "Consistency
Models", arXiv:2303.01469, Appendix C (Boundary); Kim et al. 2024, "Consistency Trajectory Models",
arXiv:2310.02279, equation 8 (Jump); Salimans & Ho 2022, arXiv:2202.00512 (v).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from genwright.core import InvalidArgument
from genwright.generators.diffusion.path import Flow, Path, each, wide


class Coefficients(NamedTuple):
    """c_skip, c_out, c_in and c_noise, one a draw: [B]."""

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor


class Precondition(Protocol):
    """A reading of a network."""

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients at levels [B]; `path` is the convention the network knows."""
        ...


@dataclass(frozen=True, kw_only=True)
class Edm:
    """Input and target of unit variance at every level.

    Args:
        sigma_data: standard deviation of the data.
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        _positive(self, self.sigma_data)

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients; the path has no say."""
        total = (sigma**2 + self.sigma_data**2).sqrt()
        skip, out = self.sigma_data**2 / total**2, sigma * self.sigma_data / total
        return Coefficients(skip, out, 1 / total, _quarter_log(sigma))


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """As `Edm`, but D(x, sigma_min) = x.

    Args:
        sigma_data: standard deviation of the data.
        sigma_min: the level at which nothing is left to denoise.
    """

    sigma_data: float = 0.5
    sigma_min: float = 0.002

    def __post_init__(self) -> None:
        _positive(self, self.sigma_data)

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients; the path has no say."""
        total, above = (sigma**2 + self.sigma_data**2).sqrt(), sigma - self.sigma_min
        skip = self.sigma_data**2 / (above**2 + self.sigma_data**2)
        return Coefficients(skip, above * self.sigma_data / total, 1 / total, _quarter_log(sigma))


@dataclass(frozen=True)
class RawFlow:
    """The network predicts n - x_0 from x_t on the straight path: D = x_t - t F(x_t, t)."""

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients; the path is the straight one, whatever is given."""
        scale, t = Flow().scale(sigma), Flow().time(sigma)
        return Coefficients(scale, -t, scale, t)


@dataclass(frozen=True)
class X0:
    """The network predicts x_0 in the coordinates of its path."""

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients under a path."""
        zero = torch.zeros_like(sigma)
        return Coefficients(zero, torch.ones_like(sigma), path.scale(sigma), path.time(sigma))


@dataclass(frozen=True)
class NoisePrediction:
    """The network predicts n, as DDPM's do: D = x - sigma F."""

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients under a path."""
        one = torch.ones_like(sigma)
        return Coefficients(one, -sigma, path.scale(sigma), path.time(sigma))


@dataclass(frozen=True)
class VPrediction:
    """The network predicts v = cos n - sin x_0, with tan = sigma: D = cos x_t - sin F."""

    def coefficients(self, sigma: Tensor, path: Path) -> Coefficients:
        """Return the coefficients under a path that preserves variance."""
        cos = torch.rsqrt(1 + sigma**2)
        return Coefficients(cos**2, -sigma * cos, path.scale(sigma), path.time(sigma))


@dataclass(frozen=True, kw_only=True, eq=False)
class Jump:
    """A map from level s to level u: G(x, s, u) = (u / s) x + (1 - u / s) g(x, s, u).

    Args:
        net: (x, c_noise of s, c_noise of u, cond) -> the network's output.
        sigma_data: standard deviation of the data, as in `Edm`, with which g is read.
    """

    net: Callable[..., Tensor]
    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        _positive(self, self.sigma_data)

    def g(
        self, x: Tensor, s: float | Tensor, u: float | Tensor, cond: Tensor | None = None
    ) -> Tensor:
        """Return the map within the jump; at u = s it is the denoiser."""
        levels = each(s, x)
        c = Edm(sigma_data=self.sigma_data).coefficients(levels, Flow())
        into, lower = x * wide(c.into, x), _quarter_log(each(u, x))
        return x * wide(c.skip, x) + wide(c.out, x) * self.net(into, c.noise, lower, cond)

    def __call__(
        self, x: Tensor, s: float | Tensor, u: float | Tensor, cond: Tensor | None = None
    ) -> Tensor:
        """Return x at level u, given x at level s."""
        share = wide(each(u, x) / each(s, x), x)
        return share * x + (1 - share) * self.g(x, s, u, cond)


def _quarter_log(sigma: Tensor) -> Tensor:
    """Return ln(sigma) / 4; at sigma 0 that of 1e-8, since a network cannot take infinity."""
    return sigma.clamp(min=1e-8).log() / 4


def _positive(what: object, sigma_data: float) -> None:
    if not sigma_data > 0:
        raise InvalidArgument(
            f"{type(what).__name__}: sigma_data must be above 0, got {sigma_data}."
        )
