"""Entries of the contest that need no matching of distributions: teachers, regression, consistency.

Each `train` gets a learning rate, train units and a seed, and spends the units it got: it derives
its number of steps from what one step costs. ODE pairs are charged.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor

from genwright.claims.arenas import Arena, digit_arena, draws_of, floor_row, ring_arena
from genwright.claims.contest import RATES, Entry, Row, Student, hold, record
from genwright.core import Ledger, child_seed
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.learning.distillation.consistency import ConsistencyDistiller, drawing_in
from genwright.learning.distillation.pairs import ode_pairs
from genwright.learning.distillation.rectify import Reflow, flow_denoiser
from genwright.learning.distillation.slimflow import PairDistiller

BATCH = 256
PAIRS_SHARE = 0.3
"""Of the budget that goes into drawing ODE pairs, where an entry needs them."""

SUB_PATHS = (("consistency distillation", "", 30), ("slam", "variance", 40))
"""Name, sub-path and place of the rows that train along the teacher's path."""

LEVELS = 18
"""Steps of the solver that those rows train on."""

HEUN = 35
"""Evaluations of Heun's sampler in 18 steps."""

ARENAS: dict[str, Callable[[], Arena]] = {"ring8": ring_arena, "digits": digit_arena}


def student(generator: Any, parameters: int, units: float) -> Student:
    """Return what a contest judges of a generator."""

    def draw(n: int, classes: Tensor | None, seed: int) -> Tensor:
        return draws_of(generator, n, classes, seed)

    return Student(draw=draw, parameters=parameters, units=units)


def meter_of(arena: Arena) -> Meter:
    """Return a meter whose unit is one forward pass of the arena's network."""
    return Meter(size_of(arena.start.net))


def teachers(arena: Arena) -> list[Entry]:
    """Return the teacher in 35 evaluations and in few."""
    parameters = size_of(arena.start.net) if arena.task.name != "ring8" else 0

    def entry(order: int, name: str, evaluations: int, **settings: Any) -> Entry:
        model = replace(arena.teacher, **settings)

        def train(_rate: float, _units: float, _seed: int) -> Student:
            return student(model, parameters, 0.0)

        return Entry(
            name=name, evaluations=evaluations, uses_data=True, train=train, rates=(0.0,),
            order=order,
        )  # fmt: skip

    few = [entry(10 + n, f"teacher, Euler {n}", n, sampler="euler", steps=n) for n in (1, 2, 4)]
    return [entry(5, "teacher, Heun 18", HEUN), *few]


def regression(arena: Arena) -> Entry:
    """Return regression on ODE pairs: the student reads 80 z and says where the ODE ends."""

    def train(rate: float, units: float, seed: int) -> Student:
        meter = meter_of(arena)
        pairs = _pairs(arena, units, seed, meter)
        steps = _steps(units - meter.units, 2 * BATCH)
        learner = PairDistiller(steps=steps, batch=BATCH, learning_rate=rate, sigma_init=80.0)
        made = learner.fit(_from(arena), pairs, seed=seed, meter=meter)
        return student(made, size_of(arena.start.net), meter.units)

    return Entry(
        name="regression on ODE pairs", evaluations=1, uses_data=False, train=train, order=20
    )


def rectified(arena: Arena, *, slim: bool, name: str, order: int) -> Entry:
    """Return reflow and distillation, plain or as SlimFlow does, half of the rest each."""

    def train(rate: float, units: float, seed: int) -> Student:
        meter = meter_of(arena)
        pairs = _pairs(arena, units, seed, meter)
        left = (units - meter.units) / 2
        begin = replace(_from(arena), denoiser=flow_denoiser(arena.start.net))
        settings: Any = {"batch": BATCH, "learning_rate": rate}
        reflow = Reflow(steps=_steps(left, 2 * BATCH), anneal=0.6 if slim else 0.0, **settings).fit(
            begin, pairs, seed=child_seed(seed, "reflow"), meter=meter
        )
        learner = PairDistiller(
            steps=_steps(left, (5 if slim else 2) * BATCH), guide=reflow if slim else None,
            **settings,
        )  # fmt: skip
        made = learner.fit(reflow, pairs, seed=child_seed(seed, "distil"), meter=meter)
        return student(made, size_of(arena.start.net), meter.units)

    return Entry(name=name, evaluations=1, uses_data=False, train=train, order=order)


def of_pairs(arena: Arena) -> list[Entry]:
    """Return the rows that learn from ODE pairs."""
    return [
        regression(arena),
        rectified(arena, slim=False, name="reflow, naive distillation", order=24),
        rectified(arena, slim=True, name="slimflow", order=26),
    ]


def of_paths(arena: Arena, levels: int, rates: Sequence[float] = RATES) -> list[Entry]:
    """Return consistency distillation without and with sub-paths, at 1, 2 and 4 evaluations."""
    return [
        consistency(
            arena, sub_path=sub_path, levels=levels, draw_steps=steps,
            name=f"{name}, {steps}", order=order + steps, rates=rates,
        )
        for name, sub_path, order in SUB_PATHS
        for steps in (1, 2, 4)
    ]  # fmt: skip


def consistency(
    arena: Arena,
    *,
    sub_path: str,
    levels: int,
    draw_steps: int,
    name: str,
    order: int,
    rates: Sequence[float] = RATES,
) -> Entry:
    """Return consistency distillation, or its training on sub-paths, drawing in so many steps."""

    def train(rate: float, units: float, seed: int) -> Student:
        model, spent, ladder = distilled(arena.task.name, sub_path, levels, rate, units, seed)
        made = drawing_in(model, draw_steps, ladder)
        return student(made, size_of(arena.start.net), spent)

    return Entry(
        name=name, evaluations=draw_steps, uses_data=True, train=train, rates=rates, order=order
    )


@cache
def distilled(
    arena_name: str, sub_path: str, levels: int, rate: float, units: float, seed: int
) -> tuple[DiffusionModel, float, list[float]]:
    """Return a consistency model, its train units, and its ladder of levels."""
    arena = ARENAS[arena_name]()
    meter = meter_of(arena)
    learner = ConsistencyDistiller(
        steps=_steps(units, 4 * BATCH), batch=BATCH, learning_rate=rate, levels=levels,
        sub_path=sub_path, student=arena.start,
    )  # fmt: skip
    made = learner.fit(arena.teacher, arena.data, seed=seed, meter=meter)
    return made, meter.units, learner.ladder().tolist()


def hold_all(
    arena: Arena, entries: list[Entry], seeds: list[int], ledger: Ledger | None, share: float = 1.0
) -> list[Row]:
    """Hold several entries, after the floor row of real samples."""
    floor = floor_row(arena)
    if ledger is not None:
        record(floor, ledger)
    found = [floor]
    for entry in entries:
        found += hold(arena.task, entry, seeds=seeds, ledger=ledger, share=share)
    return found


def _pairs(arena: Arena, units: float, seed: int, meter: Meter) -> Any:
    """Draw pairs for their share of the units; whole batches are drawn, so the teacher's is set."""
    n = max(BATCH, int(PAIRS_SHARE * units / HEUN))
    known = max(1, int(getattr(arena.start, "classes", 0)))
    teacher = replace(arena.teacher, batch=-(-n // known))
    return ode_pairs(teacher, n, seed=child_seed(seed, "pairs"), meter=meter)


def _from(arena: Arena) -> DiffusionModel:
    """Return the network where students start, as a generator."""
    return DiffusionModel(denoiser=arena.start, batch=arena.teacher.batch)


def _steps(units: float, each: float) -> int:
    return max(1, int(units / each))
