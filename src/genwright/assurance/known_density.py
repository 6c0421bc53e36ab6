"""How far samples are from a density that is known: divergence over cells, and modes found.

Choose it for toy mixtures, where the mass of every cell is exact and no features are needed.

Ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from genwright.assurance.point_sets import two_sets
from genwright.core import InvalidArgument


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
    points, centres = two_sets("mode_report", samples, means, least=1)
    w = np.asarray(weights, dtype=np.float64)
    distance = cdist(points, centres)
    counts = np.bincount(distance.argmin(1), minlength=len(w)).astype(np.float64)
    share = (counts + smoothing) / (counts + smoothing).sum()
    return ModeReport(
        weights_kl=float((w * np.log(w / share)).sum()),
        found=int((counts / counts.sum() > w / 4).sum()),
        stray=float((distance.min(1) > 4 * std).mean()),
    )
