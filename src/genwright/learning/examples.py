"""Where a trainer of denoisers takes its data from: pictures, rows, or a law to draw from.

`source_of` takes `Images`, rows of `prompt` (a class, or None) and `completion` (an array), such as
accepted draws, or anything with `sample(n, rng, cond)` such as an exact mixture, whose draws never
end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from genwright.core import InvalidArgument, codec, describe
from genwright.generators.diffusion.denoiser import checked
from genwright.generators.diffusion.noise import Batch
from genwright.synthesis.images import Images


class Source(Protocol):
    """Something that gives batches of data."""

    def batch(self, n: int, rng: Batch) -> tuple[Tensor, Tensor | None]:
        """Return float32[n, ...] and the classes int64[n], or None."""
        ...

    @property
    def identity(self) -> str:
        """Names the data."""
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """Data of which only some classes are taken.

    Args:
        data: whatever `source_of` takes, with classes.
        classes: which of them.
    """

    data: Any
    classes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Finite:
    """Data in memory, drawn with replacement.

    Args:
        values: float32[N, ...].
        classes: int64[N], or None.
    """

    values: Tensor
    classes: Tensor | None = None

    def batch(self, n: int, rng: Batch) -> tuple[Tensor, Tensor | None]:
        """Return n of them at random."""
        rows = rng.integers(len(self.values), n)
        return self.values[rows], None if self.classes is None else self.classes[rows]

    @property
    def identity(self) -> str:
        """Names the data."""
        return codec.digest([self.values, self.classes])


@dataclass(frozen=True, eq=False)
class Endless:
    """A law with `sample(n, rng, cond)`; each of some classes is drawn equally often.

    Args:
        law: an exact mixture, or another.
        drawn: the classes; () draws without one.
    """

    law: Any
    drawn: tuple[int, ...]

    def batch(self, n: int, rng: Batch) -> tuple[Tensor, Tensor | None]:
        """Return n fresh draws."""
        cond = None
        if self.drawn:
            cond = torch.tensor(self.drawn)[rng.integers(len(self.drawn), n)]
        return self.law.sample(n, rng, cond).float(), cond

    @property
    def identity(self) -> str:
        """Names the law."""
        return codec.dumps([describe(self.law), self.drawn], canonical=True)


def source_of(data: Any, shape: Sequence[int], classes: int) -> Source:
    """Return a source of what a denoiser can be trained on.

    Args:
        data: see the module; a `Part` of it takes some classes alone.
        shape: of a draw.
        classes: how many the denoiser knows; with 0, classes in the data are left aside.

    Raises:
        InvalidArgument: nothing to train on; values of mixed or other shape or type; a class out
            of range, or rows some of which have one.
    """
    only: tuple[int, ...] = ()
    if isinstance(data, Part):
        data, only = data.data, data.classes
    if hasattr(data, "sample") and hasattr(data, "classes") and hasattr(data, "shape"):
        _expect(tuple(data.shape), shape)
        conditional = classes > 0 and data.classes > 0
        return Endless(data, (only or tuple(range(data.classes))) if conditional else ())
    if isinstance(data, Images):
        values, prompts = data.pixels, [int(label) for label in data.labels]
    else:
        values, prompts = _columns(data)
    if only:
        rows = [i for i, prompt in enumerate(prompts) if prompt in only]
        values, prompts = values[rows], [prompts[i] for i in rows]
    if not len(values):
        raise InvalidArgument("nothing to train on: no rows.")
    _expect(values.shape[1:], shape)
    if values.dtype.kind != "f":
        raise InvalidArgument(
            f"values must be floating, about -1 to 1, got {values.dtype}; pixels of 8 bits become "
            "so by x / 127.5 - 1."
        )
    if not np.isfinite(values).all():
        raise InvalidArgument("values must be finite; some are NaN or infinite.")
    tensor = torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32))
    known = {prompt is None for prompt in prompts}
    if not classes or known == {True}:
        return Finite(tensor)
    if len(known) == 2:
        raise InvalidArgument("some rows have a class as prompt and some have None; give all one.")
    return Finite(tensor, checked(torch.tensor(prompts), classes, len(tensor)))


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, list[Any]]:
    """Stack rows of `prompt` and `completion`."""
    found: list[np.ndarray] = []
    for i, row in enumerate(rows):
        if "prompt" not in row or "completion" not in row:
            raise InvalidArgument(
                f"row {i}: a training row needs 'prompt' (a class or None) and 'completion' (an "
                f"array), got the fields {sorted(row)}."
            )
        value = np.asarray(row["completion"])
        if found and (value.shape, value.dtype) != (found[0].shape, found[0].dtype):
            raise InvalidArgument(
                f"row {i}: values must all be of one shape and type, got {value.shape} of "
                f"{value.dtype} after {found[0].shape} of {found[0].dtype}."
            )
        found.append(value)
    values = np.stack(found) if found else np.empty((0,))
    return values, [row["prompt"] for row in rows]


def _expect(found: Sequence[int], shape: Sequence[int]) -> None:
    if tuple(found) != tuple(shape):
        raise InvalidArgument(
            f"the denoiser works on draws of shape {tuple(shape)}, got {tuple(found)}."
        )
