"""Consistency and sub-paths against what is known: their ends, linear teachers, a resumed run."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, TrainingError
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.generators.diffusion.noise import Batch, StudentT
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.denoising import untrained
from genwright.learning.distillation.consistency import (
    Chord,
    ConsistencyDistiller,
    chord,
    drawing_in,
    on_chord,
    sub_path_loss,
)
from genwright.nets.denoisers import ResMLP
from genwright.nets.sub_path import SubPathNet

ONE = GaussianMixture((1.0,), ((0.0, 0.0),), 0.6)
"""One Gaussian: its denoiser is linear, x s^2 / (s^2 + sigma^2)."""


def ends(n=5, seed=0):
    levels = ConsistencyDistiller(levels=6).ladder().double()
    x_0 = torch.randn(n, 2, generator=torch.manual_seed(seed), dtype=torch.float64)
    return chord(ONE, x_0, None, levels, 1, Batch(seed))


def small(width=16, classes=0, seed=0):
    net = untrained(lambda: ResMLP(2, width, 1, classes), seed=seed)
    for weight in net.out.parameters():
        torch.nn.init.normal_(weight, std=0.1, generator=torch.manual_seed(seed))
    return Denoiser(net, Edm(sigma_data=0.6))


def test_the_ladder_rises_from_lo_to_hi():
    ladder = ConsistencyDistiller(levels=4, lo=0.01, hi=10.0).ladder()
    assert ladder.tolist() == sorted(ladder.tolist())
    assert len(ladder) == 5
    assert (ladder[0].item(), ladder[-1].item()) == pytest.approx((0.01, 10.0), rel=1e-5)


def test_a_chord_is_one_euler_step_of_the_teacher():
    found = ends()
    share = 0.36 / (0.36 + found.high**2)
    slope = found.x_high * ((1 - share) / found.high)[:, None]
    expected = found.x_high + (found.low - found.high)[:, None] * slope
    assert torch.allclose(found.x_low, expected, atol=1e-12)
    assert (found.low < found.high).all()


def test_a_longer_chord_skips_levels_but_ends_at_the_lowest():
    levels = torch.arange(1.0, 6.0, dtype=torch.float64)
    found = chord(ONE, torch.randn(200, 2, dtype=torch.float64), None, levels, 3, Batch(0))
    assert set(zip(found.high.tolist(), found.low.tolist(), strict=True)) == {
        (2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (5.0, 2.0),
    }  # fmt: skip


@pytest.mark.parametrize("inner", ["variance", "linear"])
def test_the_ends_of_the_chord_have_their_levels(inner):
    """sigma_gamma is sigma_n at gamma = 1, bit for bit, and sigma_m at 0."""
    found = ends()
    x, sigma = on_chord(found, torch.ones(5, dtype=torch.float64), inner)
    assert torch.equal(x, found.x_high)
    assert torch.equal(sigma, found.high)
    x, sigma = on_chord(found, torch.zeros(5, dtype=torch.float64), inner)
    assert torch.equal(x, found.x_low)
    assert torch.allclose(sigma, found.low, atol=1e-12)


@given(st.floats(0, 1), st.floats(0.01, 1.0))
def test_the_level_between_is_that_of_the_paper(gamma, low):
    """sigma_gamma^2 = sigma_m^2 + gamma^2 (sigma_n^2 - sigma_m^2), with sigma_n = 2."""
    high = torch.tensor([2.0], dtype=torch.float64)
    one = Chord(torch.zeros(1, 1), torch.zeros(1, 1), high, torch.tensor([low]).double())
    _, sigma = on_chord(one, torch.tensor([gamma], dtype=torch.float64), "variance")
    expected = one.low**2 + gamma**2 * (4 - one.low**2)
    assert float(sigma**2) == pytest.approx(float(expected), rel=1e-9)


def test_the_end_of_a_sub_path_gives_the_loss_of_consistency_bit_for_bit():
    """With gamma = 1 the student is compared at the high end; by hand from the definition."""
    found = ends()
    student, target = small(seed=1), small(seed=2)
    net = student.net.double()
    target.net.double()

    def read(denoiser):
        return lambda x, sigma, gamma, cond: denoiser(x, sigma, cond)

    one = torch.ones(5, dtype=torch.float64)
    for inner in ("variance", "linear"):
        losses = sub_path_loss(
            read(replace(student, net=net)), read(target), found, one, None,
            inner=inner, huber=1e-3,
        )  # fmt: skip
        error = student(found.x_high, found.high) - target(found.x_low, found.low)
        assert torch.equal(losses, ((error.square() + 1e-6).sqrt() - 1e-3).mean(1))


def test_the_low_end_is_compared_with_the_target_at_its_own_level():
    """gamma = 0: the student is asked at (x_m, sigma_m, 0), the target at (x_m, sigma_m, 1)."""
    found, asked = ends(), []

    def note(x, sigma, gamma, cond):
        asked.append((x, sigma, gamma))
        return x

    zero = torch.zeros(5, dtype=torch.float64)
    sub_path_loss(note, note, found, zero, None, inner="variance", huber=1e-3)
    for (x, sigma, gamma), place in zip(asked, (0, 1), strict=True):
        assert torch.equal(x, found.x_low)
        assert torch.allclose(sigma, found.low, atol=1e-12)
        assert (gamma == place).all()


@given(st.floats(0, 1), st.integers(0, 20))
def test_for_a_linear_teacher_the_best_student_is_known(gamma, seed):
    """x_m = c x_n, so x_gamma = (gamma + (1 - gamma) c) x_n: a student that divides by that factor
    and multiplies by the target's own scale has no loss, at every gamma."""
    found = ends(seed=seed)
    c = found.x_low[:, :1] / found.x_high[:, :1]
    places = torch.full((5,), gamma, dtype=torch.float64)
    scale = 0.3  # what the target says of x_m, as a multiple of x_m

    def best(x, sigma, gamma, cond):
        return scale * c / (gamma[:, None] + (1 - gamma[:, None]) * c) * x

    losses = sub_path_loss(
        best, lambda x, *_: scale * x, found, places, None, inner="variance", huber=1e-3
    )
    assert losses.max() < 1e-9


