"""A denoising network that is also told where on a sub-path it stands.

The place gamma in [0, 1] enters beside the level of noise, as features of 10 (1 - gamma) through a
layer that begins at 0. At gamma = 1, the end where samples are drawn, the features are 0: the
network is then the one inside, and can be saved and used without this one.

Xu et al. 2024, "Accelerating Image Generation with Sub-path Linear Approximation Model",
arXiv:2404.13903 (gamma as an embedding of 10 (1 - gamma)). Ours: 1 - cos in place of cos, so that
all features vanish at gamma = 1.
"""

import math

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument
from genwright.nets.denoisers import Condition

FREQUENCIES = 8


class SubPathNet(nn.Module):
    """A network of `nets.denoisers` with a further input.

    Args:
        net: whose `condition` turns noise and class into features; it is part of this network.

    Raises:
        InvalidArgument: a network without one.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        condition = getattr(net, "condition", None)
        if not isinstance(condition, Condition):
            raise InvalidArgument(
                f"SubPathNet: a {type(net).__name__} has no condition that could be told a place; "
                "networks of nets.denoisers do."
            )
        self.net = net
        self.rates: Tensor
        rates = torch.exp(torch.linspace(math.log(0.1), math.log(3.0), FREQUENCIES))
        self.register_buffer("rates", rates)
        self.told = nn.Linear(2 * FREQUENCIES, condition.width, bias=False)
        nn.init.zeros_(self.told.weight)

    def forward(self, x: Tensor, c_noise: Tensor, gamma: Tensor, cond: Tensor | None) -> Tensor:
        """Return [B, ...] like x.

        Args:
            x: [B, ...].
            c_noise: [B].
            gamma: [B], in [0, 1].
            cond: int64[B], or None.
        """
        angles = 10 * (1 - gamma)[:, None] * self.rates
        extra = self.told(torch.cat([angles.sin(), 1 - angles.cos()], 1))

        def add(_module: nn.Module, _given: object, told: Tensor) -> Tensor:
            return told + extra

        hook = self.net.condition.register_forward_hook(add)  # pyright: ignore
        try:
            return self.net(x, c_noise, cond)
        finally:
            hook.remove()
