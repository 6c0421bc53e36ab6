"""What the trainers of denoisers share: where they start, one loop, and where the result goes.

A trainer says what its losses are. A `Course` copies the network, moves the copy by its losses and
keeps the running average of its weights, which ends up where the trainer was told to put it. It has
a name (`identity_of`), so that a finished one is not repeated and a checkpoint of another is
refused.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument, codec, describe
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.drawing import device, device_of
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Gaussian
from genwright.generators.diffusion.stored import load, save
from genwright.learning.checkpoint import drop_checkpoint, read_state, write_state
from genwright.learning.descent import Watch, descend, rate_at
from genwright.learning.training import expect_finite, follow, train


class Losses(NamedTuple):
    """What a step is made of: the mean over rows, and the sum of the terms beside it.

    Args:
        rows: [B].
        levels: of noise, or times, of the rows, [B]; named where a row is not finite.
        terms: scalars by the names under which they are watched.
    """

    rows: Tensor
    levels: Tensor
    terms: Mapping[str, Tensor] = MappingProxyType({})


class Course:
    """A copy of a network in training, on the GPU where there is one, and its running average.

    Args:
        learner: its settings: `steps`, `learning_rate`, `warmup`, `ema`, `folder`, `save_every`.
        net: left as it is.
        told: what else the training depends on: the start, the data, the seed (`identity_of`).
        without: settings that do not name the training.
        fused: whether the optimizer's step is one kernel; the last bits of weights depend on it.

    Attributes:
        net: the copy.
        average: of its weights, without gradient.
        device: where both are.
        finished: whether the learner's folder holds the result already.
    """

    def __init__(
        self,
        learner: Any,
        net: nn.Module,
        *told: Any,
        without: tuple[str, ...] = (),
        fused: bool = False,
    ) -> None:
        self._learner, self._identity = learner, identity_of(learner, *told, without=without)
        self.finished = finished(learner.folder, self._identity)
        self.device = device()
        self.net = deepcopy(net).to(self.device).train().requires_grad_(True)
        self.average = deepcopy(self.net).eval().requires_grad_(False)
        self._weights = list(self.net.parameters())
        self._optimizer = torch.optim.AdamW(self._weights, weight_decay=0.0, fused=fused)

    def here(self, *tensors: Any) -> list[Any]:
        """Return tensors, or None, where the network is."""
        return [None if t is None else t.to(self.device) for t in tensors]

    def run(
        self,
        losses: Callable[[int], Losses],
        *,
        what: str,
        watch: Watch | None,
        meter: Meter | None,
        clip: float = 1.0,
    ) -> None:
        """Do the steps that are left.

        Args:
            losses: of step i, which depend on the seed and i alone.
            what: which loss, for a message.
            watch: told the loss of every step and its terms.
            meter: kept with the checkpoints.
            clip: longest gradient.

        Raises:
            TrainingError: a loss that is not finite; a checkpoint of another training.
        """
        learner = self._learner

        def step(i: int) -> dict[str, float]:
            found = losses(i)
            expect_finite(found.rows, found.levels, what)
            loss = found.rows.mean()
            for term in found.terms.values():
                loss = loss + term
            rate = rate_at(
                i, peak=learner.learning_rate, warmup=learner.warmup, steps=learner.steps
            )
            value = descend(loss, self._weights, self._optimizer, step=i, rate=rate, clip=clip)
            follow(self.average, self.net, i, learner.ema)
            return {"loss": value} | {name: term.item() for name, term in found.terms.items()}

        parts = {"net": self.net, "average": self.average, "optimizer": self._optimizer}
        train(
            step,
            parts if meter is None else parts | {"meter": meter},
            steps=learner.steps,
            identity=self._identity,
            folder=learner.folder,
            save_every=learner.save_every,
            watch=watch,
        )

    def kept(self, denoiser: Denoiser) -> str | Denoiser:
        """Return what a generator takes: the result, or the folder it was saved to."""
        return kept(denoiser, self._learner.folder, self._identity)


def trainable(denoiser: Any) -> Denoiser:
    """Return a denoiser with weights, read from its folder where it is one.

    Raises:
        InvalidArgument: an exact or a guided one.
        ModelNotFound: a folder without one.
    """
    found = load(denoiser) if isinstance(denoiser, str) else denoiser
    if not isinstance(found, Denoiser):
        raise InvalidArgument(
            f"only a Denoiser has weights to train, got a {type(found).__name__}."
        )
    return found


def brought(denoiser: Any) -> Any:
    """Return a denoiser where networks are trained: itself, or a copy if its own are elsewhere."""
    if not isinstance(denoiser, Denoiser) or device_of(denoiser).type == device().type:
        return denoiser
    return replace(denoiser, net=deepcopy(denoiser.net).to(device()))


def weights_of(denoiser: Any) -> str:
    """Name what a denoiser is: its settings and its weights."""
    if denoiser is None:
        return ""
    if not isinstance(denoiser, Denoiser):
        return codec.dumps(describe(denoiser), canonical=True, lossy=True)
    told = [denoiser.precondition, denoiser.path, getattr(denoiser.net, "settings", None)]
    return codec.digest([told, [w.detach().cpu() for w in denoiser.net.state_dict().values()]])


def kernel_of(generator: DiffusionModel) -> list[Any]:
    """Name the noise of a generator: nothing where it is Gaussian."""
    return [] if generator.noise in (None, Gaussian()) else [describe(generator.noise)]


def identity_of(learner: Any, *told: Any, without: tuple[str, ...] = ()) -> str:
    """Name a training.

    Args:
        learner: whose settings count, but for where and how often it saves.
        told: what else it depends on: the start, the data, the seed.
        without: settings that do not count, since `told` has what they stand for.
    """
    left_out = ("folder", "save_every", *without)
    settings = {k: v for k, v in describe(learner).items() if k not in left_out}
    return codec.digest(codec.dumps([settings, *told], canonical=True, lossy=True))


def finished(folder: str, identity: str) -> bool:
    """Tell whether a folder holds the result of a training."""
    return bool(folder) and read_state(Path(folder)).get("identity") == identity


def kept(denoiser: Denoiser, folder: str, identity: str) -> str | Denoiser:
    """Save a trained denoiser where there is a folder for it, and return what a generator takes."""
    if not folder:
        return denoiser
    save(denoiser, folder)
    write_state(Path(folder), {"identity": identity})
    drop_checkpoint(Path(folder))
    return folder


def expect_settings(learner: Any) -> None:
    """Look at the numbers that trainers share.

    Raises:
        InvalidArgument: one is out of its range.
    """
    name = type(learner).__name__
    for field in ("steps", "batch", "save_every"):
        value = getattr(learner, field)
        if value < 1:
            raise InvalidArgument(f"{name}: {field} must be 1 or more, got {value}.")
    if not learner.learning_rate > 0:
        raise InvalidArgument(
            f"{name}: learning_rate must be above 0, got {learner.learning_rate}."
        )
    if not 0 <= learner.ema < 1:
        raise InvalidArgument(f"{name}: ema must be in [0, 1), got {learner.ema}.")
    if not getattr(learner, "warmup", 0) >= 0:
        raise InvalidArgument(f"{name}: warmup must be 0 or more, got {learner.warmup}.")


def expect_gaussian(owner: Any, generator: DiffusionModel) -> None:
    """Look at the noise of a teacher whose students see Gaussian noise.

    Raises:
        InvalidArgument: it has another one.
    """
    if generator.noise not in (None, Gaussian()):
        name = owner if isinstance(owner, str) else type(owner).__name__
        raise InvalidArgument(
            f"{name}: works under Gaussian noise alone, but the teacher's is {generator.noise}."
        )
