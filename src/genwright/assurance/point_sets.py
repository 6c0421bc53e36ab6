"""How two sets of points differ: Frechet distance, precision and recall, coverage, and copies.

Choose them for features of pictures (`sample_quality` measures those), or for vectors themselves.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", arXiv:1706.08500, Equation 6 (Frechet distance);
Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models",
arXiv:1904.06991, Equations 1 to 3; Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for
Generative Models", arXiv:2002.09797, Equations 4 and 5 (density, coverage);
Alaa et al. 2022, "How Faithful is your Synthetic Data?", arXiv:2102.08921, Section 3.3
(authenticity).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from genwright.core import InvalidArgument

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
    a, b = two_sets("frechet_distance", first, second, least=2)
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
    a, b = two_sets("manifold", real, samples, least=k + 1)
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
    seen, new = two_sets("authenticity", _flat(train), _flat(samples), least=1)
    if len(seen) < 2:
        raise InvalidArgument("authenticity: needs two training points or more, got 1.")
    tree = KDTree(seen)
    near, nearest = tree.query(new)
    apart = tree.query(seen, k=2)[0][:, 1]
    return float((near >= apart[nearest]).mean())


def two_sets(owner: str, first: Any, second: Any, *, least: int) -> tuple[Array, Array]:
    """Return two sets of points as float64 after seeing that they can be compared.

    Args:
        owner: who asks, for a message.
        first: [n, d].
        second: [m, d].
        least: points that each must have.

    Raises:
        InvalidArgument: sets of different width, too few points, or points that are not finite.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < least:
        raise InvalidArgument(
            f"{owner}: needs two sets [n, d] of one d with {least} points or more each, "
            f"got {a.shape} and {b.shape}."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InvalidArgument(f"{owner}: every point must be finite.")
    return a, b


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
