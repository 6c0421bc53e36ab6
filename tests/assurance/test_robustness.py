"""Errors put into samplers and weights are of the size that was asked for."""

import pytest
import torch
from scipy.stats import chi2

from genwright.assurance.robustness import norm_quantile, quantised, step_noise
from genwright.core import InvalidArgument
from genwright.generators.diffusion.exact import ring8
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.samplers import euler, heun, karras


@pytest.mark.parametrize("sampler", [euler, heun], ids=["euler", "heun"])
def test_no_disturbance_changes_nothing(sampler):
    x = 80 * torch.randn(5, 2, dtype=torch.float64)
    plain = sampler(ring8(), x, karras(6))
    assert torch.equal(step_noise(sampler, 0.0)(ring8(), x, karras(6), Batch(0)), plain)


def test_each_step_is_disturbed_by_its_own_level():
    """A sampler that stands still gathers alpha^2 times the sum of squared levels: 20,000 rows give
    the variance within 6% (six standard errors), missed once in 10^9."""
    levels = [3.0, 2.0, 1.0, 0.0]
    found = step_noise(lambda _d, x, _s: x, 0.5)(None, torch.zeros(20_000, 1), levels, Batch(0))
    assert float(found.var()) == pytest.approx(0.25 * (9 + 4 + 1), rel=0.06)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_weights_take_few_values_between_their_ends(bits):
    module = torch.nn.Linear(40, 30)
    rough = quantised(module, bits)
    for old, new in zip(module.parameters(), rough.parameters(), strict=True):
        assert len(new.unique()) <= 2**bits
        step = (old.max() - old.min()) / (2**bits - 1)
        assert (new - old).abs().max() <= step / 2 * (1 + 1e-4)
        assert torch.isclose(new.min(), old.min())
    assert not torch.equal(module.weight, rough.weight)


def test_a_constant_weight_stays():
    module = torch.nn.LayerNorm(4)
    assert torch.equal(quantised(module, 2).weight, module.weight)


def test_the_quantile_is_that_of_the_squared_length():
    assert norm_quantile(0.0, 64) == pytest.approx(chi2.cdf(64, 64))
    assert norm_quantile(0.6, 64) == pytest.approx(chi2.cdf(64 * 1.36, 64))


def test_bad_input_is_refused():
    with pytest.raises(InvalidArgument, match="alpha must be"):
        step_noise(euler, -0.1)
    with pytest.raises(InvalidArgument, match="bits must be"):
        quantised(torch.nn.Linear(1, 1), 0)
