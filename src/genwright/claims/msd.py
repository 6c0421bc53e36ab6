"""Do several small one-step students make more of one budget than one student?"""

from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np

from genwright.assurance.known_density import binned_divergence
from genwright.claims.arenas import prepared
from genwright.core import Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.generators.diffusion.precondition import Edm
from genwright.generators.diffusion.stored import opened
from genwright.learning.denoising import DenoisingLearner, untrained
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.multi_student import MultiStudent
from genwright.nets.denoisers import ResMLP

DOTS = 12
"""Components that draw a shape."""
CELLS = np.linspace(-1.3, 1.3, 41)
DRAWS = 4000
UNITS = {"smoke": 2e6, "full": 6e6}
MATCHED = 200_000
"""Draws that every student learns the teacher's scores on, all students together."""


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Distil eight shapes into 1 to 8 students of one size with the same units in all."""
    smoke = scale == "smoke"
    seeds = [child_seed(seed, i) % 2**31 for i in range(1 if smoke else 3)]
    units = UNITS[scale]
    found = {k: [kl(k, units, s) for s in seeds] for k in ((1, 4) if smoke else (1, 2, 4, 8))}
    metrics = {f"kl_k{k}": fmean(values) for k, values in found.items()}
    metrics["ratio"] = metrics["kl_k4"] / metrics["kl_k1"]
    bounds: tuple[str, ...] = ("ratio <= 0.85",)
    spent = sum(map(len, found.values())) * units
    if not smoke:
        metrics["kl_k1_quarter_of_the_units"] = fmean(kl(1, units / 4, s) for s in seeds)
        means = [metrics[f"kl_k{k}"] for k in found]
        metrics["falls"] = sum(b < a for a, b in pairwise(means))
        gap = metrics["kl_k1"] - metrics["kl_k4"]
        metrics["gap_in_deviations"] = gap / max(stdev(found[1]), 1e-9)
        without = fmean(kl(4, units, s, matching=0) for s in seeds)
        metrics |= {"kl_k4_unmatched": without, "matching_ratio": metrics["kl_k4"] / without}
        bounds += ("falls >= 2", "gap_in_deviations >= 1", "matching_ratio <= 1")
        spent += 3 * (1.25 * units + units)
    metrics["student_share"] = size_of(small(0).net) / size_of(large().net)
    bounds += ("student_share <= 0.4",)
    notes = (
        "kl_kK: mean over classes of the KL divergence of binned draws from exact cell masses, "
        "with K students; units are those of all students together",
        f"eight shapes of {DOTS} dots each, with an exact teacher; a unit is one pass of the "
        "fake's network, and students are smaller by student_share",
        f"teacher score matching on {MATCHED:,} draws in all is charged; kl_k4_unmatched has none",
    )
    return ClaimResult(
        metrics=metrics, bounds=bounds, notes=notes, cost=Cost(network_evaluations=int(spent))
    )


def shapes() -> GaussianMixture:
    """Return eight classes, each a figure of dots within [-1, 1]^2."""
    t = np.linspace(0, 1, DOTS)
    half, turn = np.pi * t, 2 * np.pi * np.arange(DOTS) / DOTS
    arm = np.linspace(-0.9, 0.9, DOTS // 2)
    none = np.zeros(DOTS // 2)
    figures = [
        (0.9 * np.cos(half), 0.9 * np.sin(half) - 0.4),  # an arc
        (0.9 * np.cos(half + np.pi / 2), 0.9 * np.sin(half + np.pi / 2)),  # a moon
        (np.concatenate([arm, none]), np.concatenate([none, arm])),  # a cross
        (0.9 * t * np.cos(3 * np.pi * t), 0.9 * t * np.sin(3 * np.pi * t)),  # a spiral
        (np.where(t < 0.5, -0.7, 0.7) + 0.1 * np.cos(turn), 0.1 * np.sin(turn)),  # two blobs
        (0.8 * np.cos(turn), 0.8 * np.sin(turn)),  # a ring
        _square(t),
        (1.8 * t - 0.9, 0.9 - 1.8 * t),  # a line
    ]
    means = [(float(x), float(y)) for xs, ys in figures for x, y in zip(xs, ys, strict=True)]
    labels = tuple(c for c in range(8) for _ in range(DOTS))
    return GaussianMixture((1 / len(means),) * len(means), tuple(means), 0.07, labels)


def _square(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    around = (4 * t * (DOTS - 1) / DOTS) % 4
    side, along = around.astype(int), 1.6 * (around % 1) - 0.8
    edge = np.full(DOTS, 0.8)
    x = np.select([side == 0, side == 1, side == 2], [along, edge, -along], -edge)
    return x, np.select([side == 0, side == 1, side == 2], [-edge, along, edge], -along)


def small(seed: int) -> Denoiser:
    """Return an untrained student."""
    net = untrained(lambda: ResMLP(2, 12, 2, 8), seed=seed)
    return Denoiser(net, Edm(sigma_data=0.6))


def large() -> Denoiser:
    """Return the network that imitates the exact teacher, where every fake starts."""
    net = untrained(lambda: ResMLP(2, 32, 2, 8), seed=0)
    begin = DiffusionModel(denoiser=Denoiser(net, Edm(sigma_data=0.6)))
    learner = DenoisingLearner(
        folder=str(prepared("shapes")), steps=1500, learning_rate=3e-3, target=shapes()
    )
    return opened(learner.fit(begin, shapes(), seed=0).denoiser)


def kl(k: int, units: float, seed: int, *, matching: int = MATCHED) -> float:
    """Return the mean over classes of KL(teacher || students)."""
    law, fake = shapes(), large()
    meter = Meter(size_of(fake.net))
    match = Match(
        rule="reverse_kl",
        student=small(seed),
        fake=fake,
        fake_per_step=2,
        units=units,
        steps=10**9,
        learning_rate=2e-3,
        fake_rate=3e-3,
    )
    learner = MultiStudent(match=match, k=k, matching=matching // k)
    made = learner.fit(DiffusionModel(denoiser=law), law, seed=seed, meter=meter)
    values = []
    for c in range(8):
        drawn: Any = made.sample(c, DRAWS, seed=seed).values
        masses = law.cell_masses(CELLS, CELLS, cond=c)
        values.append(binned_divergence(drawn, masses, (CELLS, CELLS))[0])
    return fmean(values)


CLAIM = Claim(
    slug="msd",
    reference="Song et al. 2024, Multi-student Diffusion Distillation for Better One-step "
    "Generators, arXiv:2410.23274",
    statement="At the same number of train units in all, four one-step students have at most 0.85 "
    "times the mean KL divergence of one student of the same size, on eight shapes; divergence "
    "falls with the number of students, and teacher score matching helps students of at most 40% "
    "of the parameters.",
    run=run,
)
