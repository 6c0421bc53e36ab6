"""Paths are one equation in other coordinates: there and back, and the same Euler step in each."""

import pytest

pytest.importorskip("torch")
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.generators.diffusion.exact import ring8
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.path import (
    VE,
    VP,
    Discrete,
    Flow,
    each,
    from_canonical,
    to_canonical,
    wide,
)
from genwright.generators.diffusion.samplers import euler

PATHS = [VE(), VP(), Discrete(), Flow()]
NAMES = [type(path).__name__ for path in PATHS]


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
@given(sigma=st.floats(0.02, 80.0))
def test_there_and_back_changes_nothing(path, sigma):
    x = f64([0.3, -2.0], [5.0, 0.1])
    x_t, t = from_canonical(path, x, sigma)
    again, level = to_canonical(path, x_t, t)
    assert level.tolist() == pytest.approx([sigma] * 2, rel=1e-9)
    torch.testing.assert_close(again, x, rtol=1e-9, atol=0)


def test_scales_and_levels_are_those_of_the_conventions():
    """Each path by the formula its own papers write, at one time."""
    assert VE().sigma(f64(0.7)).item() == 0.7
    half, kept = f64(0.5), torch.exp(-f64(19.9 * 0.25 / 2 + 0.1 * 0.5))  # VP: abar(t)
    torch.testing.assert_close(VP().sigma(half), (1 / kept - 1).sqrt())
    torch.testing.assert_close(VP().scale(VP().sigma(half)), kept.sqrt())
    abar = torch.cumprod(1 - torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64), 0)
    at = Discrete().sigma(f64(439.0))
    torch.testing.assert_close(Discrete().scale(at), abar[439:440].sqrt())
    torch.testing.assert_close(Flow().sigma(f64(0.75)), f64(3.0))
    torch.testing.assert_close(Flow().scale(f64(3.0)), f64(0.25))


def test_steps_between_two_whole_ones_are_log_linear_and_the_ends_are_kept():
    path = Discrete(betas=(0.1, 0.2, 0.3))
    low, high = path.sigma(f64(0.0, 1.0)).log()
    assert path.sigma(f64(0.25)).log().item() == pytest.approx((0.75 * low + 0.25 * high).item())
    assert path.time(f64(0.0, 1e9)).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_one_euler_step_is_ddim_in_every_path(path):
    """x_u = s_u (x_0 + sigma_u n) with x_0 and n read off x_t: exact, 1e-13 from rounding."""
    mixture = ring8()
    levels = (1.3, 0.4)
    x = 1.5 * Batch(0).normal((64, 2))
    x_t, _ = from_canonical(path, x, levels[0])
    clean = mixture(x, levels[0])
    s_t, s_u = (wide(path.scale(each(level, x)), x) for level in levels)
    n = (x_t / s_t - clean) / levels[0]
    ddim = s_u * clean + s_u * levels[1] * n
    step, _ = from_canonical(path, euler(mixture, x, levels), levels[1])
    torch.testing.assert_close(step, ddim, rtol=1e-13, atol=1e-14)


def test_what_is_no_time_or_no_row_is_named():
    x = torch.zeros(3, 2)
    with pytest.raises(InvalidArgument, match="0 or more, got -1"):
        each(-1.0, x)
    with pytest.raises(InvalidArgument, match=r"got -0\.5"):
        each(torch.tensor([1.0, -0.5, 0.0]), x)
    with pytest.raises(InvalidArgument, match="3 draws, numbers of shape"):
        each(torch.ones(2), x)
    with pytest.raises(InvalidArgument, match="0 or more"):
        each(float("nan"), x)
    with pytest.raises(InvalidArgument, match="each between 0 and 1"):
        Discrete(betas=(0.1, 1.0))
