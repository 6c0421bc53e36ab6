"""Do points between the ends of a solver step (SLAM) help consistency distillation?"""

from statistics import fmean

from genwright.claims.arenas import Arena, digit_arena, ring_arena
from genwright.claims.contest import RATES, Row
from genwright.claims.entries import LEVELS, hold_all, of_paths, teachers
from genwright.core import Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale

TITLES = {"cd": "consistency distillation", "slam": "slam"}


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Distil with and without sub-paths at equal units, from the same start, tuned alike."""
    smoke = scale == "smoke"
    arena = ring_arena() if smoke else digit_arena()
    seeds = [child_seed(seed, i) % 2**31 for i in range(1 if smoke else 3)]
    metrics: dict[str, float] = {}
    spent = 0.0
    for levels in (6,) if smoke else (6, 18, 50):
        own = ledger if levels == LEVELS else None
        found = _compared(arena, levels, seeds, own, share=0.1 if smoke else 1.0)
        spent += sum(row.units for row in found)
        metrics |= _ratios(arena, levels, found)
    name = "kl" if smoke else "fd"
    bounds: tuple[str, ...] = (f"{name}_ratio_2_N6 <= 1.0",)
    if not smoke:
        bounds = tuple(f"fd_ratio_{steps}_N6 <= 0.95" for steps in (2, 4))
        gaps = {n: fmean(1 - metrics[f"fd_ratio_{s}_N{n}"] for s in (2, 4)) for n in (6, 50)}
        metrics["gap_N6_less_N50"] = gaps[6] - gaps[50]
        bounds += ("seeds_better_N6 >= 2",)
    notes = (
        f"{name}_WAY_STEPS_N: mean over seeds in so many evaluations after training with N solver "
        "steps; ratio: slam over consistency distillation of the same",
        "rates of learning were chosen at N by one seed and a quarter of the units, for each way "
        "and number of evaluations"
        if not smoke
        else "the rate of learning was 0.003 for both",
    )
    cost = Cost(network_evaluations=int(spent))
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def _compared(
    arena: Arena, levels: int, seeds: list[int], ledger: Ledger | None, share: float
) -> list[Row]:
    """Hold both ways at 1, 2 and 4 evaluations; the contest's rows where there is a ledger."""
    entries = [] if ledger is None else teachers(arena)
    entries += of_paths(arena, levels, RATES if share == 1 else (3e-3,))
    return hold_all(arena, entries, seeds, ledger, share)


def _ratios(arena: Arena, levels: int, found: list[Row]) -> dict[str, float]:
    measure, short = ("kl", "kl") if arena.task.name == "ring8" else ("frechet", "fd")
    by_name: dict[str, list[float]] = {}
    for row in found:
        by_name.setdefault(row.name, []).append(row.metrics[measure])
    metrics: dict[str, float] = {}
    better: list[float] = []
    for steps in (1, 2, 4):
        values = {way: by_name[f"{TITLES[way]}, {steps}"] for way in TITLES}
        for way in TITLES:
            metrics[f"{short}_{way}_{steps}_N{levels}"] = fmean(values[way])
        metrics[f"{short}_ratio_{steps}_N{levels}"] = fmean(values["slam"]) / fmean(values["cd"])
        if steps > 1:
            pairs = zip(values["slam"], values["cd"], strict=True)
            better.append(sum(slam < cd for slam, cd in pairs))
    metrics[f"seeds_better_N{levels}"] = min(better)
    return metrics


CLAIM = Claim(
    slug="slam",
    reference="Xu et al. 2024, Accelerating Image Generation with Sub-path Linear Approximation "
    "Model, arXiv:2404.13903",
    statement="At 2 and 4 sampling steps and long solver steps (N = 6) training on sub-paths has "
    "at most 0.95 times the Frechet distance of consistency distillation at the same budget on "
    "digits (at smoke scale: no larger KL divergence in 2 steps on ring8).",
    run=run,
)
