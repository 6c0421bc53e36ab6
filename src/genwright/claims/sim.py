"""Does a bounded distance of scores (SIM) make one-step students that forgive a learning rate?"""

from statistics import fmean
from typing import Any

import numpy as np

from genwright.claims.arenas import Arena, digit_arena, ring_arena
from genwright.claims.contest import RATES, drawn
from genwright.claims.entries import hold_all, teachers
from genwright.claims.matched import dmd, sid, sim, sim_rule, trained
from genwright.core import Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.learning.distillation.rules import Sid

RATIO = "worst_ratio <= 0.7"
SMOKE_UNITS = 9 * 256 * 200
SWEEP_UNITS = 2e6


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Sweep the learning rate for SIM and the squared loss; at full scale also hold the rows."""
    smoke = scale == "smoke"
    arena = ring_arena() if smoke else digit_arena()
    seeds = [child_seed(seed, i) % 2**31 for i in range(1 if smoke else 3)]
    units = SMOKE_UNITS if smoke else SWEEP_UNITS
    rules: dict[str, Any] = {"sim": sim_rule(arena), "l2": Sid(alpha=1.0)}
    metrics: dict[str, float] = {}
    for name, rule in rules.items():
        for rate in RATES:
            values = [_score(arena, rule, rate, units, s) for s in seeds]
            metrics[f"{name}_at_{rate:g}"] = fmean(values)
        metrics[f"{name}_worst"] = max(metrics[f"{name}_at_{rate:g}"] for rate in RATES)
    metrics["worst_ratio"] = metrics["sim_worst"] / metrics["l2_worst"]
    spent = len(rules) * len(RATES) * len(seeds) * units
    bounds: tuple[str, ...] = (RATIO,)
    if not smoke:
        rows = [*teachers(arena)[:1], sim(arena), sid(arena, 1.0), sid(arena, 1.2), dmd(arena)]
        found = hold_all(arena, rows, seeds, ledger)
        spent += sum(row.units for row in found)
        by = {e.name: [r.metrics["frechet"] for r in found if r.name == e.name] for e in rows}
        ratios = np.array(by["sim"]) / np.array(by["teacher, Heun 18"])
        metrics |= {f"fd_{name.partition(',')[0]}": fmean(values) for name, values in by.items()}
        metrics |= {"fd_ratio": float(ratios.mean()), "seeds_within": int((ratios <= 1.25).sum())}
        bounds += ("fd_ratio <= 1.25", "seeds_within >= 2")
    notes = (
        f"NAME_at_RATE: {'KL divergence' if smoke else 'Frechet distance'} after "
        f"{units / 1e6:.2g} M train units at that learning rate; worst: of the three rates",
        "l2 is SiD with alpha = 1: the squared distance of scores over mean |x_0 - T|",
        "c of the pseudo-Huber distance is 0.01 times the root of the number of dimensions",
    )
    return ClaimResult(
        metrics=metrics, bounds=bounds, notes=notes, cost=Cost(network_evaluations=int(spent))
    )


def _score(arena: Arena, rule: Any, rate: float, units: float, seed: int) -> float:
    made = trained(arena, rate, units, seed, rule=rule, fake_per_step=1)
    return arena.task.judge(drawn(arena.task, made, seed))[arena.task.score]


CLAIM = Claim(
    slug="sim",
    reference="Luo et al. 2024, One-Step Diffusion Distillation through Score Implicit Matching, "
    "arXiv:2410.16794",
    statement="The worst result of score implicit matching over a tenfold range of learning rates "
    "is at most 0.7 of that of the squared score loss, and on digits, without data, one evaluation "
    "has at most 1.25 times the Frechet distance of the teacher's 35.",
    run=run,
)
