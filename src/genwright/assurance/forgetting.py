"""How well a conditional generator of pictures has forgotten classes, and what it cost the others.

Choose it after `learning.distillation.forgetting`. A generator that is broken has forgotten
everything: unlearning accuracy is always told beside the quality of the other classes.

Chen et al. 2024, "Score Forgetting Distillation", arXiv:2409.11219, Section 5 (unlearning accuracy,
entropy). The classifier should be another one than the one that chose the override.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.assurance.point_sets import frechet_distance
from genwright.core import InvalidArgument, child_seed


@dataclass(frozen=True, kw_only=True)
class ForgettingReport:
    """What `forgetting_report` found.

    Args:
        unlearned: share of draws of forgotten classes that are not seen as their class.
        probability: mean probability of the class that was asked for, among them.
        entropy: mean entropy of the classifier on them, in nats.
        kept_accuracy: share of draws of the other classes that are seen as theirs.
        kept_frechet: Frechet distance of the other classes to real data, in the features given.
        seen_as: share of draws of forgotten classes by the class they are seen as.
    """

    unlearned: float
    probability: float
    entropy: float
    kept_accuracy: float
    kept_frechet: float
    seen_as: tuple[float, ...]


def forgetting_report(
    generator: Any,
    probabilities: Callable[[Any], NDArray[np.float64]],
    features: Callable[[Any], NDArray[np.float64]],
    real: NDArray[Any],
    labels: Sequence[int] | NDArray[np.int64],
    forgotten: Sequence[int],
    *,
    n: int = 200,
    seed: int = 0,
) -> ForgettingReport:
    """Draw every class and judge.

    Args:
        generator: its prompts are the classes.
        probabilities: draws -> [n, classes], of a classifier that had no part in the training.
        features: draws -> [n, D], in which distances are taken.
        real: held-out data.
        labels: its classes.
        forgotten: the classes that should be gone.
        n: draws of each class.
        seed: of the draws.

    Raises:
        InvalidArgument: no class forgotten, or all of them.
    """
    known = sorted(set(int(label) for label in labels))
    gone = [c for c in known if c in set(forgotten)]
    kept = [c for c in known if c not in gone]
    if not gone or not kept:
        raise InvalidArgument(f"forgetting_report: some of {known} must be forgotten, not {gone}.")
    drawn = {c: generator.sample(c, n, seed=child_seed(seed, c)).values for c in known}
    odds = {c: probabilities(values) for c, values in drawn.items()}
    lost = np.concatenate([odds[c] for c in gone])
    own = np.concatenate([odds[c][:, c] for c in gone])
    asked = np.repeat(gone, n)
    entropy = -(lost * np.log(np.clip(lost, 1e-12, 1))).sum(1).mean()
    others = np.concatenate([drawn[c] for c in kept])
    there = np.asarray(real)[np.isin(labels, kept)]
    return ForgettingReport(
        unlearned=float((lost.argmax(1) != asked).mean()),
        probability=float(own.mean()),
        entropy=float(entropy),
        kept_accuracy=float(np.mean([(odds[c].argmax(1) == c).mean() for c in kept])),
        kept_frechet=frechet_distance(features(others), features(there)),
        seen_as=tuple(np.bincount(lost.argmax(1), minlength=lost.shape[1]) / len(lost)),
    )
