"""The two tasks of the contest of one-step methods: a mixture with an exact teacher, and digits.

`ring8`: eight Gaussians of unequal weight on a circle; the teacher is their denoiser in closed
form, so that every error is the student's. Samples are judged by their KL divergence from exact
cell masses, and by the modes. `digits`: handwritten digits by class; the teacher is a network,
trained once and kept in a cache. Samples are judged by `assurance.sample_quality`.

Students of both have the teacher's architecture and start from one network for each task, which is
trained apart and at the same cost for all: on `digits` the teacher itself, on `ring8` a network
that imitates the exact teacher.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.assurance.known_density import binned_divergence, mode_report
from genwright.assurance.sample_quality import floor, measure_images
from genwright.claims.contest import Row, Task, kept
from genwright.core import GenwrightError, child_seed
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import ring8
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.precondition import Edm
from genwright.generators.diffusion.stored import opened
from genwright.generators.language.embedded import cache_folder
from genwright.learning.denoising import DenoisingLearner, untrained
from genwright.learning.features import digit_classifier
from genwright.nets.denoisers import ResMLP
from genwright.synthesis.images import digits, digits_split

CELLS = np.linspace(-1.6, 1.6, 61)
"""Edges of the cells of `ring8`, both ways."""

RING_DRAWS = 20_000
RING_SPREAD = 0.7
"""About the standard deviation of a coordinate of `ring8`."""


@dataclass(frozen=True, kw_only=True)
class Arena:
    """A task, its teacher, and where students start.

    Args:
        task: judges samples.
        teacher: a diffusion model whose denoiser is the teacher.
        start: a network like the teacher's, where every student starts.
        data: what a trainer takes: pictures or a law.
    """

    task: Task
    teacher: DiffusionModel
    start: Denoiser
    data: Any


@cache
def ring_arena() -> Arena:
    """Return the task `ring8`."""
    law = ring8()
    teacher = DiffusionModel(denoiser=law, batch=4000)
    task = Task(
        name="ring8",
        budget=6e6,
        draws=RING_DRAWS,
        classes=None,
        judge=judge_ring,
        score="kl",
    )
    net = untrained(lambda: ResMLP(2, width=64, blocks=3), seed=0)
    begin = DiffusionModel(denoiser=Denoiser(net, Edm(sigma_data=RING_SPREAD)))
    learner = DenoisingLearner(
        folder=str(prepared("ring8")), steps=1000, batch=512, learning_rate=3e-3, target=law
    )
    start = opened(learner.fit(begin, law, seed=0).denoiser)
    return Arena(task=task, teacher=teacher, start=start, data=law)


@cache
def digit_arena(steps: int = 6000) -> Arena:
    """Return the task `digits`.

    Args:
        steps: of the teacher's training, fewer in tests.

    Raises:
        GenwrightError: the classifier that judges did not get 97% of held-out digits right.
    """
    train, _ = digits_split()
    net = untrained(lambda: ResMLP(train.shape, width=128, blocks=3, classes=10), seed=0)
    begin = DiffusionModel(denoiser=Denoiser(net, Edm(sigma_data=0.75)), batch=180)
    learner = DenoisingLearner(
        folder=str(prepared(f"digits-{steps}")), steps=steps, learning_rate=2e-3
    )
    teacher = learner.fit(begin, train, seed=0)
    if not digit_classifier().trusted:
        raise GenwrightError("the classifier of digits got fewer than 97% right: undecided.")
    task = Task(
        name="digits",
        budget=2e6,
        draws=len(digits()),
        classes=torch.as_tensor(digits().labels),
        judge=judge_digits,
        score="frechet",
    )
    return Arena(task=task, teacher=teacher, start=opened(teacher.denoiser), data=train)


def judge_ring(samples: NDArray[np.float64]) -> Mapping[str, float]:
    """Return KL both ways, KL of the modes' weights, modes found, share astray."""
    law = ring8()
    forward, backward = binned_divergence(samples, _ring_masses(), (CELLS, CELLS))
    modes = mode_report(samples, law.weights, law.means, law.std)
    return {
        "kl": forward,
        "kl_back": backward,
        "modes_kl": modes.weights_kl,
        "modes": modes.found,
        "astray": modes.stray,
    }


def judge_digits(samples: NDArray[np.float64]) -> Mapping[str, float]:
    """Return the measures of `measure_images`, each class being asked for as often as it occurs."""
    train, held_out = digits_split()
    asked = digits().labels if len(samples) == len(digits()) else None
    return measure_images(samples, train, held_out, digit_classifier(), asked=asked).as_dict()


def floor_row(arena: Arena) -> Row:
    """Return the row of real samples: what a perfect method would get."""
    if arena.task.name == "ring8":
        samples = ring8().sample(RING_DRAWS, Batch(0, "floor")).numpy()
        metrics = judge_ring(samples)
    else:
        train, held_out = digits_split()
        samples = train.pixels.astype(np.float64)
        metrics = floor(train, held_out, digit_classifier()).as_dict()
    return Row(
        task=arena.task.name,
        name="real samples (floor)",
        order=0,
        seed=0,
        parameters=0,
        evaluations=0,
        units=0,
        uses_data=True,
        rate=0,
        tuning={},
        metrics=metrics,
        seconds=0,
        samples=_shown(arena, samples),
    )


def draws_of(generator: Any, n: int, classes: Tensor | None, seed: int) -> Tensor:
    """Return draws of a generator, each of the class asked for, in their order.

    Args:
        generator: whose prompt is a class, or None.
        n: how many.
        classes: int64[n], or None.
        seed: of all of them.
    """
    if classes is None:
        return torch.as_tensor(np.asarray(generator.sample(None, n, seed=seed).values))
    found: Tensor | None = None
    for label in classes.unique().tolist():
        places = torch.nonzero(classes == label)[:, 0]
        values = generator.sample(label, len(places), seed=child_seed(seed, label)).values
        drawn = torch.as_tensor(np.asarray(values))
        if found is None:
            found = drawn.new_empty((n, *drawn.shape[1:]))
        found[places] = drawn
    assert found is not None
    return found


def prepared(name: str) -> Path:
    """Return the folder of a network that is trained once and kept.

    A learner that finds another training's result there trains again: it compares settings, data,
    seed and start.
    """
    folder = cache_folder() / "prepared" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _ring_masses() -> NDArray[np.float64]:
    return ring8().cell_masses(CELLS, CELLS)


def _shown(arena: Arena, samples: NDArray[np.float64]) -> Any:
    if arena.task.name == "ring8":
        return kept(samples, None)
    train, _ = digits_split()
    return kept(samples, torch.as_tensor(train.labels))
