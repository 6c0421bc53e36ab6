"""How good a set of generated samples is, by measures that real data pass too.

Choose `measure_images` for pictures: the Frechet distance between features, precision, recall,
density and coverage, the accuracy of the class asked for, and authenticity, each to be read beside
the same measures of real pictures (`floor`). Choose `binned_divergence` and `mode_report` where the
true density is known: they need no features. No measure alone is enough: a generator that repeats
its training pictures has the best distance, and the worst authenticity.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", arXiv:1706.08500, Equation 6 (Frechet distance);
Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models",
arXiv:1904.06991, Equations 1 to 3; Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for
Generative Models", arXiv:2002.09797, Equations 4 and 5 (density, coverage);
Alaa et al. 2022, "How Faithful is your Synthetic Data?", arXiv:2102.08921, Section 3.3.
Ours: features of a classifier trained on the same pictures, which must get 97% of held-out ones
right, or every measure that rests on it is undecided (None); authenticity in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from genwright.core import InvalidArgument
from genwright.nets.feature_net import Features
from genwright.synthesis.images import Images

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Manifold:
    """How two sets of points overlap, by balls around each point up to its k-th neighbour.

    Args:
        precision: share of samples inside the ball of some real point.
        recall: share of real points inside the ball of some sample.
        density: mean number of real balls that a sample is in, over k; may exceed 1.
        coverage: share of real points with a sample in their ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float


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


def frechet_distance(first: Any, second: Any) -> float:
    """Return the squared 2-Wasserstein distance of the Gaussians fitted to two sets of points.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), in float64. It is biased upwards by about
    d^2 / n at n points, so that only distances of sets of one size may be compared.

    Args:
        first: [n, d].
        second: [m, d].

    Raises:
        InvalidArgument: sets of different width, fewer than two points, or points not finite.
    """
    a, b = _points("frechet_distance", first, second, least=2)
    root = _root(np.cov(a, rowvar=False).reshape(a.shape[1], -1))
    other = np.cov(b, rowvar=False).reshape(root.shape)
    values = np.linalg.eigvalsh(root @ other @ root)
    cross = np.sqrt(np.clip(values, 0, None)).sum()  # rounding makes the smallest negative
    shift = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return max(0.0, shift + float((root * root).sum() + np.trace(other) - 2 * cross))


def manifold(real: Any, samples: Any, *, k: int = 3) -> Manifold:
    """Return precision, recall, density and coverage of samples.

    Args:
        real: [n, d]; more than k of them.
        samples: [m, d]; more than k of them.
        k: the neighbour, other than itself, whose distance is a ball's radius.

    Raises:
        InvalidArgument: too few points for k, or points that do not fit or are not finite.
    """
    if k < 1:
        raise InvalidArgument(f"manifold: k must be 1 or more, got {k}.")
    a, b = _points("manifold", real, samples, least=k + 1)
    radius_a, radius_b = _reach(a, k), _reach(b, k)
    far = cdist(a, b)
    inside = far < radius_a[:, None]
    return Manifold(
        precision=float(inside.any(0).mean()),
        recall=float((far < radius_b).any(1).mean()),
        density=float(inside.sum(0).mean()) / k,
        coverage=float((far.min(1) < radius_a).mean()),
    )


def authenticity(samples: Any, train: Any) -> float:
    """Return the share of samples that are no copies of training points.

    A sample is a copy when it is nearer to its nearest training point than that point is to any
    other. Of copies none pass; how many of new real data do (a third on a line, more in many
    dimensions) is a matter of their shape, so that it must be read beside that of held-out data.

    Args:
        samples: [n, ...]; flattened.
        train: [m, ...], two or more.

    Raises:
        InvalidArgument: too few points, points that do not fit, or points that are not finite.
    """
    seen, new = _points("authenticity", _flat(train), _flat(samples), least=1)
    if len(seen) < 2:
        raise InvalidArgument("authenticity: needs two training points or more, got 1.")
    tree = KDTree(seen)
    near, nearest = tree.query(new)
    apart = tree.query(seen, k=2)[0][:, 1]
    return float((near >= apart[nearest]).mean())


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


