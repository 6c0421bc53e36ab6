"""How far apart may two honest runs be, and how often does another output slip through?

`Tolerance.calibrate` sets the limit so that honest reruns are rejected at most at a stated rate,
with a stated confidence whatever the distances' distribution, and then says what is known of the
rate at which other outputs are accepted. Choose the hardest others there are: the same prompt with
another seed, fewer steps, a smaller model.

Kim et al. 2023, arXiv:2307.01898, choose tolerances by these two rates. Ours: both are proved at a
confidence: the limit by the rule for prediction sets (`statistics.k_max`), the second rate by
Clopper and Pearson's bound, since the limit was set without looking at the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from genwright.assurance.fingerprints import Fingerprint
from genwright.core import InvalidArgument
from genwright.core.statistics import Interval, clopper_pearson, k_max

Pair = tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest distance that counts as the same output, and what it was measured to do.

    Args:
        limit: distances up to it, itself included, are accepted.
        rejection: rate of honest pairs that are rejected, among those calibrated on.
        acceptance: rate of other pairs that are accepted.
        fpr: the rate of rejected honest pairs that was asked for.
        fnr: the rate of accepted other pairs that was asked for.
        holds: whether the second rate is proved too; the first one always is.
    """

    limit: float
    rejection: Interval
    acceptance: Interval
    fpr: float
    fnr: float
    holds: bool

    @classmethod
    def calibrate(
        cls,
        fingerprint: Fingerprint,
        honest_pairs: Sequence[Pair],
        other_pairs: Sequence[Pair],
        *,
        fpr: float,
        fnr: float,
        level: float = 0.95,
    ) -> Self:
        """Find the smallest limit that rejects honest reruns at a rate of at most `fpr`.

        Args:
            fingerprint: compares the two values of a pair.
            honest_pairs: the same output, made twice.
            other_pairs: outputs that must be told apart.
            fpr: in (0, 1).
            fnr: in (0, 1).
            level: confidence of each of the two statements.

        Raises:
            InvalidArgument: so few pairs that no limit could prove a rate; the message says how
                many it takes.
        """
        distances = [
            np.sort([fingerprint.distance(fingerprint.of(a), fingerprint.of(b)) for a, b in pairs])
            for pairs in (honest_pairs, other_pairs)
        ]
        return cls.of_distances(*distances, fpr=fpr, fnr=fnr, level=level)

    @classmethod
    def of_distances(
        cls,
        honest: Sequence[float] | np.ndarray,
        other: Sequence[float] | np.ndarray,
        *,
        fpr: float,
        fnr: float,
        level: float = 0.95,
    ) -> Self:
        """Do the same with distances that are already known.

        Raises:
            InvalidArgument: see `calibrate`.
        """
        if not 0 < level < 1:
            raise InvalidArgument(f"Tolerance: level must be in (0, 1), got {level}.")
        near, far = np.sort(np.asarray(honest)), np.sort(np.asarray(other))
        misses = _allowed("honest", len(near), fpr, 1 - level)
        slips = _allowed("other", len(far), fnr, 1 - level)
        limit = float(near[len(near) - 1 - misses])
        rejected, accepted = int((near > limit).sum()), int((far <= limit).sum())
        return cls(
            limit=limit,
            rejection=clopper_pearson(rejected, len(near), level),
            acceptance=clopper_pearson(accepted, len(far), level),
            fpr=fpr,
            fnr=fnr,
            holds=accepted <= slips,
        )


def _allowed(which: str, n: int, rate: float, delta: float) -> int:
    """Return how many of n pairs may go wrong where the rate is proved nonetheless."""
    try:
        return k_max(n, rate, delta)
    except InvalidArgument as error:
        raise InvalidArgument(f"Tolerance: too few {which} pairs: {error}") from error
