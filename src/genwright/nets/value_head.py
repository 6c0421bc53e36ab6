"""A value beside the next token: one linear map on a language model's last hidden state.

Chen et al. 2024, "AlphaMath Almost Zero", arXiv:2405.03553, Section 3.1: V = tanh(w h), with h the
hidden state of the last token, after the model's final norm. Ours: no bias, so that the map can
stand in the place of the model's own output layer and be read through the same cache.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

FILE = "value_head.safetensors"


class ValueHead(nn.Module):
    """Hidden states [..., D] -> values [...] in (-1, 1).

    Args:
        width: D. The weights start at 0: every value is 0 until something is learned.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.map.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the values."""
        return torch.tanh(self.map(hidden)).squeeze(-1)

    def save(self, folder: Path) -> None:
        """Write the weights into a model's folder."""
        from safetensors.torch import save_file

        save_file({"weight": self.map.weight.detach().contiguous()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> "ValueHead | None":
        """Read the weights of a model's folder; None where it holds none."""
        from safetensors.torch import load_file

        if not (folder / FILE).is_file():
            return None
        weight = load_file(folder / FILE)["weight"]
        head = cls(weight.shape[1])
        head.map.weight.data.copy_(weight)
        return head
