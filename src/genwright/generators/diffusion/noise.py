"""Noise, the levels at which training meets it, and where its randomness comes from.

`Gaussian` is the kernel of diffusion models, `StudentT(D)` that of PFGM++. A level is drawn by
`LogNormal` (training of denoisers) or `KarrasUniform` (training of one-step students). Randomness
is a `Rng`: `Rows` gives every draw a stream of its own, so that draw k of a seed is the same in any
batch; `Batch` is one stream for a whole batch, quicker, for training.

Karras et al. 2022, arXiv:2206.00364 (log-normal levels; the curve of levels, equation 5);
Xu et al. 2023, "PFGM++", arXiv:2302.04265, Sections 3 and 4 (the kernel, r = sigma sqrt(D));
Zhou et al. 2024, "Score identity Distillation", arXiv:2404.04057 (levels uniform on the curve).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from genwright.core import InvalidArgument, child_seed
from genwright.generators.diffusion.path import each, wide


class Rng(Protocol):
    """Random numbers, one row a draw."""

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return float64 standard normal numbers; the first axis is the draw."""
        ...

    def uniform(self, n: int) -> Tensor:
        """Return float64[n] in [0, 1), one a draw."""
        ...

    def beta(self, a: float, b: float, n: int) -> Tensor:
        """Return float64[n] of Beta(a, b), one a draw."""
        ...


class Rows:
    """A stream for each of the draws `first` to `first + n - 1` of a seed.

    Args:
        seed: of all of them; draw k has the stream of `child_seed(seed, k)`.
        first: index of the first.
        n: how many.
    """

    def __init__(self, seed: int, first: int, n: int) -> None:
        keys = (child_seed(seed, k) for k in range(first, first + n))
        self._streams = [np.random.Generator(np.random.Philox(key=key)) for key in keys]

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return float64 standard normal numbers, row k from stream k."""
        self._expect(shape[0])
        rows = np.empty(tuple(shape))
        for row, stream in zip(rows.reshape(len(rows), -1), self._streams, strict=True):
            stream.standard_normal(out=row)
        return torch.from_numpy(rows)

    def uniform(self, n: int) -> Tensor:
        """Return float64[n] in [0, 1)."""
        self._expect(n)
        return torch.tensor([stream.random() for stream in self._streams], dtype=torch.float64)

    def beta(self, a: float, b: float, n: int) -> Tensor:
        """Return float64[n] of Beta(a, b)."""
        self._expect(n)
        return torch.tensor([s.beta(a, b) for s in self._streams], dtype=torch.float64)

    def _expect(self, n: int) -> None:
        if n != len(self._streams):
            raise InvalidArgument(f"Rows: {len(self._streams)} draws have streams, {n} are asked.")


class Batch:
    """One stream for whole batches.

    Args:
        seed: of the stream.
        names: which child of the seed, such as a step: `child_seed(seed, *names)`.
    """

    def __init__(self, seed: int, *names: int | str) -> None:
        self.numpy = np.random.Generator(np.random.Philox(key=child_seed(seed, *names)))

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return float64 standard normal numbers."""
        return torch.from_numpy(self.numpy.standard_normal(tuple(shape)))

    def uniform(self, n: int) -> Tensor:
        """Return float64[n] in [0, 1)."""
        return torch.from_numpy(self.numpy.random(n))

    def beta(self, a: float, b: float, n: int) -> Tensor:
        """Return float64[n] of Beta(a, b)."""
        return torch.from_numpy(self.numpy.beta(a, b, n))

    def integers(self, below: int, n: int) -> Tensor:
        """Return int64[n] in [0, below)."""
        return torch.from_numpy(self.numpy.integers(below, size=n))