def test_the_student_changes_nothing_at_the_lowest_level():
    learner = ConsistencyDistiller(steps=1, batch=8, levels=3, student=small())
    made = learner.fit(DiffusionModel(denoiser=ONE), ONE, seed=0)
    x = torch.randn(4, 2)
    assert torch.allclose(made.denoiser(x, learner.lo), x, atol=1e-6)


def test_a_sub_path_network_at_its_end_is_the_network_inside():
    inside = small(width=12)
    net = SubPathNet(inside.net)
    torch.nn.init.normal_(net.told.weight)
    for block in inside.net.blocks:  # which ignores its condition as it begins
        torch.nn.init.normal_(block.told.weight)
    x, c = torch.randn(3, 2), torch.randn(3)
    assert torch.equal(net(x, c, torch.ones(3), None), inside.net(x, c))
    assert not torch.equal(net(x, c, torch.full((3,), 0.5), None), inside.net(x, c))
    assert torch.equal(net(x, c, torch.ones(3), None), inside.net(x, c))  # the hook is gone


@pytest.mark.parametrize("sub_path", ["", "variance"])
def test_one_step_of_a_gaussian_is_learnt(sub_path):
    """Euler's steps multiply x by known factors, and the student must do so at once: with the
    standard error of 2,000 draws (0.01) a miss by 0.1 is the student's own."""
    learner = ConsistencyDistiller(
        steps=500, batch=256, levels=12, hi=5.0, sub_path=sub_path, student=small(32), ema=0.9,
        learning_rate=5e-3,
    )  # fmt: skip
    ladder = learner.ladder().double()
    kept = ladder[:-1] / ladder[1:]
    factors = kept + (1 - kept) * 0.36 / (0.36 + ladder[1:] ** 2)
    spread = 5 * float(factors.prod())
    teacher = DiffusionModel(denoiser=ONE, batch=500)
    made = learner.fit(teacher, ONE, seed=0)
    assert made.sample(None, 2000, seed=1).values.std() == pytest.approx(spread, abs=0.1)
    before = replace(made, denoiser=small(32))
    assert abs(before.sample(None, 2000, seed=1).values.std() - spread) > 0.15


