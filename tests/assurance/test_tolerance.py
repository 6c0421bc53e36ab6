"""The limit keeps its promise for any distribution, and says when the other one cannot be kept."""

import numpy as np
import pytest

from genwright.assurance.fingerprints import TokenFingerprint
from genwright.assurance.tolerance import Tolerance
from genwright.core import InvalidArgument


def test_the_limit_is_the_smallest_that_rejects_few_enough():
    """100 distances, a rate of 0.05 at 95%: 1 miss proves it (0.05 of 100 at k = 1: 0.037)."""
    found = Tolerance.of_distances(range(100), [200.0] * 100, fpr=0.05, fnr=0.05)
    assert found.limit == 98
    assert found.rejection.estimate == 0.01
    assert found.acceptance.estimate == 0
    assert found.holds


def test_honest_reruns_are_rejected_at_the_stated_rate():
    """The true rate exceeds fpr in at most 5% of 2,000 calibrations.

    At the rate 0.05 the count has a standard error of 10; 100 + 6 of them is passed with chance
    below 1e-6, whatever the seed.
    """
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(2000):
        found = Tolerance.of_distances(rng.exponential(size=80), [99.0] * 80, fpr=0.1, fnr=0.1)
        failed += np.exp(-found.limit) > 0.1  # the true rate of larger distances
    assert 0 < failed < 160


def test_it_says_when_no_limit_serves_both_rates():
    near, far = np.arange(200.0), np.arange(100.0, 300.0)
    found = Tolerance.of_distances(near, far, fpr=0.05, fnr=0.05)
    assert not found.holds
    assert found.acceptance.estimate > 0.4


def test_pairs_are_compared_by_the_fingerprint():
    honest = [("same", "same")] * 60
    other = [("same", "other")] * 60
    found = Tolerance.calibrate(TokenFingerprint(), honest, other, fpr=0.05, fnr=0.05)
    assert (found.limit, found.holds) == (0.0, True)
    alike = Tolerance.calibrate(TokenFingerprint(), honest, honest, fpr=0.05, fnr=0.05)
    assert (alike.acceptance.estimate, alike.holds) == (1.0, False)


def test_too_few_pairs_are_refused_with_the_number_it_takes():
    """(1 - 0.01)^299 < 0.05 < (1 - 0.01)^298."""
    many = [0.0] * 299
    with pytest.raises(InvalidArgument, match=r"too few honest pairs: .* give at least 299"):
        Tolerance.of_distances(many[:298], many, fpr=0.01, fnr=0.01)
    with pytest.raises(InvalidArgument, match=r"too few other pairs: .* give at least 299"):
        Tolerance.of_distances(many, many[:298], fpr=0.01, fnr=0.01)
    assert Tolerance.of_distances(many, [1.0] * 299, fpr=0.01, fnr=0.01).holds
    with pytest.raises(InvalidArgument, match="level must be in"):
        Tolerance.of_distances(many, many, fpr=0.01, fnr=0.01, level=1.0)
