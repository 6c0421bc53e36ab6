"""How good a set of generated pictures is, by measures that real pictures pass too.

Choose `measure_images` for the Frechet distance between features, precision, recall, density and
coverage (`point_sets`), the accuracy of the class asked for, and authenticity, each to be read
beside the same measures of real pictures (`floor`). No measure alone is enough: a generator that
repeats its training pictures has the best distance, and the worst authenticity.

Ours: features of a classifier trained on the same pictures, which must get 97% of held-out ones
right, or every measure that rests on it is undecided (None); authenticity in pixels.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from genwright.assurance.point_sets import authenticity, frechet_distance, manifold
from genwright.core import InvalidArgument
from genwright.nets.feature_net import Features
from genwright.synthesis.images import Images


@dataclass(frozen=True, kw_only=True)
class ImageQuality:
    """What `measure_images` found; None where the classifier was not good enough to tell.

    Args:
        frechet: distance between the features of samples and of held-out pictures; 0 is best.
        precision: see `Manifold`.
        recall: see `Manifold`.
        density: see `Manifold`.
        coverage: see `Manifold`.
        accuracy: share of samples that are seen as the class asked for; None also where no class
            was asked for.
        authenticity: share of samples that are no copy of a training picture.
    """

    frechet: float | None
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    accuracy: float | None
    authenticity: float

    def as_dict(self) -> dict[str, float]:
        """Return the measures that were decided."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in pairs if value is not None}


def class_accuracy(features: Features, samples: Any, asked: Any) -> float | None:
    """Return the share of samples seen as the class asked for; None from an untrusted classifier.

    Raises:
        InvalidArgument: not one class a sample, or no sample.
    """
    wanted = np.asarray(asked)
    if len(wanted) != len(samples) or not len(wanted):
        raise InvalidArgument(
            f"class_accuracy: needs one class a sample, got {len(wanted)} for {len(samples)}."
        )
    if not features.trusted:
        return None
    return float((features.probabilities(samples).argmax(1) == wanted).mean())


def measure_images(
    samples: Any,
    train: Images,
    held_out: Images,
    features: Features,
    *,
    asked: Any = None,
    k: int = 3,
) -> ImageQuality:
    """Measure generated pictures against held-out ones.

    Args:
        samples: [n, channels, height, width]; a generator's, clipped to [-1, 1] here.
        train: what the generator learnt from.
        held_out: what it never saw, the reference of every measure but accuracy and authenticity.
        features: the classifier.
        asked: the class asked for in each sample, where one was.
        k: of `manifold`, which takes as many samples as there are held-out pictures, the first.

    Raises:
        InvalidArgument: samples that are not finite, or of another shape.
    """
    pixels = np.clip(np.asarray(samples, dtype=np.float64), -1, 1)
    authentic = authenticity(pixels, train.pixels)
    if not features.trusted:
        return ImageQuality(
            frechet=None,
            precision=None,
            recall=None,
            density=None,
            coverage=None,
            accuracy=None,
            authenticity=authentic,
        )
    real, made = features(held_out.pixels), features(pixels)
    overlap = manifold(real, made[: len(real)], k=k)
    return ImageQuality(
        frechet=frechet_distance(made, real),
        precision=overlap.precision,
        recall=overlap.recall,
        density=overlap.density,
        coverage=overlap.coverage,
        accuracy=None if asked is None else class_accuracy(features, pixels, asked),
        authenticity=authentic,
    )


def floor(train: Images, held_out: Images, features: Features, *, k: int = 3) -> ImageQuality:
    """Measure the training pictures as if they were samples: what a perfect generator would get.

    Authenticity is that of the held-out pictures, since the training pictures are their own copies.
    """
    found = measure_images(train.pixels, train, held_out, features, asked=train.labels, k=k)
    return replace(found, authenticity=authenticity(held_out.pixels, train.pixels))
