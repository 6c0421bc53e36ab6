"""Closed forms agree with Monte Carlo, with quadrature and with each other."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.diffusion.exact import FiniteData, GaussianMixture, grid25, ring8
from genwright.generators.diffusion.noise import Batch, Gaussian, StudentT

HALVES = (0, 1, 0, 1, 0, 1, 0, 1)


@pytest.mark.parametrize("cond", [None, 1], ids=["all", "class 1"])
def test_denoise_is_the_posterior_mean_by_monte_carlo(cond):
    """Self-normalised weights of a million draws of x_0; 7 of the weighted standard errors."""
    mixture, sigma, n = ring8(HALVES), 0.3, 1_000_000
    known = None if cond is None else torch.full((n,), cond)
    drawn = mixture.sample(n, Batch(0), known)
    for point in ([0.5, 0.4], [-0.9, 0.2]):
        x = torch.tensor([point], dtype=torch.float64)
        weights = torch.softmax(-(x - drawn).square().sum(1) / (2 * sigma**2), 0)
        mean = weights @ drawn
        error = (weights**2 @ (drawn - mean) ** 2).sqrt()
        found = mixture(x, sigma, None if cond is None else torch.tensor([cond]))[0]
        assert ((found - mean).abs() < 7 * error).all()


def test_score_is_the_gradient_of_log_prob():
    x = Batch(1).normal((9, 2)).requires_grad_()
    for sigma in (0.05, 1.0, 20.0):
        (wanted,) = torch.autograd.grad(ring8().log_prob(x, sigma).sum(), x)
        torch.testing.assert_close(ring8().score(x, sigma), wanted)


def test_log_prob_integrates_to_one_and_cells_hold_its_mass():
    edges = np.linspace(-1.6, 1.6, 641)
    middle = (edges[1:] + edges[:-1]) / 2
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), -1).reshape(-1, 2)
    density = ring8(HALVES).log_prob(torch.from_numpy(grid), 0.0).exp().numpy() * 0.005**2
    assert density.sum() == pytest.approx(1, abs=1e-6)
    coarse = density.reshape(8, 80, 8, 80).sum((1, 3))
    masses = ring8(HALVES).cell_masses(edges[::80], edges[::80])
    assert masses == pytest.approx(coarse, abs=3e-5)  # the middle rule within cells
    one = ring8(HALVES).cell_masses(edges, edges, cond=1)
    both = [ring8(HALVES).cell_masses(edges, edges, cond=c).sum() for c in (0, 1)]
    assert both == pytest.approx([1, 1], abs=1e-6)
    assert one[:320].sum() == pytest.approx((0.12 + 0.07) / 0.41, abs=1e-3)  # means left of 0


def test_draws_fall_where_the_mass_is():
    """20,000 draws in four quadrants and by class; 6 standard errors, chance 4e-8."""
    n = 20_000
    drawn = ring8(HALVES).sample(n, Batch(2), torch.arange(n) % 2)
    masses = sum(ring8(HALVES).cell_masses([-9, 0, 9], [-9, 0, 9], cond=c) for c in (0, 1)) / 2
    counts = np.histogram2d(*drawn.numpy().T, bins=[[-9, 0, 9]] * 2)[0] / n
    assert (np.abs(counts - masses) < 6 * np.sqrt(masses * (1 - masses) / n)).all()


def test_a_narrow_mixture_is_finite_data():
    points = Batch(3).normal((12, 2))
    means = tuple(tuple(row) for row in points.tolist())
    mixture = GaussianMixture((1 / 12,) * 12, means, 1e-9)
    x = Batch(4).normal((20, 2))
    for sigma in (0.2, 3.0):
        torch.testing.assert_close(FiniteData(points)(x, sigma), mixture(x, sigma))


@pytest.mark.parametrize("noise", [Gaussian(), StudentT(3.0)], ids=["gaussian", "student"])
def test_finite_data_keeps_shapes_classes_and_its_kernel(noise):
    points = Batch(5).normal((6, 1, 2, 2))
    data = FiniteData(points, noise, (0, 0, 0, 1, 1, 1))
    x, sigma = Batch(6).normal((3, 1, 2, 2)), 0.8
    squared = (x[:, None] - points).flatten(2).square().sum(2)
    weights = torch.softmax(noise.log_density(squared, torch.tensor(sigma).double(), 4), 1)
    torch.testing.assert_close(data(x, sigma).flatten(1), weights @ points.flatten(1))
    alone = FiniteData(points[3:], noise)(x, sigma)
    torch.testing.assert_close(data(x, sigma, torch.ones(3).long()), alone)
    drawn = data.sample(50, Batch(7), torch.zeros(50).long())
    assert {tuple(d.flatten().tolist()) for d in drawn} == {
        tuple(p.flatten().tolist()) for p in points[:3]
    }


def test_finite_data_keeps_its_digits_in_single_precision():
    """Two points, exponents of 125,000 that differ by 1: the nearer has weight 1 / (1 + 1 / e)."""
    data = FiniteData(torch.tensor([[1.0], [-1.0]]))
    place = torch.tensor([[2e-6]])
    found = data(place, 0.002)
    assert found.dtype == torch.float32
    share = 1 / (1 + np.exp(-2 * place.double().item() / float(torch.tensor(0.002)) ** 2))
    assert found.item() == pytest.approx(2 * share - 1, abs=1e-4)


def test_what_makes_no_mixture_is_refused():
    with pytest.raises(InvalidArgument, match="2 weights, 1 means"):
        GaussianMixture((0.5, 0.5), ((0.0,),), 1.0)
    with pytest.raises(InvalidArgument, match="above 0"):
        GaussianMixture((1.0,), ((0.0,),), 0.0)
    with pytest.raises(InvalidArgument, match="every class from 0 on"):
        ring8((0, 2, 0, 2, 0, 2, 0, 2))
    with pytest.raises(InvalidArgument, match="a class must be 0 to 1, got 2"):
        ring8(HALVES)(torch.zeros(1, 2), 1.0, torch.tensor([2]))
    with pytest.raises(InvalidArgument, match="takes no condition"):
        grid25()(torch.zeros(1, 2), 1.0, torch.tensor([0]))
    with pytest.raises(InvalidArgument, match="2 dimensions need"):
        ring8().cell_masses([0.0, 1.0])
    with pytest.raises(InvalidArgument, match="3 labels"):
        FiniteData(torch.zeros(2, 2), labels=(0, 1, 2))
