"""Pairs, reflow and its annealing, guided distillation: each against a case with a known answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, MissingFile
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Batch, StudentT
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.denoising import untrained
from genwright.learning.distillation.pairs import Pairs, ode_pairs
from genwright.learning.distillation.rectify import (
    Reflow,
    annealed,
    beta_at,
    flipped,
    flow_denoiser,
    straightness,
)
from genwright.learning.distillation.slimflow import (
    FAR,
    PairDistiller,
    SlimFlow,
    distance_of,
    eye_of,
    guided_target,
)
from genwright.nets.denoisers import ResMLP
from genwright.nets.feature_net import FeatureNet, Features

ONE = GaussianMixture((1.0,), ((0.0, 0.0),), 0.6)
TWO = GaussianMixture((1.0, 1.0), ((1.0, 0.0), (-1.0, 0.0)), 0.1, (0, 1))


def small(classes=0, width=16, seed=0):
    return untrained(lambda: ResMLP(2, width, 1, classes), seed=seed)


class Displacement(torch.nn.Module):
    """A network that says the same n - x_0 everywhere: a perfectly straight flow."""

    shape, classes = (2,), 0

    def __init__(self, by=(0.5, -2.0)):
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(by))

    def forward(self, x, t, cond=None):
        return self.by.expand(len(x), -1)


def test_pairs_of_one_gaussian_are_known():
    """Its ODE map is x s / sqrt(s^2 + sigma^2): from 80 z to nearly 0.6 z."""
    pairs = ode_pairs(DiffusionModel(denoiser=ONE, steps=80), 50, seed=3)
    assert torch.allclose(pairs.data, 0.6 * pairs.noise, atol=5e-3)
    assert pairs.classes is None


def test_pairs_have_every_class_equally_often_and_end_at_its_mode():
    meter = Meter(100)
    pairs = ode_pairs(DiffusionModel(denoiser=TWO), 9, seed=3, meter=meter)
    assert len(pairs) == 9
    assert pairs.classes.tolist() == [0] * 5 + [1] * 4
    assert (pairs.data[:5, 0] > 0.4).all()
    assert (pairs.data[5:, 0] < -0.4).all()
    assert meter.evaluations == 2 * 64 * 35  # whole batches of 64, once a class


def test_the_noise_of_a_pair_is_that_of_the_draw():
    """Read at one step the map from noise to draw is D(80 z, 80)."""
    one = DiffusionModel(denoiser=ONE, sampler="euler", steps=1)
    pairs = ode_pairs(one, 7, seed=1)
    assert torch.allclose(pairs.data, ONE(80 * pairs.noise, 80.0), atol=1e-5)


def test_pairs_are_kept_in_a_file(tmp_path):
    pairs = ode_pairs(DiffusionModel(denoiser=TWO, steps=2), 4, seed=3)
    pairs.save(tmp_path / "pairs.npz")
    again = Pairs.load(tmp_path / "pairs.npz")
    assert again.identity == pairs.identity
    with pytest.raises(MissingFile):
        Pairs.load(tmp_path / "none.npz")


def test_rows_are_pairs_too():
    rows = [{"noise": [1.0, 2.0], "completion": [3.0, 4.0], "prompt": 1}]
    found = Pairs.of(rows)
    assert (found.noise.tolist(), found.data.tolist()) == ([[1, 2]], [[3, 4]])
    assert found.classes.tolist() == [1]
    with pytest.raises(InvalidArgument, match="pairs are needed"):
        Pairs.of([{"prompt": 1, "completion": [1.0]}])


@given(st.floats(0, 1), st.integers(0, 50))
def test_annealed_noise_stays_of_unit_variance(beta, seed):
    """20,000 numbers: the variance is off by 0.06 (six standard errors) once in 10^9; its
    correlation with the pair's noise is sqrt(1 - beta^2)."""
    noise = torch.randn(20_000, 1, generator=torch.manual_seed(seed))
    z = annealed(noise, beta, Batch(seed))
    assert float(z.var()) == pytest.approx(1, abs=0.06)
    assert float((z * noise).mean()) == pytest.approx((1 - beta**2) ** 0.5, abs=0.06)


