"""One contest for every way to sample in one step or a few: same tasks, same budget, same tuning.

`Task` says what is learnt and how samples are judged; `Entry` is one way, trained by a function of
(task, learning rate, budget in train units, seed); `hold` finds the learning rate of an entry on
seed 1000 at a quarter of the budget, trains it on each seed, judges it, and records a `Row` a seed
in the ledger. `rows` reads them back; `claims/onestep.py` makes the page of them.

Ours.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import InvalidArgument, Item, Ledger, RunState, child_seed

NAME = "onestep: "
"""What the names of the contest's runs begin with in a ledger."""

TUNING_SEED = 1000
TUNING_SHARE = 0.25
RATES = (3e-4, 1e-3, 3e-3)
"""The grid of learning rates, the same for every entry."""

SHOWN = 60
"""Samples of a row that are kept for its picture (all of a set of points)."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """What training made.

    Args:
        draw: (n, class of each draw or None, seed) -> [n, ...] samples.
        parameters: of all networks that a sample needs.
        units: train units that it took (`generators.diffusion.meter`).
    """

    draw: Callable[[int, Tensor | None, int], Tensor]
    parameters: int
    units: float


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is learnt, and how samples are judged.

    Args:
        name: of the task.
        budget: train units of a run.
        draws: samples that are judged.
        classes: class asked for in each of them, or None.
        judge: samples [draws, ...] -> measures by name.
        score: the measure that tuning makes small.
    """

    name: str
    budget: float
    draws: int
    classes: Tensor | None
    judge: Callable[[NDArray[np.float64]], Mapping[str, float]]
    score: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One way to make a student.

    Args:
        name: of its row.
        evaluations: of networks for each sample.
        uses_data: whether it sees real samples, or the teacher alone.
        train: (learning rate, train units, seed) -> student.
        rates: learning rates to choose from; one alone is not tuned, none is passed as 0.
        order: place of the row in the table.
    """

    name: str
    evaluations: float
    uses_data: bool
    train: Callable[[float, float, int], Student]
    rates: Sequence[float] = RATES
    order: int = 50


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trained and judged student, as it is recorded."""

    task: str
    name: str
    order: int
    seed: int
    parameters: int
    evaluations: float
    units: float
    uses_data: bool
    rate: float
    tuning: Mapping[str, float]
    metrics: Mapping[str, float]
    seconds: float
    samples: Any = field(repr=False, compare=False, default=None)


def hold(
    task: Task,
    entry: Entry,
    *,
    seeds: Sequence[int],
    ledger: Ledger | None = None,
    share: float = 1.0,
) -> list[Row]:
    """Tune, train, judge and record one entry.

    Args:
        task: the task.
        entry: the entry.
        seeds: one row each.
        ledger: where the rows go.
        share: of the task's budget; below 1 for a trial at smoke scale.

    Raises:
        InvalidArgument: no rate in the grid of an entry that trains, or no seeds.
    """
    if not entry.rates or not seeds:
        raise InvalidArgument(f"contest: {entry.name!r} needs a learning rate and a seed.")
    rate, tuning = tuned(task, entry, share)
    found: list[Row] = []
    for seed in seeds:
        start = time.perf_counter()
        student = entry.train(rate, task.budget * share, seed)
        trained = time.perf_counter() - start
        samples = drawn(task, student, seed)
        row = Row(
            task=task.name,
            name=entry.name,
            order=entry.order,
            seed=seed,
            parameters=student.parameters,
            evaluations=entry.evaluations,
            units=student.units,
            uses_data=entry.uses_data,
            rate=rate,
            tuning=tuning,
            metrics=task.judge(samples),
            seconds=trained,
            samples=kept(samples, task.classes),
        )
        found.append(row)
        if ledger is not None:
            record(row, ledger)
    return found


def tuned(task: Task, entry: Entry, share: float = 1.0) -> tuple[float, dict[str, float]]:
    """Return the best learning rate of the entry's grid, and the score of each by its name."""
    if len(entry.rates) == 1:
        return entry.rates[0], {}
    scores: dict[str, float] = {}
    for rate in entry.rates:
        student = entry.train(rate, task.budget * share * TUNING_SHARE, TUNING_SEED)
        measured = task.judge(drawn(task, student, TUNING_SEED))
        scores[f"{rate:g}"] = measured[task.score]
    best = min(entry.rates, key=lambda rate: scores[f"{rate:g}"])
    return best, scores


def drawn(task: Task, student: Student, seed: int) -> NDArray[np.float64]:
    """Return the samples that are judged; they depend on the student and the seed alone."""
    with torch.no_grad():
        found = student.draw(task.draws, task.classes, child_seed(seed, "judged"))
    return found.detach().to(torch.float64).cpu().numpy()


def kept(samples: NDArray[np.float64], classes: Tensor | None) -> NDArray[Any]:
    """Return what a picture of a row shows: many points, or the first pictures of each class."""
    if samples.ndim == 2:
        return samples[:4000].astype(np.float16)
    order = np.arange(len(samples))
    if classes is not None:
        labels = classes.cpu().numpy()
        each = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
        order = np.concatenate([places[: SHOWN // len(each)] for places in each])
    pixels = np.clip(samples[order[:SHOWN]], -1, 1)
    return np.round((pixels + 1) * 127.5).astype(np.uint8)


def record(row: Row, ledger: Ledger) -> None:
    """Write a row down."""
    told = asdict(row)
    samples = told.pop("samples")
    run = ledger.start_run(f"{NAME}{row.task}: {row.name}", {"row": told}, row.seed)
    for name, value in row.metrics.items():
        run.add_metric(name, value)
    run.add_items([Item("samples", row.name, {"samples": samples})])
    run.finish()


def rows(ledger: Ledger) -> list[Row]:
    """Return the recorded rows; the latest of each task, name and seed counts."""
    found: dict[tuple[str, str, int], Row] = {}
    for run in ledger.runs():
        if run.name.startswith(NAME) and run.state is RunState.FINISHED:
            told = dict(run.spec["row"])
            items = run.items("samples")
            row = Row(**told, samples=items[0].data["samples"] if items else None)
            found[row.task, row.name, row.seed] = row
    return list(found.values())


def summary(found: Sequence[Row], measure: str) -> tuple[float, float]:
    """Return mean and standard deviation of a measure over seeds (0 for one seed)."""
    values = [row.metrics[measure] for row in found]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread
