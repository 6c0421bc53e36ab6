"""Do annealed reflow and guided distillation (SlimFlow) help a small one-step student?"""

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from genwright.claims.arenas import Arena, digit_arena, draws_of, ring_arena
from genwright.claims.contest import RATES, TUNING_SEED
from genwright.claims.entries import BATCH, hold_all, meter_of, of_pairs
from genwright.core import Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import size_of
from genwright.learning.denoising import untrained
from genwright.learning.distillation.pairs import Pairs, ode_pairs
from genwright.learning.distillation.rectify import Reflow, flow_denoiser, straightness
from genwright.learning.distillation.slimflow import PairDistiller
from genwright.learning.features import train_features
from genwright.nets.denoisers import ResMLP
from genwright.synthesis.images import digits_split

ARMS = {
    "naive_naive": (0.0, False),
    "anneal_naive": (0.6, False),
    "naive_guided": (0.0, True),
    "anneal_guided": (0.6, True),
}
"""Name -> (share of the steps that anneal, whether distillation is guided)."""

UNITS: Mapping[Scale, float] = {"smoke": 0.15e6, "full": 0.3e6}
"""Train units of one arm on one seed, the drawing of pairs apart."""

PAIRS: Mapping[Scale, int] = {"smoke": 2000, "full": 20_000}


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Train each arm at equal units on the same pairs; at full scale also the contest's rows."""
    smoke = scale == "smoke"
    arena = ring_arena() if smoke else digit_arena()
    seeds = range(1 if smoke else 3)
    units, n = UNITS[scale], PAIRS[scale]
    pairs = ode_pairs(_whole(arena, n), n, seed=child_seed(seed, "pairs"))
    features = None if smoke else _other_eye(seed)
    small = size_of(_net(arena, 0))
    measure = arena.task.score
    values: dict[str, list[float]] = {}
    lines: dict[str, list[float]] = {}
    for arm in ARMS:
        rate = 3e-3 if smoke else _tuned(arena, arm, pairs, units, features, seed)
        for i in seeds:
            made, flow = _arm(arena, arm, pairs, units, rate, features, child_seed(seed, i))
            samples = draws_of(made, arena.task.draws, arena.task.classes, child_seed(seed, i))
            judged = arena.task.judge(np.asarray(samples, dtype=np.float64))
            values.setdefault(arm, []).append(judged[measure])
            own = ode_pairs(_whole_flow(flow, 1000), 1000, seed=seed)
            lines.setdefault(arm, []).append(straightness(flow, own, seed=seed))
    metrics = {f"{measure}_{arm}": fmean(found) for arm, found in values.items()}
    metrics |= {f"straightness_{arm}": fmean(found) for arm, found in lines.items()}
    plain, whole = values["naive_naive"], values["anneal_guided"]
    metrics |= {
        "student_share": small / size_of(arena.start.net),
        "ratio": fmean(whole) / fmean(plain),
        "annealing_alone": fmean(values["anneal_naive"]) / fmean(plain),
        "guide_alone": fmean(values["naive_guided"]) / fmean(plain),
        "bent_share": fmean(lines["anneal_naive"]) / fmean(lines["naive_naive"]),
    }
    bounds: tuple[str, ...] = ("student_share <= 0.25", "ratio <= 1.0")
    if not smoke:
        metrics["gap_in_deviations"] = (fmean(plain) - fmean(whole)) / max(stdev(plain), 1e-9)
        bounds = ("student_share <= 0.25", "ratio <= 0.85", "annealing_alone <= 1.0",
                  "guide_alone <= 1.0", "gap_in_deviations >= 1.0")  # fmt: skip
        _rows(arena, seed, ledger)
    notes = (
        f"{n:,} pairs are shared by all arms ({n * 35 / 1e6:.2f} M evaluations of the teacher); "
        f"each arm then has {units / 1e6:.2f} M train units, half for each of its two stages",
        "straightness: mean square of v(x_t, t) - (x_1 - z) along the flow's own paths; "
        "bent_share: with annealing over without",
        "distances of pictures: L2 and the features of a classifier trained on another seed than "
        "the one that judges"
        if not smoke
        else "distances are L2",
    )
    spent = len(ARMS) * len(seeds) * units + n * 35
    cost = Cost(network_evaluations=int(spent))
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def _arm(
    arena: Arena, arm: str, pairs: Pairs, units: float, rate: float, features: Any, seed: int
) -> tuple[Any, DiffusionModel]:
    """Return the one-step student and the flow that it was distilled from."""
    anneal, guided = ARMS[arm]
    net = _net(arena, seed)
    share = size_of(net) / size_of(arena.start.net)
    meter = meter_of(arena)

    def steps(each: int) -> int:
        return max(1, int(units / 2 / (each * share * BATCH)))

    begin = DiffusionModel(denoiser=flow_denoiser(net), batch=arena.teacher.batch)
    settings: Any = {"batch": BATCH, "learning_rate": rate}
    reflow = Reflow(steps=steps(2), anneal=anneal, **settings)
    flow = reflow.fit(begin, pairs, seed=child_seed(seed, "reflow"), meter=meter)
    distil = PairDistiller(
        steps=steps(5 if guided else 2), guide=flow if guided else None, features=features,
        **settings,
    )  # fmt: skip
    return distil.fit(flow, pairs, seed=child_seed(seed, "distil"), meter=meter), flow


def _tuned(arena: Arena, arm: str, pairs: Pairs, units: float, features: Any, seed: int) -> float:
    """Return the learning rate of the grid that is best after a quarter of the units."""

    def score(rate: float) -> float:
        made, _ = _arm(arena, arm, pairs, units / 4, rate, features, TUNING_SEED)
        samples = draws_of(made, arena.task.draws, arena.task.classes, child_seed(seed, "tuning"))
        return arena.task.judge(np.asarray(samples, dtype=np.float64))[arena.task.score]

    return min(RATES, key=score)


def _net(arena: Arena, seed: int) -> Any:
    """Return an untrained student of at most a quarter of the teacher's parameters."""
    ring = arena.task.name == "ring8"
    shape, width, blocks = (2, 24, 3) if ring else ((1, 8, 8), 48, 3)
    classes = 0 if ring else 10
    return untrained(lambda: ResMLP(shape, width, blocks, classes), seed=seed)


def _whole(arena: Arena, n: int) -> DiffusionModel:
    """Return the teacher drawing each class in one batch, so that no row is drawn for nothing."""
    return replace(arena.teacher, batch=-(-n // max(1, arena.start.classes)))


def _whole_flow(flow: DiffusionModel, n: int) -> DiffusionModel:
    return replace(flow, batch=n // 10, steps=9)


def _other_eye(seed: int) -> Any:
    """Return a classifier that is not the one that judges."""
    return train_features(*digits_split(), seed=child_seed(seed, "other eye"))


def _rows(arena: Arena, seed: int, ledger: Ledger | None) -> None:
    """Hold the contest's entries that learn from pairs, with students as large as the teacher."""
    if ledger is None:
        return
    hold_all(arena, of_pairs(arena), [child_seed(seed, i) % 2**31 for i in range(3)], ledger)


CLAIM = Claim(
    slug="slimflow",
    reference="Zhu et al. 2024, SlimFlow: Training Smaller One-Step Diffusion Models with "
    "Rectified Flow, arXiv:2407.12718",
    statement="For a student with at most 25% of its teacher's parameters, annealed reflow and "
    "guided distillation together have at most 0.85 times the one-step Frechet distance of plain "
    "reflow and distillation at the same budget on digits, and each part helps (at smoke scale: "
    "together no larger KL divergence on ring8).",
    run=run,
)
