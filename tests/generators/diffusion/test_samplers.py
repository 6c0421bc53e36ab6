"""Samplers have the order they claim, do not depend on the batch, and refuse a bad schedule."""

import math
from itertools import pairwise

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.diffusion.exact import GaussianMixture, ring8
from genwright.generators.diffusion.noise import Gaussian, Rows, StudentT
from genwright.generators.diffusion.samplers import churn, euler, few_step, heun, jumps, karras

ONE = GaussianMixture((1.0,), ((0.0, 0.0),), 0.7)


def noise(sigma, n, seed=0, first=0):
    at = torch.tensor(sigma, dtype=torch.float64)
    return Gaussian().sample((n, 2), at, Rows(seed, first, n))


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2)], ids=["euler", "heun"])
def test_error_falls_with_the_order_of_the_method(sampler, order):
    """The exact map of a Gaussian of std s is x -> x s / sqrt(s^2 + sigma^2)."""
    x = noise(5.0, 16)
    errors = []
    for n in (64, 128, 256):
        levels = torch.linspace(5.0, 1.0, n + 1)
        exact = x * math.sqrt((0.7**2 + 1) / (0.7**2 + 25))
        errors.append((sampler(ONE, x, levels) - exact).norm().item())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([order] * 2, abs=0.2)


def test_karras_is_the_curve_of_the_paper():
    levels = karras(5, 0.01, 10.0, 3.0)
    low, high = 0.01 ** (1 / 3), 10 ** (1 / 3)
    wanted = [(high + i / 4 * (low - high)) ** 3 for i in range(5)]
    assert levels.tolist() == pytest.approx([*wanted, 0.0])
    assert karras(1).tolist() == [pytest.approx(80.0), 0.0]


def test_churn_without_churn_is_heun_bit_for_bit():
    x = noise(80.0, 32)
    found = churn(ring8(), x, karras(9), 0.0, 1.0, Rows(1, 0, 32))
    assert torch.equal(found, heun(ring8(), x, karras(9)))


def test_churn_keeps_the_law_of_the_data():
    """A Gaussian stays one of std 0.7 under churn: 20,000 draws, 6 standard errors."""
    n = 4000
    levels = karras(40, 0.01, 10.0)
    found = churn(ONE, noise(10.0, n), levels, 30.0, 1.0, Rows(1, 0, n))
    assert found.std(0).tolist() == pytest.approx([0.7] * 2, abs=6 * 0.7 / math.sqrt(2 * n) + 0.01)
    still = churn(ONE, noise(10.0, 8), levels, 30.0, 1.0, Rows(1, 0, 8), s_min=20.0)
    assert torch.equal(still, heun(ONE, noise(10.0, 8), levels))


def test_a_batch_of_64_is_two_of_32():
    def draw(first, n):
        rng = Rows(3, first, n)
        x = StudentT(8.0).sample((n, 2), torch.tensor(80.0, dtype=torch.float64), rng)
        return churn(ring8(), x, karras(6), 20.0, 1.003, rng)

    assert torch.equal(draw(0, 64), torch.cat([draw(0, 32), draw(32, 32)]))


def test_few_steps_predict_and_add_noise_of_the_next_level():
    x, rng = noise(10.0, 4), Rows(5, 0, 4)
    again = Rows(5, 0, 4)
    found = few_step(ring8(), x, [10.0, 1.0, 0.2, 0.0], Gaussian(), rng)
    clean = ring8()(x, 10.0)
    for sigma in (1.0, 0.2):
        at = torch.tensor(sigma, dtype=torch.float64)
        clean = ring8()(clean + Gaussian().sample((4, 2), at, again), sigma)
    assert torch.equal(found, clean)


def test_jumps_at_gamma_1_are_few_steps_and_at_gamma_0_the_exact_flow():
    """A Gaussian's exact jump is x sqrt(s^2 + u^2) / sqrt(s^2 + t^2)."""

    def jump(x, s, u):
        return x * ((0.49 + u**2) / (0.49 + s**2)).sqrt()[:, None]

    x, levels = noise(10.0, 6), [10.0, 2.0, 0.5, 0.0]
    exact = x * 0.7 / math.sqrt(0.49 + 100)
    torch.testing.assert_close(jumps(jump, x, levels, 0.0, Rows(1, 0, 6)), exact)
    to_zero = few_step(
        lambda x, s: jump(x, s, torch.zeros_like(s)), x, levels, Gaussian(), Rows(1, 0, 6)
    )
    torch.testing.assert_close(jumps(jump, x, levels, 1.0, Rows(1, 0, 6)), to_zero)


@pytest.mark.parametrize("sampler", [euler, heun], ids=["euler", "heun"])
@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([1.0, 2.0, 0.0], "must fall, but level 1 is 2.0 after 1.0"),
        ([1.0, 1.0], "must fall"),
        ([1.0, -0.1], "0 or more"),
        ([1.0], "two levels"),
        ([float("inf"), 1.0], "finite"),
    ],
    ids=["rises", "stays", "below zero", "one", "infinite"],
)
def test_a_bad_schedule_is_refused(sampler, levels, said):
    with pytest.raises(InvalidArgument, match=said):
        sampler(ONE, torch.zeros(2, 2), levels)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(InvalidArgument, match="0 < lo < hi"):
        karras(4, 2.0, 1.0)
    with pytest.raises(InvalidArgument, match="s_churn"):
        churn(ONE, torch.zeros(2, 2), [1.0, 0.0], -1.0, 1.0, Rows(0, 0, 2))
    with pytest.raises(InvalidArgument, match="gamma must be"):
        jumps(lambda x, s, u: x, torch.zeros(2, 2), [1.0, 0.0], 1.5, Rows(0, 0, 2))
