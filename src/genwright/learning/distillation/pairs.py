"""Pairs of noise and data: what a teacher's own sampler makes of which noise.

Choose them to teach a student by regression: the pairing is what a one-step student of a flow has
to learn, and drawing it from the teacher once is cheaper than following the teacher in training.

Liu et al. 2022, "Flow Straight and Fast", arXiv:2209.03003, Section 2.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.core import InvalidArgument, MissingFile, child_seed, codec
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, metered
from genwright.generators.diffusion.noise import Batch, Gaussian, Rows
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import expect_gaussian

_COLUMNS = ("noise", "completion")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Noise and what a teacher's ODE makes of it.

    Args:
        noise: float32[n, ...], of unit variance.
        data: float32[n, ...].
        classes: int64[n], or None.
    """

    noise: Tensor
    data: Tensor
    classes: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.noise)
        same = self.noise.shape == self.data.shape
        if not n or not same or (self.classes is not None and len(self.classes) != n):
            raise InvalidArgument(
                f"Pairs: noise, data and classes must fit, got {tuple(self.noise.shape)}, "
                f"{tuple(self.data.shape)} and "
                f"{None if self.classes is None else len(self.classes)}."
            )

    def __len__(self) -> int:
        return len(self.noise)

    def batch(self, n: int, rng: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return n pairs at random: noise, data, classes."""
        rows = rng.integers(len(self), n)
        classes = None if self.classes is None else self.classes[rows]
        return self.noise[rows], self.data[rows], classes

    @classmethod
    def of(cls, data: Any) -> "Pairs":
        """Return pairs as they are, or made of rows of `noise`, `completion` and `prompt`.

        Raises:
            InvalidArgument: neither.
        """
        if isinstance(data, cls):
            return data
        rows = [row for row in data if isinstance(row, Mapping)] if _is_rows(data) else []
        if not rows or any({"noise", "completion"} - row.keys() for row in rows):
            raise InvalidArgument(
                "pairs are needed: what `ode_pairs` draws, or rows of `noise`, `completion` and "
                f"`prompt`; got {type(data).__name__}."
            )
        noise, data = (torch.tensor(np.array([r[k] for r in rows], np.float32)) for k in _COLUMNS)
        labels = [row.get("prompt") for row in rows]
        known = None if None in labels else torch.tensor(labels)
        return cls(noise, data, known)

    @property
    def identity(self) -> str:
        """Names the pairs."""
        return codec.digest([self.noise, self.data, self.classes])

    def save(self, path: str | Path) -> None:
        """Write one .npz file."""
        classes = [] if self.classes is None else self.classes.numpy()
        np.savez(path, noise=self.noise.numpy(), data=self.data.numpy(), classes=classes)

    @classmethod
    def load(cls, path: str | Path) -> "Pairs":
        """Read what `save` wrote.

        Raises:
            MissingFile: no such file.
        """
        if not Path(path).is_file():
            raise MissingFile(f"Pairs: there is no file {str(path)!r}.")
        with np.load(path, allow_pickle=False) as file:
            noise, data, classes = (torch.as_tensor(file[k]) for k in ("noise", "data", "classes"))
        return cls(noise, data, classes.long() if len(classes) else None)


def ode_pairs(teacher: DiffusionModel, n: int, *, seed: int, meter: Meter | None = None) -> Pairs:
    """Follow a teacher's own sampler from n noises; a teacher with classes gets each as often.

    Args:
        teacher: with the sampler "euler" or "heun", which add no noise on the way, and Gaussian
            noise, as one-step students have.
        n: pairs.
        seed: of the noises.
        meter: counts the teacher's evaluations.

    Raises:
        InvalidArgument: a sampler that is random, another noise, or n below 1.
    """
    expect_gaussian("ode_pairs", teacher)
    if teacher.sampler not in ("euler", "heun") or n < 1:
        raise InvalidArgument(
            f"ode_pairs: needs the sampler euler or heun and n of 1 or more, got "
            f"{teacher.sampler!r} and {n}."
        )
    denoiser = opened(teacher.denoiser)
    known = denoiser.classes
    labels = [int(c) for c in range(known)] if known else [None]
    counts = [n // len(labels) + (i < n % len(labels)) for i in range(len(labels))]
    noises: list[Tensor] = []
    values: list[Tensor] = []
    with metered(meter, denoiser) as counted:
        follower = replace(teacher, denoiser=_Known(counted, denoiser.shape, known))
        for label, count in zip(labels, counts, strict=True):
            own = child_seed(seed, "pairs", -1 if label is None else label)
            drawn = follower.sample(label, count, seed=own).values
            values.append(torch.as_tensor(np.asarray(drawn)))
            shape = (count, *denoiser.shape)
            unit = torch.tensor(1.0, dtype=torch.float32)
            noises.append(Gaussian().sample(shape, unit, Rows(own, 0, count)))
    classes = None
    if known:
        classes = torch.repeat_interleave(torch.arange(known), torch.tensor(counts))
    return Pairs(torch.cat(noises), torch.cat(values), classes)


@dataclass(frozen=True, eq=False)
class _Known:
    """A callable with the shape and the classes of the denoiser it stands for."""

    denoiser: Callable[..., Tensor]
    shape: tuple[int, ...]
    classes: int

    def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor | None = None) -> Tensor:
        return self.denoiser(x, sigma, cond)


def _is_rows(data: Any) -> bool:
    return isinstance(data, Sequence) and not isinstance(data, str)
