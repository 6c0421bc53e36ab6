"""Learning which reranker and which settings of a chunk search suit a query.

Choose it where many queries with a known measure of quality have been searched under a grid of
settings: the best setting of each is its label. Where one setting is best for nearly all of them,
take that one.

Wang et al. 2024, "CORAG", arXiv:2411.00744, Section 5. The loss is the sum of a contrastive loss
over pairs (squared distance of the features of queries with one best reranker; the squared gap to
a margin of 1 for the others), the cross-entropy of the best reranker's class and the squared error
of the settings; Adam at 1e-3, batches of 32, 60 epochs; 15% of the data choose the epoch.
Ours: a pair is a query and the next one of its shuffled batch; settings are learned in units of
their standard deviation, and answered within the range that was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from genwright.core import InvalidArgument, child_seed
from genwright.nets.configuration_agent import ConfigurationNet


@dataclass(frozen=True, eq=False)
class ConfigurationAgent:
    """Tells how to search; `ConfigurationLearner` makes it.

    Args:
        net: the network.
        mean: of each setting, [settings].
        scale: the standard deviation of each, [settings].
        low: the least of each that was seen.
        high: the largest.
    """

    net: ConfigurationNet
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def choose(
        self, queries: NDArray[Any], chunks: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the class of reranker [n] and the settings [n, settings] for each query.

        Args:
            queries: embeddings [n, D].
            chunks: the mean embedding of each query's candidates [n, D].
        """
        self.net.eval()
        with torch.inference_mode():
            _, logits, settings = self.net(_float(queries), _float(chunks))
        raw = settings.double().numpy() * self.scale + self.mean
        return logits.argmax(1).numpy(), np.clip(raw, self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class ConfigurationLearner:
    """Train a `ConfigurationAgent` on labelled queries.

    Args:
        epochs: passes over the training part.
        batch: queries a step.
        learning_rate: of Adam.
        margin: distance that features of queries with different rerankers should keep.
        held_out: share of the data that chooses the epoch.

    Raises:
        InvalidArgument: a number out of its range.
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1e-3
    margin: float = 1.0
    held_out: float = 0.15

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or not self.learning_rate > 0 or self.margin < 0:
            raise InvalidArgument(
                "ConfigurationLearner: needs epochs of 1 or more, a batch of 2 or more, a "
                f"learning_rate above 0 and a margin of 0 or more, got {self}."
            )
        if not 0.0 < self.held_out < 1.0:
            raise InvalidArgument(
                f"ConfigurationLearner: held_out must be between 0 and 1, got {self.held_out}."
            )

    def fit(
        self,
        queries: NDArray[Any],
        chunks: NDArray[Any],
        classes: Sequence[int],
        settings: NDArray[Any],
        *,
        seed: int,
    ) -> ConfigurationAgent:
        """Train from nothing.

        Args:
            queries: embeddings [n, D].
            chunks: the mean embedding of each query's candidates [n, D].
            classes: of the best reranker of each query, from 0.
            settings: the best settings of each query [n, settings].
            seed: of weights, order and dropout.

        Raises:
            InvalidArgument: fewer than 4 queries, or columns of different lengths.
        """
        n = len(queries)
        if n < 4 or not n == len(chunks) == len(classes) == len(settings):
            raise InvalidArgument(
                "ConfigurationLearner: needs 4 queries or more, each with chunks, a class and "
                f"settings, got {n}, {len(chunks)}, {len(classes)} and {len(settings)}."
            )
        wanted = np.asarray(settings, dtype=np.float64)
        mean, scale = wanted.mean(0), wanted.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        labels = torch.tensor(list(classes))
        columns = _float(queries), _float(chunks), labels, _float((wanted - mean) / scale)
        rng = np.random.default_rng(child_seed(seed, "order"))
        order = rng.permutation(n)
        held = max(2, round(n * self.held_out))
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(child_seed(seed, "weights"))
            net = ConfigurationNet(queries.shape[1], int(labels.max()) + 1, wanted.shape[1])
            self._train(net, columns, order[held:], order[:held], rng)
        return ConfigurationAgent(net, mean, scale, wanted.min(0), wanted.max(0))

    def _train(
        self,
        net: ConfigurationNet,
        columns: tuple[Tensor, Tensor, Tensor, Tensor],
        train: NDArray[np.int64],
        held: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        """Leave the weights of the epoch with the least loss on the held-out part."""
        optimizer = torch.optim.Adam(net.parameters(), lr=self.learning_rate)
        best, kept = float("inf"), net.state_dict()
        for _ in range(self.epochs):
            net.train()
            shuffled = rng.permutation(train)
            for start in range(0, len(shuffled) - 1, self.batch):
                rows = torch.from_numpy(shuffled[start : start + self.batch])
                loss = configuration_loss(net, *(c[rows] for c in columns), margin=self.margin)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                rows = torch.from_numpy(held)
                loss = configuration_loss(net, *(c[rows] for c in columns), margin=self.margin)
            if loss.item() < best:
                best = loss.item()
                kept = {name: value.clone() for name, value in net.state_dict().items()}
        net.load_state_dict(kept)


def configuration_loss(
    net: ConfigurationNet,
    queries: Tensor,
    chunks: Tensor,
    classes: Tensor,
    settings: Tensor,
    *,
    margin: float,
) -> Tensor:
    """Return contrastive loss + cross-entropy + squared error; row i is paired with row i + 1."""
    features, logits, predicted = net(queries, chunks)
    far = (features - features.roll(-1, 0)).norm(dim=1)
    same = classes == classes.roll(-1, 0)
    pairs = torch.where(same, far**2, (margin - far).clamp(min=0) ** 2).mean()
    return pairs + cross_entropy(logits, classes) + mse_loss(predicted, settings)


def _float(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
