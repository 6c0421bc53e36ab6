"""Denoisers in closed form: Gaussian mixtures and finite data sets.

Choose one as a teacher without error: every error of a sampler or a student is then its own.
`ring8` and `grid25` are the usual toy densities.

The posterior means are Bayes' rule; for finite data: Karras et al. 2022, arXiv:2206.00364,
Appendix B.3. Ours: classes, each owning some of the components or points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from genwright.core import InvalidArgument
from genwright.generators.diffusion.denoiser import checked, score
from genwright.generators.diffusion.noise import Gaussian, Noise, Rng
from genwright.generators.diffusion.path import each, wide


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of round Gaussians, and its denoiser.

    Args:
        weights: of the components, above 0; they are scaled to sum to 1.
        means: of the components, each of the same dimension.
        std: standard deviation of every component, in every direction.
        labels: class of each component, counted from 0; without them there is no condition.

    Raises:
        InvalidArgument: columns of different lengths, weights or std not above 0, a class without
            components.
    """

    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    std: float
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.weights) == len(self.means) == len(self.labels or self.means) > 0:
            raise InvalidArgument(
                f"GaussianMixture: {len(self.weights)} weights, {len(self.means)} means and "
                f"{len(self.labels)} labels; give as many of each, or no labels."
            )
        if not min(self.weights) > 0 or not self.std > 0:
            raise InvalidArgument("GaussianMixture: weights and std must be above 0.")
        _check_labels(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one draw."""
        return (len(self.means[0]),)

    @property
    def classes(self) -> int:
        """How many classes there are; 0 without labels."""
        return max(self.labels, default=-1) + 1

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x] [B, d].

        Args:
            x: [B, d].
            sigma: one level, or [B].
            cond: int64[B], or None for the whole mixture.
        """
        levels = wide(each(sigma, x), x)
        share_BK = torch.softmax(self._joint(x, levels, cond), 1)
        variance = self.std**2 + levels**2
        mean = share_BK @ self._means(x)
        return (levels**2 * mean + self.std**2 * x) / variance

    def score(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Return the gradient of log p at a level above 0, [B, d]."""
        return score(self, x, sigma, cond)

    def log_prob(
        self, x: Tensor, sigma: float | Tensor = 0.0, cond: Tensor | None = None
    ) -> Tensor:
        """Return log p(x) in nats at a level, [B]."""
        levels = wide(each(sigma, x), x)
        constant = 0.5 * x.shape[1] * torch.log(2 * math.pi * (self.std**2 + levels[:, 0] ** 2))
        return torch.logsumexp(self._joint(x, levels, cond), 1) - constant

    def sample(self, n: int, rng: Rng, cond: Tensor | None = None) -> Tensor:
        """Return float64[n, d] draws of x_0.

        Args:
            n: how many.
            rng: where they come from.
            cond: int64[n], or None for the whole mixture.
        """
        nowhere = torch.zeros((n, *self.shape), dtype=torch.float64)
        chosen = _chosen(self._log_weights(nowhere, cond), n, rng)
        return self._means(nowhere)[chosen] + self.std * rng.normal((n, *self.shape))

    def cell_masses(self, *edges: Sequence[float] | NDArray[Any], cond: int | None = None) -> Any:
        """Return the mass of every cell of a grid, as a float64 array with one axis a dimension.

        Args:
            edges: of the cells, rising, one sequence a dimension.
            cond: a class, or None for the whole mixture.
        """
        if len(edges) != self.shape[0]:
            raise InvalidArgument(
                f"cell_masses: {self.shape[0]} dimensions need as many edges, got {len(edges)}."
            )
        picked = np.array([1.0 if cond is None else label == cond for label in self._labels()])
        weights = np.array(self.weights) * picked
        total = np.zeros([len(e) - 1 for e in edges])
        for weight, mean in zip(weights / weights.sum(), self.means, strict=True):
            mass = np.array(weight)
            for middle, along in zip(mean, edges, strict=True):
                below = ndtr((np.asarray(along, dtype=float) - middle) / self.std)
                mass = mass[..., None] * np.diff(below)
            total += mass
        return total

    def _labels(self) -> tuple[int, ...]:
        return self.labels or (0,) * len(self.weights)

    def _means(self, x: Tensor) -> Tensor:
        return torch.tensor(self.means, dtype=x.dtype, device=x.device)

    def _log_weights(self, x: Tensor, cond: Tensor | None) -> Tensor:
        """Return log weights [1, K], or [B, K] given classes; they need not sum to 1."""
        weights = torch.tensor(self.weights, dtype=x.dtype, device=x.device)
        return _within(
            (weights / weights.sum()).log(), self.labels, checked(cond, self.classes, len(x))
        )

    def _joint(self, x: Tensor, levels: Tensor, cond: Tensor | None) -> Tensor:
        """Return [B, K] log of weight times density, up to (2 pi variance)^(-d/2)."""
        squared = (x[:, None] - self._means(x)).square().sum(2)
        logs = torch.log_softmax(self._log_weights(x, cond), 1)
        return logs - squared / (2 * (self.std**2 + levels**2))


@dataclass(frozen=True, eq=False)
class FiniteData:
    """The empirical distribution of some points, and its denoiser under any kernel.

    Args:
        points: [M, ...].
        noise: the kernel.
        labels: class of each point, counted from 0; without them there is no condition.

    Raises:
        InvalidArgument: no points, or as many labels as there are not points.
    """

    points: Tensor
    noise: Noise = field(default_factory=Gaussian)
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.points) or len(self.labels or self.points) != len(self.points):
            raise InvalidArgument(
                f"FiniteData: {len(self.points)} points and {len(self.labels)} labels; give at "
                "least one point, and as many labels or none."
            )
        _check_labels(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one draw."""
        return tuple(self.points.shape[1:])

    @property
    def classes(self) -> int:
        """How many classes there are; 0 without labels."""
        return max(self.labels, default=-1) + 1

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Return the mean of the points, weighed by the kernel, [B, ...], at levels above 0.

        It is computed in float64, since exponents run to thousands, and has the type of x.
        """
        points = self.points.to(x.device).double().flatten(1)
        levels = each(sigma, x).double()[:, None]
        flat = x.double().flatten(1)
        squared = (flat[:, None] - points).square().sum(2)
        logs = self.noise.log_density(squared, levels, flat.shape[1])
        even = flat.new_zeros(len(points))
        logs = logs + _within(even, self.labels, checked(cond, self.classes, len(x)))
        return (torch.softmax(logs, 1) @ points).reshape(x.shape).to(x)

    def sample(self, n: int, rng: Rng, cond: Tensor | None = None) -> Tensor:
        """Return [n, ...] points, drawn with replacement; see `GaussianMixture.sample`."""
        even = torch.zeros(len(self.points), dtype=torch.float64)
        logs = _within(even, self.labels, checked(cond, self.classes, n))
        return self.points[_chosen(logs, n, rng)]


def ring8(labels: tuple[int, ...] = ()) -> GaussianMixture:
    """Return eight modes of std 0.08 and unequal weights on a circle of radius 1."""
    angles = [2 * math.pi * k / 8 for k in range(8)]
    means = tuple((math.cos(a), math.sin(a)) for a in angles)
    weights = (0.30, 0.20, 0.15, 0.12, 0.09, 0.07, 0.05, 0.02)
    return GaussianMixture(weights, means, 0.08, labels)


def grid25() -> GaussianMixture:
    """Return 25 modes of std 0.05 and equal weights at the whole places of [-2, 2]^2."""
    means = tuple((float(i), float(j)) for i in range(-2, 3) for j in range(-2, 3))
    return GaussianMixture((1 / 25,) * 25, means, 0.05)


def _within(logs: Tensor, labels: tuple[int, ...], cond: Tensor | None) -> Tensor:
    """Return log weights [K] as [1, K], or [B, K] with those of other classes left out."""
    if cond is None:
        return logs[None]
    others = torch.tensor(labels, device=logs.device) != cond.to(logs.device)[:, None]
    return logs.expand(others.shape).masked_fill(others, -math.inf)


def _chosen(logs: Tensor, n: int, rng: Rng) -> Tensor:
    """Return int64[n] places, drawn by log weights [1, K] or [n, K] that need not sum to 1."""
    places = torch.cumsum(torch.softmax(logs.expand(n, -1), 1), 1)
    chosen = torch.searchsorted(places, rng.uniform(n)[:, None])[:, 0]
    return chosen.clamp(max=logs.shape[1] - 1)  # the sum of shares may fall short of 1


def _check_labels(labels: tuple[int, ...]) -> None:
    if labels and set(labels) != set(range(max(labels) + 1)):
        raise InvalidArgument(f"labels must use every class from 0 on, got {sorted(set(labels))}.")