def test_annealing_ends_where_it_should():
    noise = torch.randn(100, 2)
    assert annealed(noise, 0.0, Batch(0)) is noise
    assert beta_at(0, 100, 0.6) == 1.0
    assert beta_at(30, 100, 0.6) == pytest.approx(0.5)
    assert beta_at(60, 100, 0.6) == beta_at(99, 100, 0.6) == 0.0
    assert beta_at(0, 100, 0.0) == 0.0


def test_flips_are_joint():
    noise = torch.arange(40.0).reshape(10, 1, 2, 2)
    mirrored, data = flipped(noise, noise + 100, Batch(0))
    assert torch.equal(data, mirrored + 100)
    changed = [not torch.equal(a, b) for a, b in zip(mirrored, noise, strict=True)]
    assert 0 < sum(changed) < 10
    for was, now, change in zip(noise, mirrored, changed, strict=True):
        assert torch.equal(now, was.flip(-1) if change else was)


def test_reflow_of_straight_pairs_is_straight():
    """Pairs of Gaussian to Gaussian, data = 0.6 z, lie on straight lines that do not cross: the
    flow has no loss left, and one Euler step is exact."""
    noise = torch.randn(4000, 2, generator=torch.manual_seed(0))
    pairs = Pairs(noise, 0.6 * noise)
    start = DiffusionModel(denoiser=flow_denoiser(small(width=32)), batch=100)
    learner = Reflow(steps=400, batch=256, anneal=0.3, learning_rate=5e-3, ema=0.99)
    flow = learner.fit(start, pairs, seed=0)
    crooked = straightness(start, pairs, seed=0)
    assert straightness(flow, pairs, seed=0) < 0.02 < 0.1 < crooked
    one = replace(flow, sampler="euler", sigmas=(FAR, 0.0))
    again = ode_pairs(one, 100, seed=5)
    assert float((again.data - 0.6 * again.noise).square().mean()) < 0.02


def test_straightness_of_a_constant_displacement_is_nothing():
    net = Displacement()
    flow = DiffusionModel(denoiser=flow_denoiser(net))
    noise = torch.randn(50, 2)
    assert straightness(flow, Pairs(noise, noise - net.by.detach()), seed=0) < 1e-12
    assert straightness(flow, Pairs(noise, noise), seed=0) == pytest.approx(4.25 / 2)


def test_a_straight_guide_asks_for_its_own_displacement_from_every_place():
    """z + (1 - t) times its displacement from x_t on the student's line: for a student that says
    what the guide says, the target is what was said, at every t."""
    net = Displacement()
    guide, z = flow_denoiser(net), torch.randn(6, 2)
    said = z - net.by.detach()
    for t in (0.2, 0.5, 0.8, 1.0):
        wanted = guided_target(guide, z, said, torch.full((6,), t), None)
        assert torch.allclose(wanted, said, atol=1e-5)


def test_at_the_end_of_the_line_the_target_is_what_was_said():
    z, said = torch.randn(6, 2), torch.randn(6, 2)
    guide = flow_denoiser(Displacement())
    assert torch.equal(guided_target(guide, z, said, torch.ones(6), None), said)


def test_the_target_is_the_guides_step_from_the_line():
    """By hand: x_t = z / 2 + said / 2 at t = 1/2, and half of the displacement from there."""
    net = Displacement()
    z, said = torch.randn(6, 2), torch.randn(6, 2)
    wanted = guided_target(flow_denoiser(net), z, said, torch.full((6,), 0.5), None)
    assert torch.allclose(wanted, 0.5 * z + 0.5 * said - 0.5 * net.by, atol=1e-5)
    assert not wanted.requires_grad


def test_regression_on_pairs_learns_the_map():
    noise = torch.randn(2000, 2, generator=torch.manual_seed(0))
    start = DiffusionModel(denoiser=Denoiser(small(width=32), Edm(sigma_data=0.6)), batch=50)
    learner = PairDistiller(steps=300, learning_rate=5e-3, sigma_init=80.0, ema=0.99)
    student = learner.fit(start, Pairs(noise, 0.6 * noise), seed=0)
    assert student.sigma_init == 80.0
    assert student.sample(None, 500, seed=1).values.std() == pytest.approx(0.6, abs=0.1)


