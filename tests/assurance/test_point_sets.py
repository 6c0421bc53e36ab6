"""Every measure against a closed form, a published implementation, or a case built by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from genwright.assurance.point_sets import authenticity, frechet_distance, manifold
from genwright.core import InvalidArgument


def points(seed, n=60, d=3, scale=1.0, shift=0.0):
    return shift + scale * np.random.default_rng(seed).standard_normal((n, d))


@given(st.integers(0, 100), st.integers(1, 6))
def test_frechet_distance_is_the_textbook_formula(seed, d):
    a, b = points(seed, d=d), points(seed + 1, d=d, scale=1.7, shift=0.4)
    one, two = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = shift + np.trace(one + two - 2 * np.real(sqrtm(one @ two)))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_known_gaussians():
    """For a set and its scaled, shifted copy: |shift|^2 + (scale - 1)^2 tr S."""
    a = points(0)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    expected = 3 * 0.5**2 + (2 - 1) ** 2 * np.trace(np.cov(a.T))
    moved = (a - a.mean(0)) * 2 + a.mean(0) + 0.5
    assert frechet_distance(a, moved) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_holds_with_fewer_points_than_axes():
    assert np.isfinite(frechet_distance(points(0, n=4, d=9), points(1, n=5, d=9)))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_manifold_agrees_with_prdc(k, shift):
    prdc = pytest.importorskip("prdc")
    real, made = points(0, n=80), points(1, n=50, shift=shift)
    expected = prdc.compute_prdc(real, made, nearest_k=k)
    found = manifold(real, made, k=k)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12)


def test_manifold_by_hand():
    """Real 0, 1, 2 with k=1 have radius 1; samples 0.5 and 9 with k=1 have radius 8.5."""
    found = manifold([[0.0], [1.0], [2.0]], [[0.5], [9.0]], k=1)
    assert (found.precision, found.recall) == (0.5, 1.0)
    assert found.density == pytest.approx(2 / 2)  # 0.5 lies in two balls, 9 in none
    assert found.coverage == pytest.approx(2 / 3)


def test_copies_are_not_authentic_and_distant_points_are():
    train = points(0)
    assert authenticity(train + 1e-9, train) == 0.0
    assert authenticity(train + 100, train) == 1.0


def test_a_third_of_new_points_on_a_line_are_authentic():
    """On a line of density 1 the nearest point is at r ~ Exp(2), and its other neighbour at
    s ~ Exp(1): P(s < r) = 1/3. Each sample counts for at most three neighbours', so that the bound
    is more than seven standard deviations of the share, missed once in 10^11."""
    rng = np.random.default_rng(0)
    train, new = rng.uniform(size=(2, 6000, 1))
    assert authenticity(new, train) == pytest.approx(1 / 3, abs=0.08)


def test_bad_input_is_refused():
    a = points(0)
    with pytest.raises(InvalidArgument, match="one d"):
        frechet_distance(a, a[:, :2])
    with pytest.raises(InvalidArgument, match="must be finite"):
        frechet_distance(a, a * np.nan)
    with pytest.raises(InvalidArgument, match="4 points or more"):
        manifold(a[:3], a)
    with pytest.raises(InvalidArgument, match="k must be"):
        manifold(a, a, k=0)
    with pytest.raises(InvalidArgument, match="two training points"):
        authenticity(a, a[:1])
