"""A small recurrent writer beside a frozen language model, and what chooses between the two.

It reads the frozen model's last hidden states x_t through an LSTM, h_t, and moves them before the
model's own output layer: its next token is drawn from head(x_t + W h_t). A selector says from h_t
which of the two writes the next token, and a critic what reward is to be expected.

Jo et al. 2022, "Selective Token Generation for Few-shot Natural Language Generation",
arXiv:2209.08206, Section 3: two layers of 512, selector with one hidden layer, linear critic. Ours:
the output layer is the frozen model's, not a copy that is trained; W starts at 0, so that an
untrained adapter writes what the model would; the selector starts at one probability everywhere.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument

WEIGHTS, SHAPE = "selective_adapter.safetensors", "selective_adapter.json"

State = tuple[Tensor, Tensor]
"""Of the LSTM: h and c, each [layers, B, H]."""


@dataclass(frozen=True)
class Adapted:
    """What the adapter makes of hidden states [B, T, D].

    Args:
        shift: W h, [B, T, D]; added to the states before the model's output layer.
        chosen: log-probability that the model and that the adapter writes next, [B, T, 2].
        values: the reward that is expected, [B, T].
        state: after the last state.
    """

    shift: Tensor
    chosen: Tensor
    values: Tensor
    state: State


class RecurrentAdapter(nn.Module):
    """Hidden states -> another next token, who writes it, and a value.

    Args:
        width: D, of the frozen model's hidden states.
        hidden: H, of the LSTM; the paper's is 512.
        layers: of the LSTM; the paper's is 2.
        selects: whether there is a selector; without one the adapter writes every token.
        lean: the probability of the adapter that the selector starts with, in (0, 1).
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int = 512,
        layers: int = 2,
        selects: bool = True,
        lean: float = 0.5,
    ) -> None:
        super().__init__()
        if min(width, hidden, layers) < 1:
            raise InvalidArgument(
                "RecurrentAdapter: width, hidden and layers must be 1 or more, got "
                f"{width}, {hidden} and {layers}."
            )
        if not 0 < lean < 1:
            raise InvalidArgument(f"RecurrentAdapter: lean must be in (0, 1), got {lean}.")
        self.shape = {"width": width, "hidden": hidden, "layers": layers, "selects": selects}
        self.selects = selects
        self.lstm = nn.LSTM(width, hidden, layers, batch_first=True)
        self.lift = nn.Linear(hidden, width)
        self.inner = nn.Linear(hidden, hidden)
        self.select = nn.Linear(hidden, 2)
        self.critic = nn.Linear(hidden, 1)
        for start_at_zero in (self.lift, self.select, self.critic):
            nn.init.zeros_(start_at_zero.weight)
            nn.init.zeros_(start_at_zero.bias)
        with torch.no_grad():
            self.select.bias.copy_(torch.tensor([1 - lean, lean]).log())

    def forward(self, hidden_BTD: Tensor, state: State | None = None) -> Adapted:
        """Read states that follow those that `state` has read."""
        h_BTH, after = self.lstm(hidden_BTD, state)
        if self.selects:
            chosen = self.select(torch.relu(self.inner(h_BTH))).log_softmax(-1)
        else:
            chosen = h_BTH.new_tensor([float("-inf"), 0.0]).expand(*h_BTH.shape[:2], 2)
        return Adapted(self.lift(h_BTH), chosen, self.critic(h_BTH)[..., 0], after)

    def save(self, folder: Path) -> None:
        """Write weights and shape into a folder."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: w.detach().cpu().contiguous() for name, w in self.state_dict().items()}
        save_file(tensors, folder / WEIGHTS)
        (folder / SHAPE).write_text(json.dumps(self.shape))

    @classmethod
    def load(cls, folder: Path) -> "RecurrentAdapter":
        """Read an adapter.

        Raises:
            InvalidArgument: the folder holds none.
        """
        from safetensors.torch import load_file

        if not (folder / SHAPE).is_file():
            raise InvalidArgument(f"{folder} holds no adapter; train one with SelectiveRL.")
        adapter = cls(**json.loads((folder / SHAPE).read_text()))
        adapter.load_state_dict(load_file(folder / WEIGHTS))
        return adapter
