"""Networks that denoise: `forward(x, c_noise, cond)` returns what x is like.

`ResMLP` for vectors and images up to 16x16, `PatchMixer` for images where patches help, `UNet`
(`nets.unet`) for larger images: on a processor small convolutions are several times less efficient
per operation than matrix products. All take a class as condition, or None; every last layer starts
at 0.

Karras et al. 2022, arXiv:2206.00364 (the embedding of ln(sigma) / 4 is ours); Tolstikhin et al.
2021, "MLP-Mixer", arXiv:2105.01601; Peebles & Xie 2023, "DiT", arXiv:2212.09748 (scale and shift by
the condition, starting at 0).

Legend: B draws, D features, C channels, P patches.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from genwright.core import InvalidArgument

FREQUENCIES = 32


class Condition(nn.Module):
    """c_noise [B] and a class [B] -> features [B, width].

    Args:
        width: of the features.
        classes: rows of the table of classes; 0 for none. Without a class its part is 0.
    """

    rates: Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.width = width
        # c_noise spans about [-2, 1.1]: from a turn in 25 of its units to one in a thirtieth
        self.register_buffer("rates", torch.exp(torch.linspace(-1.4, 5.3, FREQUENCIES)))
        self.map = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU())
        self.table = nn.Embedding(classes, width) if classes else None

    def forward(self, c_noise: Tensor, cond: Tensor | None) -> Tensor:
        """Return the features."""
        angles = c_noise[:, None] * self.rates
        h = self.map(torch.cat([angles.sin(), angles.cos()], 1))
        if cond is not None and self.table is not None:
            h = h + self.table(cond)
        return silu(h)


class ResMLP(nn.Module):
    """Residual blocks on vectors, scaled and shifted by noise and class.

    Args:
        dim: of x, [B, dim]; or a shape, such as (1, 8, 8), which is flattened.
        width: features of a block.
        blocks: how many.
        classes: how many classes; 0 for no condition.

    Raises:
        InvalidArgument: a number below 1 (classes: below 0).
    """

    def __init__(
        self, dim: int | tuple[int, ...], width: int = 256, blocks: int = 4, classes: int = 0
    ) -> None:
        super().__init__()
        self.shape = (dim,) if isinstance(dim, int) else tuple(dim)
        check_sizes(self, classes, *self.shape, width, blocks)
        self.settings = {"dim": dim, "width": width, "blocks": blocks, "classes": classes}
        self.classes = classes
        flat = math.prod(self.shape)
        self.condition = Condition(width, classes)
        self.into = nn.Linear(flat, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, flat))

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return [B, ...] like x."""
        return self.out(self.norm(self.features(x, c_noise, cond))).reshape(x.shape)

    def features(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return [B, width], what the last layer reads."""
        h_BD, told = self.into(x.flatten(1)), self.condition(c_noise, cond)
        for block in self.blocks:
            h_BD = block(h_BD, told)
        return h_BD


class _Block(nn.Module):
    """x + out(silu(map(norm(x) (1 + scale) + shift))), scale and shift from the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.told = zeroed(nn.Linear(width, 2 * width))
        self.map = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told).chunk(2, -1)
        return x + self.out(silu(self.map(self.norm(x) * (1 + scale) + shift)))


class PatchMixer(nn.Module):
    """Products along patches and along features in turn, on square images [B, C, size, size].

    Args:
        size: of the image.
        patch: of a patch; divides `size`.
        width: features of a patch.
        blocks: pairs of products.
        channels: C.
        classes: how many classes; 0 for no condition.

    Raises:
        InvalidArgument: a number below 1 (classes: below 0), or a patch that does not fit.
    """

    def __init__(
        self,
        size: int,
        patch: int = 2,
        width: int = 128,
        blocks: int = 4,
        channels: int = 1,
        classes: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(self, classes, size, patch, width, blocks, channels)
        if size % patch:
            raise InvalidArgument(f"PatchMixer: patch {patch} must divide size {size}.")
        self.settings = {
            "size": size,
            "patch": patch,
            "width": width,
            "blocks": blocks,
            "channels": channels,
            "classes": classes,
        }
        self.shape, self.classes, self.patch = (channels, size, size), classes, patch
        places, pixels = (size // patch) ** 2, channels * patch**2
        self.condition = Condition(width, classes)
        self.into = nn.Linear(pixels, width)
        self.place = nn.Parameter(torch.zeros(places, width))
        self.along = nn.ModuleList(_Along(places, width) for _ in range(blocks))
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, pixels))

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return [B, C, size, size]."""
        h_BPD = self.out(self.norm(self._mixed(x, c_noise, cond)))
        b, (c, size, _), p = len(x), self.shape, self.patch
        side = size // p
        return h_BPD.reshape(b, side, side, c, p, p).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)

    def features(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return [B, width], the mean over patches of what the last layer reads."""
        return self._mixed(x, c_noise, cond).mean(1)

    def _mixed(self, x: Tensor, c_noise: Tensor, cond: Tensor | None) -> Tensor:
        b, (c, size, _), p = len(x), self.shape, self.patch
        side = size // p
        parts = x.reshape(b, c, side, p, side, p).permute(0, 2, 4, 1, 3, 5)
        h_BPD = self.into(parts.reshape(b, side * side, c * p * p)) + self.place
        told = self.condition(c_noise, cond)[:, None]
        for along, block in zip(self.along, self.blocks, strict=True):
            h_BPD = block(along(h_BPD), told)
        return h_BPD


class _Along(nn.Module):
    """x + product over patches."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.map = nn.Sequential(
            nn.Linear(places, 2 * places), nn.SiLU(), nn.Linear(2 * places, places)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.map(self.norm(x).transpose(1, 2)).transpose(1, 2)


def zeroed(layer: Any) -> Any:
    """Return a layer with all weights 0: what it adds begins as nothing."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def check_sizes(net: nn.Module, classes: int, *sizes: int) -> None:
    """Raise `InvalidArgument` unless all sizes are 1 or more and classes 0 or more."""
    if min(sizes) < 1 or classes < 0:
        raise InvalidArgument(
            f"{type(net).__name__}: sizes must be 1 or more and classes 0 or more, got {sizes} "
            f"and {classes}."
        )
