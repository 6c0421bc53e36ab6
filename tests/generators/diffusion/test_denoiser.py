"""Every reading of one function gives one denoiser, and preconditioning does what it is for."""

import pytest

pytest.importorskip("torch")
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from genwright.core import InvalidArgument
from genwright.generators.diffusion.denoiser import Denoiser, Guided, noise_of, score, velocity
from genwright.generators.diffusion.exact import ring8
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.path import VE, VP, Discrete, Flow, to_canonical, wide
from genwright.generators.diffusion.precondition import (
    X0,
    Boundary,
    Edm,
    Jump,
    NoisePrediction,
    RawFlow,
    VPrediction,
)


class Told(nn.Module):
    """What a perfect network under a path would say of `ring8`, by its own convention."""

    shape, classes = (2,), 0

    def __init__(self, path, says):
        super().__init__()
        self.path, self.says = path, says

    def forward(self, x_t, t, cond=None):
        x, sigma = to_canonical(self.path, x_t, t)
        clean = ring8()(x, sigma)
        n = (x - clean) / wide(sigma, x)
        cos = wide(torch.rsqrt(1 + sigma**2), x)
        sin = wide(sigma, x) * cos
        return {"x0": clean, "n": n, "v": cos * n - sin * clean, "flow": n - clean}[self.says]


READINGS = [
    ("x0", X0(), VE()),
    ("x0", X0(), Flow()),
    ("n", NoisePrediction(), VE()),
    ("n", NoisePrediction(), VP()),
    ("n", NoisePrediction(), Discrete()),
    ("v", VPrediction(), VP()),
    ("v", VPrediction(), Discrete()),
    ("flow", RawFlow(), Flow()),
]


@pytest.mark.parametrize(
    ("says", "precondition", "path"),
    READINGS,
    ids=[f"{s}-{type(p).__name__}" for s, _, p in READINGS],
)
def test_predictions_of_x0_noise_v_and_flow_give_one_denoiser(says, precondition, path):
    """float64; 1e-9 leaves room for the inverse of each time."""
    denoise = Denoiser(Told(path, says), precondition, path)
    for sigma in (0.05, 0.7, 6.0):
        x = (1 + sigma) * Batch(0).normal((32, 2))
        torch.testing.assert_close(denoise(x, sigma), ring8()(x, sigma), rtol=1e-9, atol=1e-9)


@given(sigma=st.floats(0.002, 80.0), data=st.floats(0.1, 3.0))
def test_edm_keeps_input_and_target_at_unit_variance(sigma, data):
    """Var(c_in x) = 1, and the target (x_0 - c_skip x) / c_out has variance 1 by algebra."""
    c = Edm(sigma_data=data).coefficients(torch.tensor([sigma], dtype=torch.float64), VE())
    skip, out, into = c.skip.item(), c.out.item(), c.into.item()
    assert into**2 * (data**2 + sigma**2) == pytest.approx(1)
    assert ((1 - skip) ** 2 * data**2 + skip**2 * sigma**2) / out**2 == pytest.approx(1)


def test_boundary_is_the_identity_at_its_level():
    c = Boundary(sigma_data=0.6, sigma_min=0.02).coefficients(torch.tensor([0.02]), VE())
    assert (c.skip.item(), c.out.item()) == (1.0, 0.0)


def test_a_jump_to_its_own_level_stays_and_its_inner_map_is_the_denoiser():
    jump = Jump(net=lambda x, s, u, cond: torch.sin(x) + (s - u)[:, None])
    x = Batch(1).normal((8, 2))
    torch.testing.assert_close(jump(x, 2.0, 2.0), x)
    torch.testing.assert_close(jump(x, 2.0, 0.0), jump.g(x, 2.0, 0.0))
    edm = Denoiser(Plain(), Edm(sigma_data=0.5))
    torch.testing.assert_close(jump.g(x, 2.0, 2.0), edm(x, 2.0))


class Plain(nn.Module):
    shape, classes = (2,), 3

    def forward(self, x, c_noise, cond=None):
        return torch.sin(x) if cond is None else torch.sin(x) + cond[:, None]


def test_score_noise_and_velocity_say_the_same_thing():
    x, sigma = Batch(2).normal((8, 2)), 0.6
    clean = ring8()(x, sigma)
    torch.testing.assert_close(noise_of(ring8(), x, sigma), -sigma * score(ring8(), x, sigma))
    torch.testing.assert_close(clean + sigma * noise_of(ring8(), x, sigma), x)
    torch.testing.assert_close(velocity(ring8(), x, sigma), noise_of(ring8(), x, sigma) - clean)


def test_guidance_of_1_and_0_is_with_and_without_the_condition():
    inner, x, cond = Denoiser(Plain(), Edm()), Batch(3).normal((4, 2)), torch.tensor([0, 1, 2, 1])
    plain, told = inner(x, 1.0), inner(x, 1.0, cond)
    torch.testing.assert_close(Guided(inner, 1.0)(x, 1.0, cond), told)
    torch.testing.assert_close(Guided(inner, 0.0)(x, 1.0, cond), plain)
    torch.testing.assert_close(Guided(inner, 3.0)(x, 1.0, cond), plain + 3 * (told - plain))
    null = inner(x, 1.0, torch.full((4,), 2))
    torch.testing.assert_close(Guided(inner, 0.0, null=2)(x, 1.0, cond), null)


def test_a_level_below_zero_or_a_class_out_of_range_is_refused():
    inner, x = Denoiser(Plain(), Edm()), torch.zeros(2, 2)
    with pytest.raises(InvalidArgument, match="0 or more, got -1"):
        inner(x, -1.0)
    with pytest.raises(InvalidArgument, match="a class must be 0 to 2, got 3"):
        inner(x, 1.0, torch.tensor([0, 3]))
    with pytest.raises(InvalidArgument, match="one class a draw: 2, got"):
        inner(x, 1.0, torch.tensor([0]))
    with pytest.raises(InvalidArgument, match="sigma_data must be above 0"):
        Edm(sigma_data=0.0)
