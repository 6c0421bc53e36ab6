"""The kernel of PFGM++ at both ends of D: a field of charges, and Gaussian noise."""

from math import inf

import numpy as np
import torch

from genwright.generators.diffusion.exact import FiniteData
from genwright.generators.diffusion.noise import Batch, Gaussian, StudentT
from genwright.generators.diffusion.samplers import heun, karras


def test_with_infinitely_many_dimensions_it_is_gaussian_bit_for_bit():
    one, two = (k.sample((50, 3, 2), 0.7, Batch(0)) for k in (StudentT(inf), Gaussian()))
    assert torch.equal(one, two)
    squared, sigma = torch.rand(5), torch.rand(5) + 0.1
    assert torch.equal(
        StudentT(inf).log_density(squared, sigma, 4), Gaussian().log_density(squared, sigma, 4)
    )


def test_with_one_dimension_it_is_the_field_of_charges():
    """D = 1, r = sigma: points y of the plane z = 0 act at (x, r) with (offset) / |offset|^(N + 1).

    The ODE's dx/dr = (x - D)/r must have the direction of that field, by hand for three points.
    """
    points = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-2.0, 1.0]], dtype=torch.float64)
    x, r = np.array([0.3, -0.7]), 0.8
    field = np.zeros(3)
    for y in points.numpy():
        offset = np.array([*(x - y), r])
        field += offset / np.linalg.norm(offset) ** 3
    denoise = FiniteData(points, noise=StudentT(1.0))
    clean = denoise(torch.tensor(x[None]), r).numpy()[0]
    assert np.allclose((x - clean) / r, field[:2] / field[2], rtol=1e-10)


def test_one_length_is_shared_by_a_draw():
    """One chi-square a draw, not one a number: |n|^2 / 64 of D = 4 varies as its inverse does.

    Its median is D / median(chi-square of D), near 4 / 3.36 = 1.19, and a fifth of the draws are
    above 2.4; numbers with lengths of their own would leave |n|^2 / 64 near 2 in all draws.
    """
    n = StudentT(4.0).sample((20_000, 64), 1.0, Batch(0)).double()
    size = n.square().mean(1)
    assert 1.1 < float(size.median()) < 1.3
    assert 0.15 < float((size > 2.4).double().mean()) < 0.25


def test_its_ode_ends_in_the_data():
    points = torch.randn(5, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    kernel = StudentT(8.0)
    start = kernel.sample((40, 8), torch.tensor(80.0, dtype=torch.float64), Batch(0))
    found = heun(FiniteData(points, noise=kernel), start, karras(18))
    assert torch.cdist(found, points).min(1).values.max() < 1e-6
