"""Divergence over cells and counts of modes, each against a case worked out by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from genwright.assurance.known_density import binned_divergence, mode_report
from genwright.core import InvalidArgument


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
    near = binned_divergence(np.random.default_rng(0).standard_normal((100, 1)), masses, edges)
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


def test_bad_input_is_refused():
    a, edges = np.zeros((5, 3)), np.arange(3.0)
    with pytest.raises(InvalidArgument, match="need edges"):
        binned_divergence(a, np.ones((2, 2)) / 4, [edges, edges])
    with pytest.raises(InvalidArgument, match="sum to at most 1"):
        binned_divergence(a[:, :1], [1.0, 1.0], [edges])
    with pytest.raises(InvalidArgument, match="one d"):
        mode_report(a, [1.0], [[0.0, 0.0]], std=1.0)
