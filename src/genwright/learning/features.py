"""Trains the small classifier that measures pictures (`nets.feature_net`).

Choose it before `assurance.sample_quality`, or for a verifier of a picture's class. It is trained
on the same pictures as the generators it will measure, and proves itself on held-out ones.

Ours: each step shifts its pictures by up to a pixel and adds a little noise, without which
generated pictures, which are never quite clean, would be judged by their noise.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.core import InvalidArgument, child_seed, method
from genwright.learning.denoising import untrained
from genwright.learning.descent import descend, rate_at
from genwright.nets.feature_net import FeatureNet, Features, save_features
from genwright.synthesis.images import Images, digits_split


def train_features(
    train: Images,
    held_out: Images,
    *,
    seed: int,
    steps: int = 800,
    batch: int = 64,
    learning_rate: float = 6e-3,
    noise: float = 0.1,
    width: int = 24,
    shift: bool = True,
) -> Features:
    """Train a `FeatureNet` and measure it on held-out pictures.

    Args:
        train: what it learns from; its labels are the classes.
        held_out: what its accuracy is measured on.
        seed: of the weights, the batches, the shifts and the noise.
        steps: of Adam.
        batch: pictures a step.
        learning_rate: the peak.
        noise: standard deviation of what is added to a picture.
        width: of the network.
        shift: whether pictures are moved by up to a pixel; not where a class is a place.

    Raises:
        InvalidArgument: no pictures to train on or to measure with.
        TrainingError: a loss that is not finite.
    """
    if not len(train) or not len(held_out):
        raise InvalidArgument(
            f"train_features: needs pictures on both sides, got {len(train)} and {len(held_out)}."
        )
    channels, size, _ = train.shape
    net = untrained(lambda: FeatureNet(channels, size, len(train.classes), width=width), seed=seed)
    pixels, labels = torch.as_tensor(train.pixels), torch.as_tensor(train.labels)
    rng = np.random.default_rng(child_seed(seed, "batches"))
    weights = list(net.parameters())
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=1e-2)
    for step in range(steps):
        picked = rng.integers(0, len(train), batch)
        x = pixels[picked]
        if shift:
            x = _shifted(x, *rng.integers(0, 3, 2).tolist())
        x = x + noise * torch.as_tensor(rng.standard_normal(x.shape), dtype=x.dtype)
        loss = F.cross_entropy(net(x), labels[picked])
        rate = rate_at(step, peak=learning_rate, warmup=20, steps=steps)
        descend(loss, weights, optimizer, step=step, rate=rate)
    features = Features(net.eval(), 0.0, len(held_out))
    right = features.probabilities(held_out.pixels).argmax(1) == held_out.labels
    return Features(net, float(right.mean()), len(held_out))


@method(slot="loader")
@dataclass(frozen=True, kw_only=True)
class DigitFeatures:
    """Trains the classifier of handwritten digits into a file, unless it is there already.

    Args:
        path: the file.
        seed: of the training.
    """

    path: str
    seed: int = 0

    def __call__(self) -> Path:
        """Return the path; the file appears whole or not at all."""
        target = Path(self.path)
        if target.exists():
            return target
        train, held_out = digits_split()
        features = train_features(train, held_out, seed=self.seed)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        save_features(features, part)
        part.replace(target)
        return target


@cache
def digit_classifier(seed: int = 0) -> Features:
    """Return the classifier of handwritten digits, trained once in this process."""
    return train_features(*digits_split(), seed=seed)


def _shifted(x_BCHW: Tensor, down: int, right: int) -> Tensor:
    """Shift pictures by -1, 0 or 1 pixels each way (0, 1 or 2 here); the border is repeated."""
    height, width = x_BCHW.shape[2:]
    padded = F.pad(x_BCHW, (1, 1, 1, 1), mode="replicate")
    return padded[:, :, down : down + height, right : right + width]