class Noise(Protocol):
    """A kernel: what is added to x_0 at a level."""

    def sample(self, shape: Sequence[int], sigma: float | Tensor, rng: Rng) -> Tensor:
        """Return noise of a level, [B, ...]."""
        ...

    def log_density(self, squared: Tensor, sigma: Tensor, dim: int) -> Tensor:
        """Return the log-density of noise by its squared length, up to a constant of sigma."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Normal noise: sigma n."""

    def sample(self, shape: Sequence[int], sigma: float | Tensor, rng: Rng) -> Tensor:
        """Return sigma n.

        Args:
            shape: [B, ...].
            sigma: one level, or [B]; its type and device are the result's.
            rng: where n comes from.
        """
        n = _like(rng.normal(shape), sigma)
        return n * wide(each(sigma, n), n)

    def log_density(self, squared: Tensor, sigma: Tensor, dim: int) -> Tensor:
        """Return -squared / (2 sigma^2)."""
        return -squared / (2 * sigma**2)


@dataclass(frozen=True)
class StudentT:
    """The kernel of PFGM++, 1 / (|n|^2 + sigma^2 D)^((N + D) / 2) in N dimensions.

    Args:
        d: D, the extra dimensions, above 0. Infinity is `Gaussian`; small D has heavy tails.

    Raises:
        InvalidArgument: D not above 0.
    """

    d: float

    def __post_init__(self) -> None:
        if not self.d > 0:
            raise InvalidArgument(f"StudentT: D must be above 0, got {self.d}.")

    def sample(self, shape: Sequence[int], sigma: float | Tensor, rng: Rng) -> Tensor:
        """Return noise of a level: a uniform direction, times sigma sqrt(D) sqrt(b / (1 - b)).

        b is Beta(N / 2, D / 2); see `Gaussian.sample` for the arguments.
        """
        if self.d == math.inf:
            return Gaussian().sample(shape, sigma, rng)
        dim = math.prod(shape[1:])
        n = rng.normal(shape)
        b = rng.beta(dim / 2, self.d / 2, shape[0])
        length = (self.d * b / (1 - b)).sqrt() / n.flatten(1).norm(dim=1)
        n = _like(n * wide(length, n), sigma)
        return n * wide(each(sigma, n), n)

    def log_density(self, squared: Tensor, sigma: Tensor, dim: int) -> Tensor:
        """Return -(N + D) / 2 log(1 + squared / (sigma^2 D)), which keeps its digits at large D."""
        if self.d == math.inf:
            return Gaussian().log_density(squared, sigma, dim)
        return -(dim + self.d) / 2 * torch.log1p(squared / (sigma**2 * self.d))


class Levels(Protocol):
    """A law of levels of noise."""

    def sample(self, n: int, rng: Rng) -> Tensor:
        """Return float64[n] levels."""
        ...


@dataclass(frozen=True)
class LogNormal:
    """log sigma is normal.

    Args:
        mean: of log sigma.
        std: of log sigma.
    """

    mean: float = -1.2
    std: float = 1.2

    def sample(self, n: int, rng: Rng) -> Tensor:
        """Return float64[n] levels."""
        return (self.mean + self.std * rng.normal((n,))).exp()


@dataclass(frozen=True)
class KarrasUniform:
    """Uniform places on the curve of `samplers.karras`; 0 is its low end, 1 its high end.

    Args:
        first: least place.
        last: largest place; SiD takes 0.8.
        lo: lowest level of the curve.
        hi: highest level of the curve.
        rho: how bent it is.
    """

    first: float = 0.0
    last: float = 0.8
    lo: float = 0.002
    hi: float = 80.0
    rho: float = 7.0

    def sample(self, n: int, rng: Rng) -> Tensor:
        """Return float64[n] levels."""
        place = self.first + (self.last - self.first) * rng.uniform(n)
        low, high = self.lo ** (1 / self.rho), self.hi ** (1 / self.rho)
        return (low + place * (high - low)) ** self.rho


def _like(noise: Tensor, sigma: float | Tensor) -> Tensor:
    """Return noise of the type and device of a tensor of levels, or of the default type."""
    return noise.to(sigma) if isinstance(sigma, Tensor) else noise.to(torch.get_default_dtype())
