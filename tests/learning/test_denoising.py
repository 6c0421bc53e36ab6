"""A denoiser is learned; a cut training ends with the same weights; a bad loss stops it."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from torch import nn

from genwright.core import InvalidArgument, TrainingError
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture, ring8
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Batch, StudentT
from genwright.generators.diffusion.precondition import Edm, RawFlow
from genwright.learning.denoising import DenoisingLearner, denoising_loss, untrained
from genwright.nets.denoisers import ResMLP

TWO = GaussianMixture((0.5, 0.5), ((-1.0,), (1.0,)), 0.3, (0, 1))
SHORT = DenoisingLearner(steps=6, batch=8, save_every=2)


def model(dim=1, classes=0, width=32, seed=0, precondition=None):
    net = untrained(lambda: ResMLP(dim, width, 2, classes), seed=seed)
    return DiffusionModel(denoiser=Denoiser(net, precondition or Edm(sigma_data=1.0)), steps=8)


def weights(generator):
    denoiser = generator.denoiser
    if isinstance(denoiser, str):
        from genwright.generators.diffusion.stored import load

        denoiser = load(denoiser)
    return list(denoiser.net.state_dict().values())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize("precondition", [None, RawFlow()], ids=["edm", "flow"])
def test_it_learns_the_posterior_mean(precondition):
    """Mean square error to the exact denoiser falls below a tenth of that of the start."""
    learner = DenoisingLearner(
        steps=250,
        batch=128,
        learning_rate=5e-3,
        ema=0.98,
        weight="one" if precondition else "edm",
    )
    start = model(classes=2, precondition=precondition)
    found = learner.fit(start, TWO, seed=0)
    rng, cond = Batch(5), torch.arange(400) % 2
    x = (TWO.sample(400, rng, cond) + 0.8 * rng.normal((400, 1))).float()
    errors = []
    for generator in (start, found):
        with torch.no_grad():
            gap = generator.denoiser(x, 0.8, cond) - TWO(x, 0.8, cond)
        errors.append(gap.square().mean().item())
    assert errors[1] < errors[0] / 10
    sides = [found.sample(c, 64, seed=1).values.mean() for c in (0, 1)]
    assert sides == pytest.approx([-1, 1], abs=0.3)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    whole = SHORT.fit(model(), TWO, seed=1)
    settings = {"steps": 6, "batch": 8, "save_every": 2, "folder": str(tmp_path)}

    class Killed(Exception):
        pass

    def kill(name, step, value):
        if step == 3:
            raise Killed

    seen, meter = [], Meter(model().denoiser.net)
    with pytest.raises(Killed):
        DenoisingLearner(**settings).fit(model(), TWO, seed=1, watch=kill, meter=meter)
    again = Meter(model().denoiser.net)
    found = DenoisingLearner(**settings).fit(
        model(), TWO, seed=1, watch=lambda n, s, v: seen.append(s), meter=again
    )
    assert seen == [2, 3, 4, 5]
    assert found.denoiser == str(tmp_path)
    assert same(found, whole)
    assert again.units == 6 * 8 * 2  # what was paid before the kill is in it
    assert not (tmp_path / "checkpoint").exists()
    done = DenoisingLearner(**settings).fit(model(), TWO, seed=1, watch=kill)
    assert done == found  # finished before: nothing is trained


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    def stop(name, step, value):
        if step == 1:
            raise KeyboardInterrupt

    learner = DenoisingLearner(steps=4, batch=8, save_every=1, folder=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        learner.fit(model(), TWO, seed=1, watch=stop)
    with pytest.raises(TrainingError, match="belongs to another training"):
        learner.fit(model(), TWO, seed=2)
    with pytest.raises(TrainingError, match="belongs to another training"):
        learner.fit(model(width=16), TWO, seed=1)


class Breaks(nn.Module):
    """A network whose output is not a number from its third call on."""

    shape, classes = (1,), 0

    def __init__(self):
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.zeros(1)), 0

    def forward(self, x, c_noise, cond=None):
        self.calls += 1
        out = x * self.weight
        return torch.where(x > x.median(), out / 0.0 * 0.0, out) if self.calls > 2 else out


def test_a_loss_that_is_not_finite_stops_saves_and_says_where(tmp_path):
    start = DiffusionModel(denoiser=Denoiser(Breaks(), Edm(sigma_data=1.0)))
    learner = DenoisingLearner(steps=9, batch=8, folder=str(tmp_path))
    with pytest.raises(TrainingError, match=r"step 2: .* in 4 of 8 rows, at levels .* is in"):
        learner.fit(start, TWO, seed=0)
    saved = torch.load(tmp_path / "checkpoint" / "state.pt", weights_only=True)
    assert torch.isfinite(saved["net"]["weight"]).all()
    assert saved["net"]["weight"].item() != 0  # two steps were made, and are kept
    with pytest.raises(TrainingError, match="Nothing was saved: no folder"):
        DenoisingLearner(steps=9, batch=8).fit(start, TWO, seed=0)


def test_the_loss_is_the_formula_of_the_paper():
    x_0, x, sigma = torch.ones(3, 2), torch.zeros(3, 2), torch.tensor([0.1, 1.0, 30.0])
    net = untrained(lambda: ResMLP(2, 8, 1), seed=0)  # says 0: D = c_skip x = 0
    found = denoising_loss(Denoiser(net, Edm(sigma_data=0.5)), x_0, x, sigma, None)
    wanted = [(s**2 + 0.25) / (s * 0.5) ** 2 for s in (0.1, 1.0, 30.0)]
    assert found.tolist() == pytest.approx(wanted)


def test_a_target_is_imitated_and_the_data_only_say_where():
    """Points at 5, but the target says -1 everywhere: the student says -1 there."""
    point = GaussianMixture((1.0,), ((-1.0,),), 1e-6)
    learner = DenoisingLearner(steps=100, batch=64, learning_rate=5e-3, ema=0.9, target=point)
    rows = [{"prompt": None, "completion": np.full(1, 5.0, np.float32)}] * 4
    found = learner.fit(model(), rows, seed=0)
    assert found.denoiser(torch.full((1, 1), 5.0), 1.0).item() == pytest.approx(-1, abs=0.6)


def test_dropping_every_class_trains_the_denoiser_without_one():
    learner = DenoisingLearner(steps=3, batch=8, drop=1.0)
    start = model(classes=2)
    found = learner.fit(start, TWO, seed=0)
    table = found.denoiser.net.condition.table.weight
    assert torch.equal(table, start.denoiser.net.condition.table.weight)
    assert not torch.equal(weights(found)[2], weights(start)[2])


def test_the_noise_is_the_generators_unless_said():
    from dataclasses import replace

    heavy = replace(model(), noise=StudentT(1.0))
    plain, own = SHORT.fit(model(), TWO, seed=0), SHORT.fit(heavy, TWO, seed=0)
    assert not same(plain, own)
    said = replace(SHORT, noise=StudentT(1.0)).fit(model(), TWO, seed=0)
    assert same(own, said)


def row(value, prompt=None, dtype=np.float32):
    return {"prompt": prompt, "completion": np.asarray(value, dtype=dtype)}


@pytest.mark.parametrize(
    ("rows", "classes", "said"),
    [
        ([], 0, "nothing to train on"),
        ([{"text": "a"}], 0, "row 0: a training row needs 'prompt'"),
        ([row([0.0]), row([0.0, 1.0])], 0, r"row 1: .* one shape and type, got \(2,\)"),
        ([row([0.0]), row([0.0], dtype=np.float64)], 0, "row 1: .* float64 after"),
        ([row([3], dtype=np.uint8)], 0, "must be floating, .* got uint8"),
        ([row([0.0, 1.0])], 0, r"shape \(1,\), got \(2,\)"),
        ([row([float("nan")])], 0, "must be finite"),
        ([row([0.0], 0), row([0.0], 2)], 2, "a class must be 0 to 1, got 2"),
        ([row([0.0], 0), row([0.0])], 2, "some rows have a class"),
    ],
    ids=["none", "field", "size", "type", "bytes", "shape", "nan", "class", "mixed"],
)
def test_data_that_cannot_be_trained_on_is_named(rows, classes, said):
    with pytest.raises(InvalidArgument, match=said):
        SHORT.fit(model(classes=classes), rows, seed=0)


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"learning_rate": 0.0}, {"ema": 1.0}, {"weight": "two"}, {"drop": 2.0}],
    ids=lambda s: next(iter(s)),
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidArgument, match=next(iter(settings))):
        DenoisingLearner(**settings)


def test_an_exact_denoiser_has_no_weights_to_train():
    with pytest.raises(InvalidArgument, match="only a Denoiser has weights"):
        SHORT.fit(DiffusionModel(denoiser=ring8()), ring8(), seed=0)
