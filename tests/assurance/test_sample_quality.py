"""Every measure against a closed form, a published implementation, or a case built by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import norm

from genwright.assurance.sample_quality import (
    authenticity,
    binned_divergence,
    class_accuracy,
    floor,
    frechet_distance,
    manifold,
    measure_images,
    mode_report,
)
from genwright.core import InvalidArgument
from genwright.learning.features import digit_classifier
from genwright.nets.feature_net import Features
from genwright.synthesis.images import digits_split

pytest.importorskip("sklearn")


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


def test_binned_divergence_by_hand():
    edges = [np.array([0.0, 1.0, 2.0])]
    samples = [[0.5]] * 3 + [[1.5]]
    forward, backward = binned_divergence(samples, [0.5, 0.5], edges, smoothing=1e-12)
    assert forward == pytest.approx(0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert backward == pytest.approx(0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5))


def test_binned_divergence_counts_what_lies_outside():
    edges = [np.linspace(-1, 1, 5)]
    masses = np.diff(norm.cdf(edges[0]))
    far = binned_divergence(np.full((100, 1), 7.0), masses, edges)
    near = binned_divergence(points(0, n=100, d=1), masses, edges)
    assert far[1] > 0.9 * np.log(1 / (1 - masses.sum()))
    assert near[1] < 0.2


def test_mode_report_by_hand():
    means = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]
    samples = [[0, 0]] * 5 + [[10, 0]] * 4 + [[10, 3]] * 1
    found = mode_report(samples, [0.5, 0.3, 0.2], means, std=0.5)
    share = np.array([5, 5, 1e-3]) / 10.001
    wanted = (np.array([0.5, 0.3, 0.2]) * np.log(np.array([0.5, 0.3, 0.2]) / (share))).sum()
    assert found.weights_kl == pytest.approx(wanted, rel=1e-3)
    assert found.found == 2
    assert found.stray == pytest.approx(0.1)


def test_real_digits_are_the_floor_and_damage_shows():
    train, held_out = digits_split()
    features = digit_classifier()
    assert features.trusted
    best = floor(train, held_out, features)
    rng = np.random.default_rng(0)
    noisy = train.pixels + 0.5 * rng.standard_normal(train.pixels.shape)
    bad = measure_images(noisy, train, held_out, features, asked=train.labels)
    assert best.frechet < 20 < bad.frechet
    assert best.accuracy > 0.99 > bad.accuracy
    assert best.coverage > bad.coverage
    copies = measure_images(train.pixels, train, held_out, features)
    assert copies.authenticity == 0.0
    assert copies.accuracy is None
    assert 0.4 < best.authenticity < 0.7


def test_a_classifier_that_proved_nothing_leaves_measures_undecided():
    train, held_out = digits_split()
    doubtful = Features(digit_classifier().net, 0.9699, 450)
    found = measure_images(held_out.pixels, train, held_out, doubtful, asked=held_out.labels)
    assert set(found.as_dict()) == {"authenticity"}
    assert class_accuracy(doubtful, held_out.pixels, held_out.labels) is None


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
    with pytest.raises(InvalidArgument, match="one class a sample"):
        class_accuracy(digit_classifier(), np.zeros((2, 1, 8, 8)), [1])
    with pytest.raises(InvalidArgument, match="need edges"):
        binned_divergence(a, np.ones((2, 2)) / 4, [np.arange(3.0), np.arange(3.0)])
    with pytest.raises(InvalidArgument, match="sum to at most 1"):
        binned_divergence(a[:, :1], [1.0, 1.0], [np.arange(3.0)])
    with pytest.raises(InvalidArgument, match="of shape"):
        digit_classifier()(np.zeros((2, 1, 4, 4)))
