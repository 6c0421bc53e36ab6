"""A small convolutional classifier whose last hidden layer measures pictures.

Choose it to compare sets of small pictures: distances between them are taken in its 64 features, as
they are taken in those of an Inception network for photographs. It was trained on the pictures at
hand (`learning.features`), and it carries the accuracy that it reached on held-out ones: measures
that rest on a classifier that cannot tell the classes apart say nothing, and are then undecided.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", arXiv:1706.08500, Section 3 (distances in a layer of a classifier). Ours: the network,
and that it must prove itself first.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genwright.core import InvalidArgument, MissingFile

TRUSTED = 0.97
"""The share of held-out pictures that the classifier must get right before it measures anything."""


class FeatureNet(nn.Module):
    """Three convolutions, a hidden layer of features, and the logits of the classes.

    Args:
        channels: of a picture.
        size: its height and width in pixels, a multiple of 4.
        classes: how many there are.
        width: channels of the first convolution; the others have twice as many.
        features: units of the hidden layer that measures.
    """

    def __init__(
        self, channels: int, size: int, classes: int, width: int = 24, features: int = 64
    ) -> None:
        super().__init__()
        if size % 4:
            raise InvalidArgument(f"FeatureNet: size must be a multiple of 4, got {size}.")
        self.settings = {
            "channels": channels,
            "size": size,
            "classes": classes,
            "width": width,
            "features": features,
        }
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(2 * width * (size // 4) ** 2, features),
            nn.GELU(),
        )
        self.head = nn.Linear(features, classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the logits, [B, classes]."""
        return self.head(self.body(x_BCHW))


@dataclass(frozen=True, eq=False)
class Features:
    """A trained `FeatureNet` and what it proved.

    Args:
        net: the network, in evaluation mode.
        accuracy: the share of held-out pictures that it got right.
        held_out: how many those were.
    """

    net: FeatureNet
    accuracy: float
    held_out: int

    @property
    def trusted(self) -> bool:
        """Whether it may measure: its accuracy is at least `TRUSTED`."""
        return self.accuracy >= TRUSTED

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture: channels, height, width."""
        size = self.net.settings["size"]
        return self.net.settings["channels"], size, size

    def __call__(self, pixels: Any) -> NDArray[np.float64]:
        """Return the features of pictures, [n, features].

        Args:
            pixels: [n, channels, height, width], in [-1, 1].
        """
        return self._forward(self.net.body, pixels).astype(np.float64)

    def probabilities(self, pixels: Any) -> NDArray[np.float64]:
        """Return the probability of each class, [n, classes]; rows are what a picture gives alone.

        Args:
            pixels: [n, channels, height, width], in [-1, 1].
        """
        logits = self._forward(self.net, pixels).astype(np.float64)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)

    def _forward(self, module: nn.Module, pixels: Any) -> NDArray[np.float32]:
        values = torch.as_tensor(np.asarray(pixels, dtype=np.float32))
        if values.shape[1:] != self.shape:
            raise InvalidArgument(
                f"Features: pictures must be of shape {self.shape}, got {tuple(values.shape[1:])}."
            )
        with torch.no_grad():
            parts = [module(part) for part in values.split(512)]
        width = self.net.settings["classes" if module is self.net else "features"]
        return torch.cat(parts).numpy() if parts else np.zeros((0, width), np.float32)


def save_features(features: Features, path: str | Path) -> None:
    """Write a trained network and its accuracy to one safetensors file."""
    from safetensors.torch import save_file

    told = {**features.net.settings, "accuracy": features.accuracy, "held_out": features.held_out}
    save_file(features.net.state_dict(), str(path), metadata={"features": json.dumps(told)})


def load_features(path: str | Path) -> Features:
    """Read what `save_features` wrote.

    Raises:
        MissingFile: no such file.
        InvalidArgument: a file of something else.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise MissingFile(f"load_features: there is no file {str(path)!r}; train one first.")
    try:
        with safe_open(str(path), framework="pt") as file:
            told = json.loads((file.metadata() or {}).get("features", "null"))
            names: list[str] = file.keys()
            weights = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise InvalidArgument(f"load_features: {str(path)!r} is no safetensors file.") from error
    if told is None:
        raise InvalidArgument(f"load_features: {str(path)!r} holds no FeatureNet.")
    accuracy, held_out = told.pop("accuracy"), told.pop("held_out")
    net = FeatureNet(**told)
    net.load_state_dict(weights)
    return Features(net.eval(), accuracy, held_out)
