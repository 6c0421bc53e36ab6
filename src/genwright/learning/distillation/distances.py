"""Distances between scores, for `rules.ScoreImplicit`: each by its gradient alone.

Luo et al. 2024, "One-Step Diffusion Distillation through Score Implicit Matching",
arXiv:2410.16794: the pseudo-Huber distance divides a gap by about its own length, so that no draw
dominates a step. Ours: `Power`, and c in units of x_0.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from genwright.core import InvalidArgument
from genwright.generators.diffusion.path import wide


class Distance(Protocol):
    """A distance d(y) of scores, by its gradient."""

    def slope(self, y: Tensor) -> Tensor:
        """Return d'(y), [B, ...]."""
        ...


@dataclass(frozen=True, kw_only=True)
class PseudoHuber:
    """d(y) = sqrt(|y|^2 + c^2) - c.

    Args:
        c: in units of x_0; above 0. Gaps well above it all count the same.

    Raises:
        InvalidArgument: c not above 0.
    """

    c: float = 0.01

    def __post_init__(self) -> None:
        if not self.c > 0:
            raise InvalidArgument(f"PseudoHuber: c must be above 0, got {self.c}.")

    def slope(self, y: Tensor) -> Tensor:
        """Return y / sqrt(|y|^2 + c^2), the length taken a draw."""
        return y / wide((dot(y, y) + self.c**2).sqrt(), y)


@dataclass(frozen=True)
class L2:
    """d(y) = |y|^2 / 2."""

    def slope(self, y: Tensor) -> Tensor:
        """Return y."""
        return y


@dataclass(frozen=True, kw_only=True)
class Power:
    """d(y) = |y|^p / p.

    Args:
        p: above 1; 2 is `L2`.

    Raises:
        InvalidArgument: p not above 1.
    """

    p: float = 1.5

    def __post_init__(self) -> None:
        if not self.p > 1:
            raise InvalidArgument(f"Power: p must be above 1, got {self.p}.")

    def slope(self, y: Tensor) -> Tensor:
        """Return |y|^(p - 2) y."""
        length = dot(y, y).clamp(min=1e-20)  # at 0 the slope is 0, whatever the power says
        return y * wide(length ** (self.p / 2 - 1), y)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of two draws, summed over their numbers, [B]."""
    return (a * b).flatten(1).sum(1)