def test_slimflow_learns_two_modes_in_one_step():
    """A class's mode is 1 away from 0 with spread 0.1; 300 draws of each lie on its side. The
    chance of a draw of the right law on the other side is below 10^-20."""
    student = flow_denoiser(small(classes=2, width=32))
    learner = SlimFlow(
        student=student,
        pairs=1000,
        reflow=Reflow(steps=200, learning_rate=5e-3, ema=0.99),
        distil=PairDistiller(steps=100, learning_rate=3e-3, ema=0.99),
    )
    meter, said = Meter(100), []
    made = learner.fit(
        DiffusionModel(denoiser=TWO, batch=500), [], seed=0, meter=meter,
        watch=lambda name, *_: said.append(name),
    )  # fmt: skip
    for label, side in ((0, 1), (1, -1)):
        values = made.sample(label, 300, seed=1).values
        assert (values[:, 0] * side > 0).all()
        assert values[:, 0].mean() * side == pytest.approx(1, abs=0.15)
    assert set(said) == {"reflow/loss", "distil/loss"}
    assert meter.units > 1000 * 35


def test_the_guide_is_asked_in_training_only_where_there_is_one():
    noise = torch.randn(100, 2)
    pairs = Pairs(noise, 0.6 * noise)
    start = DiffusionModel(denoiser=flow_denoiser(small()))
    plain, guided = Meter(1), Meter(1)
    PairDistiller(steps=2, batch=10).fit(start, pairs, seed=0, meter=plain)
    PairDistiller(steps=2, batch=10, guide=start).fit(start, pairs, seed=0, meter=guided)
    assert plain.evaluations == 2 * 10
    assert guided.evaluations == 2 * 10 * 3  # the student twice, its guide once


def test_distance_in_features_sees_more_than_pixels():
    a = torch.rand(3, 1, 8, 8)
    plain, both = distance_of(None), distance_of(eye_of(Features(FeatureNet(1, 8, 10), 1.0, 1)))
    assert torch.allclose(plain(a, a + 0.5), torch.full((3,), 0.25))
    assert (both(a, a + 0.5) > plain(a, a + 0.5)).all()
    assert torch.equal(both(a, a), torch.zeros(3))


def test_a_training_with_another_eye_is_another_training(tmp_path):
    pairs = Pairs(torch.randn(8, 1, 4, 4), torch.randn(8, 1, 4, 4))
    start = DiffusionModel(
        denoiser=flow_denoiser(untrained(lambda: ResMLP((1, 4, 4), 8, 1), seed=0))
    )
    eyes = [Features(untrained(lambda: FeatureNet(1, 4, 3, 4), seed=s), 1.0, 1) for s in (0, 1)]

    def trained(eye):
        """Return the steps that were made, and a draw."""
        steps = []
        learner = PairDistiller(folder=str(tmp_path), steps=3, batch=4, features=eye)
        made = learner.fit(start, pairs, seed=0, watch=lambda n, s, v: steps.append(s))
        return steps, made.sample(None, 2, seed=0).values

    first, again, other = trained(eyes[0]), trained(eyes[0]), trained(eyes[1])
    assert (first[0], again[0], other[0]) == ([0, 1, 2], [], [0, 1, 2])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_bad_input_is_refused():
    with pytest.raises(InvalidArgument, match="anneal must be"):
        Reflow(anneal=2.0)
    with pytest.raises(InvalidArgument, match="t_low <= t_high"):
        PairDistiller(t_low=0.9)
    with pytest.raises(InvalidArgument, match="steps must be 1"):
        Reflow(steps=0)
    with pytest.raises(InvalidArgument, match="learning_rate"):
        PairDistiller(learning_rate=0)
    with pytest.raises(InvalidArgument, match="must fit"):
        Pairs(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(InvalidArgument, match="needs the sampler"):
        ode_pairs(DiffusionModel(denoiser=ONE, sampler="churn"), 3, seed=0)
    with pytest.raises(InvalidArgument, match="ode_pairs: works under Gaussian noise"):
        ode_pairs(DiffusionModel(denoiser=ONE, noise=StudentT(4.0)), 3, seed=0)
    with pytest.raises(InvalidArgument, match="pairs must be"):
        SlimFlow(student=None, pairs=0)
    start = DiffusionModel(denoiser=flow_denoiser(small()))
    with pytest.raises(InvalidArgument, match="pairs are needed"):
        Reflow(steps=1).fit(start, np.zeros(3), seed=0)
