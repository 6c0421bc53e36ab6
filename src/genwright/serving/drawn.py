"""Draws of several prompts together, and the way of a diffusion model from noise to them.

Ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import (
    Cost,
    Generator,
    InvalidArgument,
    Ledger,
    Samples,
    Task,
    child_seed,
    solve,
)
from genwright.core.run import Run
from genwright.core.statistics import Interval, wilson
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.stored import opened
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.serving.report.training import BY_EVALUATIONS


def drawn(
    generator: Generator[Any], prompts: Sequence[Any], n: int, seed: int
) -> tuple[NDArray[Any], Cost]:
    """Return n draws for each prompt, one after the other, and what they cost.

    Raises:
        InvalidArgument: draws that are no arrays.
    """
    parts: list[NDArray[Any]] = []
    cost = Cost()
    for i, prompt in enumerate(prompts):
        found = generator.sample(prompt, n, seed=child_seed(seed, "drawn", i))
        if not hasattr(found.values, "shape"):
            raise InvalidArgument(
                f"draw: this generator makes {type(found.values[0]).__name__}, no pictures; use "
                "genwright solve or genwright ask."
            )
        parts.append(np.asarray(found.values))
        cost += found.cost
    return np.concatenate(parts), cost


def trajectory(model: Any, prompts: Sequence[Any], n: int, seed: int) -> list[NDArray[np.float64]]:
    """Return what the draws of `drawn` looked like on the way: a frame each level of noise.

    A frame holds the noised draws at that level, brought to the spread of the data by
    1 / (1 + sigma), and last the draws themselves.

    Raises:
        InvalidArgument: not a `DiffusionModel`.
    """
    if not isinstance(model, DiffusionModel):
        raise InvalidArgument(
            f"draw: only a diffusion model has a way to show, got {type(model).__name__}."
        )
    seen = Seen(opened(model.denoiser))
    watched = replace(model, denoiser=seen, batch=n)
    parts: list[list[NDArray[np.float64]]] = []
    for i, prompt in enumerate(prompts):
        seen.frames.clear()
        found = watched.sample(prompt, n, seed=child_seed(seed, "drawn", i))
        levels = sorted(seen.frames, reverse=True)
        way = [seen.frames[level] / (1 + level) for level in levels]
        parts.append([*way, np.asarray(found.values, dtype=np.float64)])
    return [np.concatenate(frames) for frames in zip(*parts, strict=True)]


@dataclass(frozen=True)
class InSteps:
    """A diffusion model whose prompts are (steps of its schedule, what it is asked for)."""

    model: DiffusionModel

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return draws in so many steps."""
        steps, asked = prompt
        return replace(self.model, steps=steps).sample(asked, n, seed=seed, first=first)


@dataclass(frozen=True)
class Quality:
    """How draws in so many steps fare.

    Args:
        steps: of the schedule.
        evaluations: of the network for each draw.
        passed: share of the decided draws that pass, with a 95% interval.
        draws: that were decided.
    """

    steps: int
    evaluations: int
    passed: Interval
    draws: int


def quality_by_steps(
    model: Any, tasks: Sequence[Task[Any]], steps: Sequence[int], n: int, seed: int, ledger: Ledger
) -> tuple[Run, list[Quality]]:
    """Check n draws of every task in each number of steps, in one recorded run.

    The run also gets the metric `BY_EVALUATIONS`, which reports plot.

    Args:
        model: a diffusion model.
        tasks: with a verifier each.
        steps: of the schedule, one point of the curve each.
        n: draws of each task and number of steps.
        seed: of the run.
        ledger: where the run goes.

    Raises:
        InvalidArgument: no `DiffusionModel`, no verifier, a number of steps below 1, or all draws
            of a number of steps undecided.
    """
    if not isinstance(model, DiffusionModel):
        raise InvalidArgument(
            f"draw: only a diffusion model draws in steps, got {type(model).__name__}."
        )
    if not steps or min(steps) < 1:
        raise InvalidArgument(f"draw: steps must be numbers from 1, got {list(steps)}.")
    if not tasks or any(task.verifier is None for task in tasks):
        raise InvalidArgument("draw: steps are compared by a task's verifier; name a task.")
    asked = [
        replace(task, prompt=(k, task.prompt), key=f"{k} steps: {task.key}")
        for k in steps
        for task in tasks
    ]
    result = solve(
        asked, InSteps(model), RepeatedSampling(n=n, stop_on_pass=False), ledger=ledger, seed=seed,
        name=f"quality in {', '.join(map(str, steps))} steps",
    )  # fmt: skip
    run, found = ledger.run(result.run_id), []
    for i, k in enumerate(steps):
        mine = asked[i * len(tasks) : (i + 1) * len(tasks)]
        decided = [passed for task in mine for passed in _judged(run, task.key)]
        if not decided:
            raise InvalidArgument(f"draw: the verifier decided none of the draws in {k} steps.")
        evaluations = sum(run.cost(task.key).network_evaluations for task in mine)
        each = round(evaluations / (n * len(mine)))
        found.append(Quality(k, each, wilson(sum(decided), len(decided)), len(decided)))
        run.add_metric(f"{BY_EVALUATIONS}passed", found[-1].passed.estimate, step=each)
    return run, found


def _judged(run: Run, task: str) -> list[bool]:
    """Return whether each decided draw of a task passed; equal draws share one verdict."""
    known = {judged.digest: judged.verdict.passed for judged in run.verdicts(task)}
    found = [known[draw.digest] for draw in run.draws(task)]
    return [passed for passed in found if passed is not None]


class Seen:
    """A denoiser that keeps what it was first asked at each level of noise.

    Args:
        denoiser: what answers.
    """

    def __init__(self, denoiser: Any) -> None:
        self.denoiser = denoiser
        self.shape, self.classes = denoiser.shape, denoiser.classes
        self.frames: dict[float, NDArray[np.float64]] = {}

    def __call__(self, x: Tensor, sigma: float | Tensor, cond: Tensor | None = None) -> Tensor:
        """Answer as the denoiser does."""
        level = float(torch.as_tensor(sigma).flatten()[0])
        self.frames.setdefault(level, x.detach().double().cpu().numpy())
        return self.denoiser(x, sigma, cond)
