"""What DomainStudio keeps: similarities at their start, under permutation and scale; Haar bands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.generators.diffusion.noise import Batch, Gaussian, LogNormal
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.denoising import DenoisingLearner, untrained
from genwright.learning.few_shot_domain import DomainStudio, haar, high_frequencies, pairwise_loss
from genwright.nets.denoisers import ResMLP


def pictures(seed, n=6):
    return torch.randn(n, 2, 4, 4, dtype=torch.float64, generator=torch.manual_seed(seed))


def source(seed=0):
    net = untrained(lambda: ResMLP((1, 4, 4), 16, 1), seed=seed)
    model = DiffusionModel(denoiser=Denoiser(net, Edm()), batch=16)
    rng = np.random.default_rng(seed)
    rows = [
        {"prompt": None, "completion": x}
        for x in np.sign(rng.normal(size=(50, 1, 4, 4))).astype(np.float32)
    ]
    return DenoisingLearner(steps=50, batch=32, learning_rate=5e-3).fit(model, rows, seed=seed)


def targets(n=10):
    return [{"prompt": None, "completion": np.full((1, 4, 4), v)} for v in np.linspace(-1, 1, n)]


def test_haar_is_that_of_pywavelets():
    pywt = pytest.importorskip("pywt")
    x = pictures(0).numpy()
    low, (lh, hl, hh) = pywt.dwt2(x, "haar")
    for found, expected in zip(haar(torch.as_tensor(x)), (low, lh, hl, hh), strict=True):
        assert np.allclose(found, expected, atol=1e-12)


@given(st.integers(0, 1000))
def test_haar_keeps_energy(seed):
    x = pictures(seed)
    energy = sum(float(band.square().sum()) for band in haar(x))
    assert energy == pytest.approx(float(x.square().sum()), rel=1e-12)


def test_a_constant_picture_has_no_details():
    assert high_frequencies(torch.full((2, 3, 4, 6), 0.7)).abs().max() == 0


def test_equal_predictions_have_no_loss():
    x = pictures(0)
    assert pairwise_loss(x, x, 3) == 0


@given(st.integers(0, 1000), st.permutations(range(3)), st.floats(0.01, 100))
def test_neither_order_nor_scale_matters(seed, order, scale):
    a, b = pictures(seed), pictures(seed + 1)
    loss = float(pairwise_loss(a, b, 3))
    places = [*order, *(3 + p for p in order)]
    assert float(pairwise_loss(a[places], b[places], 3)) == pytest.approx(loss, rel=1e-9)
    assert float(pairwise_loss(scale * a, b, 3)) == pytest.approx(loss, rel=1e-9)
    assert loss > 0


def test_the_loss_of_one_group_by_hand():
    """Two equal pictures and one at a right angle: cosines 1 and 0 against equal ones."""
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    b = torch.ones(3, 2, dtype=torch.float64)
    p = np.exp(1) / (1 + np.exp(1))
    uneven = 0.5 * np.log(0.5 / p) + 0.5 * np.log(0.5 / (1 - p))
    assert float(pairwise_loss(a, b, 3)) == pytest.approx(2 * uneven / 3, rel=1e-9)


def test_groups_do_not_mix_and_left_out_pictures_do_not_count():
    a, b = pictures(0), pictures(1)
    first = float(pairwise_loss(a[:3], b[:3], 3))
    second = float(pairwise_loss(a[3:], b[3:], 3))
    assert float(pairwise_loss(a, b, 3)) == pytest.approx((first + second) / 2)
    counted = torch.tensor([True] * 3 + [False] * 3)
    assert float(pairwise_loss(a, b, 3, counted)) == pytest.approx(first)
    assert pairwise_loss(a, b, 3, torch.zeros(6, dtype=torch.bool)) == 0


def test_at_the_first_step_the_similarities_are_those_of_the_source():
    said = {}
    learner = DomainStudio(steps=3, batch=6, learning_rate=1e-2)
    learner.fit(source(), targets(), seed=0, watch=lambda n, i, v: said.setdefault((n, i), v))
    assert said["loss of whole", 0] == pytest.approx(0, abs=1e-6)
    assert said["loss of details", 0] == pytest.approx(0, abs=1e-6)
    assert said["loss of error", 0] > 0
    assert said["loss of whole", 2] > 1e-6


def test_without_weights_it_is_plain_fine_tuning():
    """The same draws of data, levels and noise, the same base loss; the source is not asked."""
    begin, said = source(), {}
    plain = DomainStudio(steps=4, batch=6, pairwise=0, hf_pairwise=0, hf_mse=0, learning_rate=1e-2)
    meter = Meter(size_of(begin.denoiser.net))
    plain.fit(begin, targets(), seed=0, meter=meter, watch=lambda n, i, v: said.update({(n, i): v}))
    assert meter.units == 4 * 6 * 2
    assert {v for (name, _), v in said.items() if name != "loss"} == {0.0}
    details = replace(plain, hf_pairwise=1.0)
    whole = replace(plain, pairwise=1.0)
    assert_differ(plain, details, whole, begin)


def assert_differ(*learners_and_source):
    *learners, begin = learners_and_source
    found = [m.fit(begin, targets(), seed=0).sample(None, 3, seed=1).values for m in learners]
    for i, one in enumerate(found):
        assert all(not np.array_equal(one, other) for other in found[i + 1 :])


def test_it_keeps_similarities_better_than_fine_tuning():
    """The predictions of both on 300 noised targets of which neither noise was trained on, compared
    with those of the source by its loss."""
    begin, rng = source(), Batch(0, "judge")
    known = torch.as_tensor(np.stack([t["completion"] for t in targets()])).float()
    x_0 = known[rng.integers(10, 300)]
    sigma = LogNormal().sample(300, rng).float()
    x = x_0 + Gaussian().sample(x_0.shape, sigma, rng)

    def apart(pairwise):
        learner = DomainStudio(
            steps=200, batch=24, learning_rate=5e-3, pairwise=pairwise, hf_pairwise=0, hf_mse=0,
            ema=0.9,
        )  # fmt: skip
        model = learner.fit(begin, targets(), seed=0)
        with torch.no_grad():
            return float(pairwise_loss(model.denoiser(x, sigma), begin.denoiser(x, sigma), 3))

    assert apart(50.0) < 0.7 * apart(0.0)


def test_bad_input_is_refused():
    with pytest.raises(InvalidArgument, match="group must be 3"):
        DomainStudio(group=2, batch=24)
    with pytest.raises(InvalidArgument, match="divide batch"):
        DomainStudio(batch=25)
    with pytest.raises(InvalidArgument, match="weights"):
        DomainStudio(pairwise=-1)
    with pytest.raises(InvalidArgument, match="learning_rate"):
        DomainStudio(learning_rate=0)
    odd = untrained(lambda: ResMLP((1, 3, 3), 8, 1), seed=0)
    model = DiffusionModel(denoiser=Denoiser(odd, Edm()))
    rows = [{"prompt": None, "completion": np.zeros((1, 3, 3))}]
    with pytest.raises(InvalidArgument, match="even height"):
        DomainStudio(steps=1).fit(model, rows, seed=0)