def binned_divergence(
    samples: Any, masses: Any, edges: Sequence[Any], *, smoothing: float = 1e-3
) -> tuple[float, float]:
    """Return (KL(p | q), KL(q | p)) in nats between known cell masses and the samples' cells.

    Args:
        samples: [n, d].
        masses: p of each cell, d axes; what is missing to 1 lies outside the edges.
        edges: the ascending edges of the cells, an array for each axis.
        smoothing: counts added to every cell of q, and relative to n to every cell of p, so that
            both sums are finite. All that lies outside is one further cell.

    Raises:
        InvalidArgument: masses, edges and samples that do not fit, or samples that are not finite.
    """
    p = np.asarray(masses, dtype=np.float64)
    points = np.asarray(samples, dtype=np.float64)
    if p.shape != tuple(len(e) - 1 for e in edges) or points.shape[1:] != (p.ndim,):
        raise InvalidArgument(
            f"binned_divergence: masses {p.shape} need edges of one more each and samples "
            f"[n, {p.ndim}], got edges of {[len(e) for e in edges]} and samples {points.shape}."
        )
    if not len(points) or not np.isfinite(points).all() or p.min() < 0 or p.sum() > 1 + 1e-9:
        raise InvalidArgument(
            "binned_divergence: needs finite samples, and masses of 0 or more that sum to at "
            f"most 1; got {len(points)} samples and masses that sum to {p.sum():.6g}."
        )
    counts, _ = np.histogramdd(points, bins=list(edges))
    inside = counts.sum()
    cells_p = np.append(p.ravel(), max(0.0, 1 - p.sum()))
    cells_q = np.append(counts.ravel(), len(points) - inside)
    p_hat = cells_p + smoothing / len(points)
    q_hat = cells_q + smoothing
    p_hat, q_hat = p_hat / p_hat.sum(), q_hat / q_hat.sum()
    ratio = np.log(p_hat / q_hat)
    return float((p_hat * ratio).sum()), float(-(q_hat * ratio).sum())


@dataclass(frozen=True, kw_only=True)
class ModeReport:
    """How samples spread over the modes of a known mixture.

    Args:
        weights_kl: KL in nats of the true weights from the share of samples at each mode.
        found: modes with more than a quarter of their weight.
        stray: share of samples farther than 4 standard deviations from every mode.
    """

    weights_kl: float
    found: int
    stray: float


def mode_report(
    samples: Any, weights: Any, means: Any, std: float, *, smoothing: float = 1e-3
) -> ModeReport:
    """Count samples at the nearest mode each.

    Args:
        samples: [n, d].
        weights: [modes].
        means: [modes, d].
        std: of a mode, in every direction.
        smoothing: counts added to every mode.

    Raises:
        InvalidArgument: samples that do not fit the means, or are not finite.
    """
    points, centres = _points("mode_report", samples, means, least=1)
    w = np.asarray(weights, dtype=np.float64)
    distance = cdist(points, centres)
    counts = np.bincount(distance.argmin(1), minlength=len(w)).astype(np.float64)
    share = (counts + smoothing) / (counts + smoothing).sum()
    return ModeReport(
        weights_kl=float((w * np.log(w / share)).sum()),
        found=int((counts / counts.sum() > w / 4).sum()),
        stray=float((distance.min(1) > 4 * std).mean()),
    )


def _root(covariance: Array) -> Array:
    """Return the symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: Any = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def _reach(points: Array, k: int) -> Array:
    """Return each point's distance to its k-th neighbour other than itself."""
    reach: Any = np.partition(cdist(points, points), k, axis=1)[:, k]
    return reach


def _flat(pictures: Any) -> Array:
    array = np.asarray(pictures, dtype=np.float64)
    return array.reshape(len(array), -1)


def _points(owner: str, first: Any, second: Any, *, least: int) -> tuple[Array, Array]:
    """Return two sets of points as float64 after seeing that they can be compared."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < least:
        raise InvalidArgument(
            f"{owner}: needs two sets [n, d] of one d with {least} points or more each, "
            f"got {a.shape} and {b.shape}."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InvalidArgument(f"{owner}: every point must be finite.")
    return a, b
