"""What the trainers of language models share: a training that is not done twice, and its loop.

A trainer says which weights move and what the loss of a step is. A `Tuning` does the steps that are
left, keeps what a killed training needs to go on, and remembers the losses; `tune` runs it on a
thread of its own, writes the model's card, and marks the folder as finished.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import Any

from genwright.core import describe
from genwright.generators.language.apart import apart
from genwright.generators.language.local import LocalLM
from genwright.learning.checkpoint import drop_checkpoint, read_state, unfinished, write_state
from genwright.learning.descent import Watch, descend, rate_at
from genwright.learning.model_card import write_card


class Tuning:
    """One training of a language model.

    Args:
        learner: its settings: `steps`, `learning_rate`, `warmup`, `folder`, `save_every`.
        identity: names the training (`identity_of`).
        watch: told the metrics of every step.
        stop: set where the caller was interrupted.

    Attributes:
        losses: of the steps done.
    """

    def __init__(self, learner: Any, identity: str, watch: Watch | None, stop: Event) -> None:
        self.learner, self.identity, self._watch, self._stop = learner, identity, watch, stop
        self.losses: list[float] = []

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return bool(unfinished(Path(self.learner.folder), self.identity))

    def tell(self, metric: str, value: float) -> None:
        """Tell the watch something that no step brings."""
        if self._watch:
            self._watch(metric, 0, value)

    def run(
        self,
        losses: Callable[[int], Mapping[str, Any]],
        weights: Sequence[Any],
        optimizer: Any,
        *,
        steps: int | None = None,
        rate: Callable[[int], float] | None = None,
    ) -> bool:
        """Do the steps that are left.

        Args:
            losses: of step i, which depend on the seed and i alone: `loss` is a scalar tensor with
                a gradient, what is beside it are numbers to watch.
            weights: what moves.
            optimizer: moves it.
            steps: how many in all; the learner's where None.
            rate: learning rate of step i; the learner's rise and cosine where None.

        Returns:
            False where the caller was interrupted before the end.

        Raises:
            TrainingError: a loss that is not finite; a checkpoint of another training.
        """
        from genwright.learning.training import train

        learner = self.learner
        count: int = learner.steps if steps is None else steps

        def usual(i: int) -> float:
            return rate_at(i, peak=learner.learning_rate, warmup=learner.warmup, steps=count)

        def step(i: int) -> dict[str, float]:
            found = dict(losses(i))
            now = (rate or usual)(i)
            value = descend(found.pop("loss"), weights, optimizer, step=i, rate=now)
            self.losses.append(value)
            return {"loss": value} | {name: float(told) for name, told in found.items()}

        train(
            step,
            {"weights": _Weights(weights), "optimizer": optimizer, "losses": _Losses(self.losses)},
            steps=count,
            identity=self.identity,
            folder=learner.folder,
            save_every=learner.save_every,
            watch=self._watch,
            enough=self._stop.is_set,
        )
        return not self._stop.is_set()


def tune(
    learner: Any,
    generator: LocalLM,
    work: Callable[[Tuning], None],
    rows: Sequence[Any],
    *,
    seed: int,
    watch: Watch | None = None,
    told: Any = None,
) -> None:
    """Train into the learner's folder, unless an earlier call finished this very training.

    Args:
        learner: see `Tuning`.
        generator: what is trained from.
        work: loads, runs the tuning and saves, on a thread of its own.
        rows: what the training reads of the data.
        seed: of the training.
        watch: told the metrics.
        told: whose settings name the training and stand on the card; the learner's where None.
    """
    told = learner if told is None else told
    target, identity = Path(learner.folder), identity_of(told, generator, rows, seed)
    if read_state(target).get("identity") == identity:
        return

    def train(stop: Event) -> list[float]:
        tuning = Tuning(learner, identity, watch, stop)
        work(tuning)
        return tuning.losses

    losses = apart(train)
    write_card(target, told, generator, rows=len(rows), seed=seed, losses=losses)
    write_state(target, {"identity": identity, "losses": losses})
    drop_checkpoint(target)


def identity_of(learner: Any, generator: LocalLM, rows: Sequence[Any], seed: int) -> str:
    """Hash what the result of a training depends on.

    Args:
        learner: whose settings count, but for where and how often it saves. A function counts by
            its name.
        generator: whose weights count.
        rows: what the training reads of the data.
        seed: of the training.
    """
    settings = _without(describe(learner), ("folder", "save_every"))
    told = [settings, weights_identity(generator.model), list(rows), seed]
    return blake2b(json.dumps(told, default=str).encode(), digest_size=16).hexdigest()


def weights_identity(model: str) -> str:
    """Name the weights a model stands for: its training for a folder of ours, else its name."""
    return read_state(Path(model)).get("identity", model)


def _without(told: Any, names: tuple[str, ...]) -> Any:
    """Leave names out of a nested description."""
    if not isinstance(told, dict):
        return told
    kept = {k: v for k, v in told.items() if k not in names and (k != "tokens" or v)}
    return {k: _without(v, names) for k, v in kept.items()}


class _Weights:
    """Weights that move, as a part of a checkpoint; frozen ones are on the disk anyway."""

    def __init__(self, weights: Sequence[Any]) -> None:
        self._weights = weights

    def state_dict(self) -> dict[str, Any]:
        return {"weights": [weight.data for weight in self._weights]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for weight, value in zip(self._weights, state["weights"], strict=True):
            weight.data.copy_(value)


class _Losses:
    """The losses so far, as a part of a checkpoint."""

    def __init__(self, losses: list[float]) -> None:
        self._losses = losses

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self._losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._losses[:] = state["losses"]
