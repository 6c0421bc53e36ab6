"""Does keeping relative similarities (DomainStudio) keep diversity when ten pictures are learnt?"""

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from genwright.assurance.point_sets import frechet_distance
from genwright.claims.arenas import prepared
from genwright.core import Cost, GenwrightError, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.denoising import DenoisingLearner, untrained
from genwright.learning.features import digit_classifier, train_features
from genwright.learning.few_shot_domain import DomainStudio
from genwright.nets.denoisers import PatchMixer, ResMLP
from genwright.nets.feature_net import Features
from genwright.synthesis.images import Images, digits_split
from genwright.synthesis.sprites import PLACES, SHAPES, sprites

TARGETS = 10
CHECKPOINTS = 5
"""An adaptation is measured after so many equal parts of its steps: early stopping."""

STEPS = 100
"""Of the shortest adaptation; the longest takes `CHECKPOINTS` times as many."""

DRAWS = 400

PLAIN: dict[str, Any] = {"pairwise": 0.0, "hf_pairwise": 0.0, "hf_mse": 0.0}


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Adapt one source model by each way, and measure what the adapted models draw."""
    return _digits(seed) if scale == "smoke" else _sprites(seed, ledger)


def _digits(seed: int) -> ClaimResult:
    """From digits to inverted digits in 150 steps: how far apart draws of one cluster stay."""
    train, held_out = digits_split()
    net = untrained(lambda: ResMLP(train.shape, width=96, blocks=2), seed=seed)
    model = DiffusionModel(denoiser=Denoiser(net, Edm(sigma_data=0.75)), steps=9, batch=200)
    source = DenoisingLearner(steps=500, batch=128, learning_rate=3e-3).fit(model, train, seed=seed)
    inverted = replace(held_out, pixels=-held_out.pixels)
    few = inverted[:TARGETS]
    ways = {"plain": PLAIN, "domainstudio": {}}
    metrics: dict[str, float] = {}
    for way, settings in ways.items():
        learner = DomainStudio(steps=150, learning_rate=1e-3, **settings)
        drawn = np.asarray(learner.fit(source, few, seed=seed).sample(None, 400, seed=seed).values)
        seen = digit_classifier()
        metrics[f"fd_{way}"] = frechet_distance(seen(-drawn), seen(-inverted.pixels))
        metrics[f"cluster_{way}"] = cluster_distance(drawn, few.pixels)
        metrics[f"copied_{way}"] = copy_rate(drawn, few.pixels, inverted.pixels)
    metrics["cluster_gain"] = metrics["cluster_domainstudio"] / metrics["cluster_plain"]
    return ClaimResult(
        metrics=metrics,
        bounds=("cluster_gain >= 1.0",),
        notes=(
            "cluster: mean distance of two draws that are nearest to the same of the ten pictures; "
            "copied: share of draws nearer to one of the ten than the median held-out picture is",
        ),
        cost=Cost(draws=800, network_evaluations=800 * 17),
    )


def _sprites(seed: int, ledger: Ledger | None) -> ClaimResult:
    """From filled sprites on dark to outlined ones on light, judged by factors known exactly."""
    source = _prepared_source()
    held_out = sprites(1000, seed=child_seed(seed, "held out"), style="outlined")
    shapes, places = _eyes(seed, held_out)
    ways: Mapping[str, dict[str, Any]] = {
        "plain": PLAIN | {"learning_rate": 1e-3},
        "slow": PLAIN | {"learning_rate": 1e-4},
        "domainstudio": {"learning_rate": 1e-3},
    }
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    book = (
        ledger.start_run("domainstudio: arms", {"claim": "domainstudio"}, seed) if ledger else None
    )
    for i in range(3):
        few = sprites(TARGETS, seed=child_seed(seed, "few", i), style="outlined")
        for way, settings in ways.items():
            best: dict[str, float] = {}
            for part in range(1, CHECKPOINTS + 1):
                steps = STEPS * part
                learner = DomainStudio(steps=steps, **settings)
                model = learner.fit(source, few, seed=child_seed(seed, i))
                measured = _measured(model, few, held_out, shapes, places, child_seed(seed, i))
                if not best or measured["fd"] < best["fd"]:
                    best = measured | {"steps": float(steps)}
            found[way].append(best)
            if book:
                for name, value in best.items():
                    book.add_metric(f"{way}/{name}", value, i)
    if book:
        book.finish()
    metrics = {
        f"{name}_{way}": fmean(each[name] for each in rows)
        for way, rows in found.items()
        for name in rows[0]
    }
    better = min(("plain", "slow"), key=lambda way: metrics[f"fd_{way}"])
    metrics |= {
        "entropy_most": float(np.log(len(SHAPES) * len(PLACES))),
        "entropy_ratio": metrics["entropy_domainstudio"] / metrics[f"entropy_{better}"],
        "fd_ratio": metrics["fd_domainstudio"] / metrics[f"fd_{better}"],
        "accuracy_shapes": shapes.accuracy,
        "accuracy_places": places.accuracy,
    }
    notes = (
        f"each way keeps, of {CHECKPOINTS} lengths up to {STEPS * CHECKPOINTS} steps, the one of "
        "its own least Frechet distance; judged against the better of plain fine-tuning and that "
        "at a tenth of the rate",
        f"entropy: of shape and place in nats, as classifiers see {DRAWS} draws",
    )
    return ClaimResult(
        metrics=metrics,
        bounds=("entropy_ratio >= 1.2", "fd_ratio <= 1.05"),
        notes=notes,
        cost=Cost(draws=DRAWS * 9 * CHECKPOINTS),
    )


def _prepared_source(steps: int = 3000) -> DiffusionModel:
    """Return a model of filled sprites, trained once."""
    data = sprites(20_000, seed=0)
    net = untrained(lambda: PatchMixer(16, patch=4, width=96, blocks=3, channels=3), seed=0)
    begin = DiffusionModel(
        denoiser=Denoiser(net, Edm(sigma_data=data.sigma_data)), steps=9, batch=200
    )
    learner = DenoisingLearner(
        folder=str(prepared(f"sprites-{steps}")), steps=steps, batch=128, learning_rate=2e-3
    )
    return learner.fit(begin, data, seed=0)


def _eyes(seed: int, held_out: Images) -> tuple[Features, Features]:
    """Return classifiers of shape and of place, trained on outlined sprites.

    Raises:
        GenwrightError: one of them got fewer than 97% of held-out sprites right.
    """
    data = sprites(6000, seed=child_seed(seed, "eyes"), style="outlined")
    shapes = train_features(data, held_out, seed=seed, noise=0.05)
    by_place = [
        replace(images, labels=images.factors["place"], classes=tuple(map(str, range(len(PLACES)))))
        for images in (data, held_out)
    ]
    places = train_features(*by_place, seed=seed, noise=0.05, shift=False)
    if not (shapes.trusted and places.trusted):
        raise GenwrightError(
            f"the classifiers of sprites got {shapes.accuracy:.1%} and {places.accuracy:.1%} "
            "right; both must get 97%."
        )
    return shapes, places


def _measured(
    model: DiffusionModel, few: Images, held_out: Images, shapes: Features, places: Features,
    seed: int,
) -> dict[str, float]:  # fmt: skip
    drawn = np.clip(np.asarray(model.sample(None, DRAWS, seed=seed).values), -1, 1)
    kinds = [eye.probabilities(drawn).argmax(1) for eye in (shapes, places)]
    counts = np.bincount(kinds[0] * len(PLACES) + kinds[1]) / len(drawn)
    return {
        "fd": frechet_distance(shapes(drawn), shapes(held_out.pixels)),
        "entropy": float(-(counts[counts > 0] * np.log(counts[counts > 0])).sum()),
        "cluster": cluster_distance(drawn, few.pixels),
        "copied": copy_rate(drawn, few.pixels, held_out.pixels),
    }


def cluster_distance(drawn: NDArray[Any], few: NDArray[Any]) -> float:
    """Return the mean distance of two draws that are nearest to the same of a few pictures."""
    flat, known = (np.asarray(v, dtype=np.float64).reshape(len(v), -1) for v in (drawn, few))
    nearest = cdist(flat, known).argmin(1)
    parts = [pdist(flat[nearest == k]) for k in range(len(known)) if (nearest == k).sum() > 1]
    return float(np.mean([part.mean() for part in parts]))


def copy_rate(drawn: NDArray[Any], few: NDArray[Any], held_out: NDArray[Any]) -> float:
    """Return the share of draws nearer to one of a few pictures than the median held-out one is."""
    flat, known, rest = (
        np.asarray(v, dtype=np.float64).reshape(len(v), -1) for v in (drawn, few, held_out)
    )
    usual = float(np.median(cdist(rest, known).min(1)))
    return float((cdist(flat, known).min(1) < usual).mean())


CLAIM = Claim(
    slug="domainstudio",
    reference="Zhu et al. 2023, DomainStudio: Fine-Tuning Diffusion Models for Domain-Driven "
    "Image Generation using Limited Data, arXiv:2306.14153",
    statement="Adapted from filled to outlined sprites by ten pictures, DomainStudio's draws have "
    "at least 1.2 times the entropy of shape and place of plain fine-tuning's, at a Frechet "
    "distance to the new domain at most 1.05 times as large (at smoke scale: draws of inverted "
    "digits around one picture are no closer together).",
    run=run,
)
