"""Denoisers: callables `(x, sigma, cond) -> E[x_0 | x]`, and what else they tell.

A trained network becomes one by `Denoiser(net, precondition, path)`; the exact ones of `exact.py`
are ones already, and `Guided` makes one of another. `score`, `noise_of` and `velocity` read any of
them.

Karras et al. 2022, arXiv:2206.00364, equation 3 (the score); Ho & Salimans 2022, "Classifier-Free
Diffusion Guidance", arXiv:2207.12598, in the form D_null + w (D_cond - D_null), where w = 1 is no
guidance.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument
from genwright.generators.diffusion.path import VE, Path, each, wide
from genwright.generators.diffusion.precondition import Precondition


class Denoise(Protocol):
    """What every denoiser is."""

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None, /) -> Tensor:
        """Return E[x_0 | x].

        Args:
            x: [B, ...], in canonical coordinates.
            sigma: one level of noise, or [B].
            cond: class of each draw, int64[B], or None.
        """
        ...


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A network read as a denoiser.

    Args:
        net: `forward(x, c_noise [B], cond) -> like x`; `nets.denoisers` holds some.
        precondition: what its output stands for.
        path: the convention it was trained under, where `precondition` asks for one.
    """

    net: nn.Module
    precondition: Precondition
    path: Path = field(default_factory=VE)

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x]; see `Denoise`.

        Raises:
            InvalidArgument: a level below 0, or a condition out of range.
        """
        c = self.precondition.coefficients(each(sigma, x), self.path)
        out = self.net(x * wide(c.into, x), c.noise, checked(cond, self.classes, len(x)))
        return x * wide(c.skip, x) + wide(c.out, x) * out

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one draw."""
        return tuple(self.net.shape)  # pyright: ignore[reportArgumentType]

    @property
    def classes(self) -> int:
        """How many classes it knows; 0 where it takes no condition."""
        return int(getattr(self.net, "classes", 0))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class Guided:
    """A denoiser pushed away from what it would say without the condition.

    Args:
        denoiser: what is guided.
        weight: w; 1 is no guidance, 0 no condition.
        null: the condition that stands for none; None where the denoiser takes None.
    """

    denoiser: Any
    weight: float
    null: int | None = None
    evaluations: int = 2
    """Evaluations of the network a call."""

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Return D_null + w (D_cond - D_null)."""
        null = None
        if self.null is not None:
            null = torch.full((len(x),), self.null, device=x.device)
        plain = self.denoiser(x, sigma, null)
        return plain + self.weight * (self.denoiser(x, sigma, cond) - plain)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one draw."""
        return self.denoiser.shape

    @property
    def classes(self) -> int:
        """How many classes it knows."""
        return self.denoiser.classes


def score(denoise: Denoise, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
    """Return the gradient of log p(x) at a level above 0: (D - x) / sigma^2."""
    return (denoise(x, sigma, cond) - x) / wide(each(sigma, x), x) ** 2


def noise_of(
    denoise: Denoise, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None
) -> Tensor:
    """Return E[n | x] at a level above 0: (x - D) / sigma."""
    return (x - denoise(x, sigma, cond)) / wide(each(sigma, x), x)


def velocity(
    denoise: Denoise, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None
) -> Tensor:
    """Return E[n - x_0 | x] at a level above 0: the speed along the straight path."""
    clean = denoise(x, sigma, cond)
    return (x - clean) / wide(each(sigma, x), x) - clean


def checked(cond: Tensor | None, classes: int, n: int) -> Tensor | None:
    """Return a condition that fits.

    Raises:
        InvalidArgument: a class out of range, or none or one where the other is needed.
    """
    if cond is None:
        return None
    if not classes:
        raise InvalidArgument("this denoiser takes no condition; leave cond out.")
    if cond.shape != (n,):
        raise InvalidArgument(f"cond must hold one class a draw: {n}, got {list(cond.shape)}.")
    if cond.device.type == "cpu" and len(cond):  # elsewhere a look at it would wait
        low, high = int(cond.min()), int(cond.max())
        if low < 0 or high >= classes:
            raise InvalidArgument(
                f"a class must be 0 to {classes - 1}, got {low if low < 0 else high}."
            )
    return cond
