"""A U-Net with attention that denoises images; choose it for images larger than 16x16.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models", arXiv:2006.11239, Appendix B.
Ours: scale and shift by noise and class in every block, as in Peebles & Xie 2023, "DiT",
arXiv:2212.09748; attention in the middle alone.

Legend: B draws, C channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu

from genwright.core import InvalidArgument
from genwright.nets.denoisers import Condition, check_sizes, zeroed


class UNet(nn.Module):
    """Convolutions down and up again with attention in the middle, on [B, C, size, size].

    Args:
        size: of the image; divisible by 2 to the number of halvings.
        channels: C.
        width: channels of the first level.
        multiples: channels of each level over `width`; one halving between levels.
        blocks: residual blocks a level.
        classes: how many classes; 0 for no condition.

    Raises:
        InvalidArgument: a number below 1 (classes: below 0), or a size that cannot be halved.
    """

    def __init__(
        self,
        size: int,
        channels: int = 1,
        width: int = 32,
        multiples: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        classes: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(self, classes, size, channels, width, *multiples, blocks)
        if size % 2 ** (len(multiples) - 1) or width % 8:
            raise InvalidArgument(
                f"UNet: size {size} must halve {len(multiples) - 1} times, and width {width} be "
                "divisible by 8."
            )
        self.settings = {
            "size": size,
            "channels": channels,
            "width": width,
            "multiples": list(multiples),
            "blocks": blocks,
            "classes": classes,
        }
        self.shape, self.classes = (channels, size, size), classes
        self.condition = Condition(4 * width, classes)
        self.into = nn.Conv2d(channels, width, 3, padding=1)
        now, kept = width, [width]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, multiple in enumerate(multiples):
            for _ in range(blocks):
                self.down.append(_Residual(now, multiple * width, 4 * width))
                now = multiple * width
                kept.append(now)
            if level + 1 < len(multiples):
                self.down.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                kept.append(now)
        self.middle = nn.ModuleList(
            [_Residual(now, now, 4 * width), _Attention(now), _Residual(now, now, 4 * width)]
        )
        for level, multiple in reversed(list(enumerate(multiples))):
            for _ in range(blocks + 1):
                self.up.append(_Residual(now + kept.pop(), multiple * width, 4 * width))
                now = multiple * width
            if level:
                self.up.append(nn.Conv2d(now, now, 3, padding=1))
        self.norm = nn.GroupNorm(8, now)
        self.out = zeroed(nn.Conv2d(now, channels, 3, padding=1))

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return [B, C, size, size]."""
        told = self.condition(c_noise, cond)
        h, kept = self._down(x, told)
        for layer in self.up:
            if isinstance(layer, _Residual):
                h = layer(torch.cat([h, kept.pop()], 1), told)
            else:
                h = layer(interpolate(h, scale_factor=2.0))
        return self.out(silu(self.norm(h)))

    def features(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return [B, width times the last multiple], the mean over places of the bottleneck."""
        return self._down(x, self.condition(c_noise, cond))[0].mean((2, 3))

    def _down(self, x: Tensor, told: Tensor) -> tuple[Tensor, list[Tensor]]:
        h = self.into(x)
        kept = [h]
        for layer in self.down:
            h = layer(h, told) if isinstance(layer, _Residual) else layer(h)
            kept.append(h)
        for layer in self.middle:
            h = layer(h, told) if isinstance(layer, _Residual) else layer(h)
        return h, kept


class _Residual(nn.Module):
    """Two convolutions, the second scaled and shifted by the condition, beside the input."""

    def __init__(self, into: int, out: int, told: int) -> None:
        super().__init__()
        self.norm_1, self.map_1 = nn.GroupNorm(8, into), nn.Conv2d(into, out, 3, padding=1)
        self.told = nn.Linear(told, 2 * out)
        self.norm_2 = nn.GroupNorm(8, out)
        self.map_2 = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.beside = nn.Conv2d(into, out, 1) if into != out else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.map_1(silu(self.norm_1(x)))
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        return self.beside(x) + self.map_2(silu(self.norm_2(h) * (1 + scale) + shift))


class _Attention(nn.Module):
    """One head of attention over all places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.qkv = nn.GroupNorm(8, width), nn.Conv2d(width, 3 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        seen = scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return x + self.out(seen.reshape(x.shape))