def test_units_are_counted():
    """Per draw: the teacher one, the student two (its weights learn), the average one."""
    student = small()
    learner = ConsistencyDistiller(steps=3, batch=10, levels=4, student=student, sub_path="linear")
    inner = SubPathNet(small().net)
    meter = Meter(size_of(inner))
    learner.fit(DiffusionModel(denoiser=ONE), ONE, seed=0, meter=meter)
    assert meter.units == 3 * 10 * 4


def test_a_killed_distillation_goes_on_to_the_same_weights(tmp_path):
    learner = ConsistencyDistiller(
        folder=str(tmp_path / "a"), steps=6, batch=8, levels=4, student=small(), save_every=2
    )
    teacher = DiffusionModel(denoiser=ONE)

    def cut(name, step, value):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.fit(teacher, ONE, seed=0, watch=cut)
    steps = []
    resumed = learner.fit(teacher, ONE, seed=0, watch=lambda _n, i, _v: steps.append(i))
    whole = replace(learner, folder=str(tmp_path / "b")).fit(teacher, ONE, seed=0)
    assert steps == [4, 5]
    one, other = (m.sample(None, 4, seed=0).values for m in (resumed, whole))
    assert (one == other).all()
    again = learner.fit(teacher, ONE, seed=0, watch=lambda *_: pytest.fail("trained again"))
    assert (again.sample(None, 4, seed=0).values == one).all()
    (tmp_path / "a" / "training.json").unlink()
    learner_2 = replace(learner, learning_rate=2e-3)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(teacher, ONE, seed=0, watch=cut)
    with pytest.raises(TrainingError, match="another training"):
        learner_2.fit(teacher, ONE, seed=0)


def test_few_steps_begin_at_the_top_and_are_spaced_along_the_ladder():
    ladder = ConsistencyDistiller(levels=6).ladder().tolist()
    model = DiffusionModel(denoiser=ONE)
    assert drawing_in(model, 1, ladder).sigmas == (ladder[6], 0.0)
    assert drawing_in(model, 2, ladder).sigmas == (ladder[6], ladder[3], 0.0)
    assert drawing_in(model, 3, ladder).sigmas == (ladder[6], ladder[4], ladder[2], 0.0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"levels": 0}, "levels must be 1"),
        ({"sub_path": "curve"}, "sub_path must be"),
        ({"skip": 19}, "at most levels"),
        ({"lo": 3.0, "hi": 2.0}, "lo < hi"),
        ({"ema": 1.0}, "ema must be in"),
    ],
    ids=["levels", "sub_path", "skip", "lo", "ema"],
)
def test_bad_settings_are_refused(settings, told):
    with pytest.raises(InvalidArgument, match=told):
        ConsistencyDistiller(**settings)


def test_the_noise_of_a_chord_is_that_of_the_generator():
    levels, x_0 = torch.tensor([1.0, 2.0]), torch.zeros(5, 2)
    heavy = chord(ONE, x_0, None, levels, 1, Batch(0), StudentT(3.0))
    rng = Batch(0)
    rng.integers(1, 5)
    assert torch.equal(heavy.x_high, StudentT(3.0).sample((5, 2), torch.full((5,), 2.0), rng))
    learner = ConsistencyDistiller(steps=2, batch=8, levels=3, student=small())
    plain, other = (
        learner.fit(DiffusionModel(denoiser=ONE, noise=noise), ONE, seed=0).denoiser.net
        for noise in (None, StudentT(3.0))
    )
    assert not torch.equal(plain.out.weight, other.out.weight)


def test_a_network_that_cannot_be_told_a_place_is_named():
    class Plain(torch.nn.Module):
        shape, classes = (2,), 0

    learner = ConsistencyDistiller(steps=1, student=Denoiser(Plain(), Edm()))
    with pytest.raises(InvalidArgument, match="a Plain has no condition"):
        learner.fit(DiffusionModel(denoiser=ONE), ONE, seed=0)


def test_an_exact_teacher_needs_a_student():
    with pytest.raises(InvalidArgument, match="only a Denoiser"):
        ConsistencyDistiller(steps=1).fit(DiffusionModel(denoiser=ONE), ONE, seed=0)
