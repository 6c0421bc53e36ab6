"""Every trainer of denoisers: its numbers of one seed, a cut training, a bad loss, a GPU."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument, TrainingError
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.noise import Gaussian, StudentT
from genwright.generators.diffusion.precondition import Edm
from genwright.generators.diffusion.stored import load, save
from genwright.learning.course import Course, Losses, finished, identity_of
from genwright.learning.denoising import DenoisingLearner, untrained
from genwright.learning.distillation.consistency import ConsistencyDistiller
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.pairs import Pairs
from genwright.learning.distillation.rectify import Reflow, flow_denoiser
from genwright.learning.distillation.slimflow import PairDistiller
from genwright.learning.few_shot_domain import DomainStudio
from genwright.nets.denoisers import ResMLP

LAW = GaussianMixture((0.5, 0.5), ((-1.0, 0.0), (1.0, 0.5)), 0.3, (0, 1))


@dataclass(frozen=True)
class Case:
    learner: Any
    generator: Any
    data: Any
    losses: tuple[float, float]
    """The first and the last that the seed 0 gave when this was written."""


def net(shape=2, classes=2):
    found = untrained(lambda: ResMLP(shape, 16, 1, classes), seed=0)
    torch.nn.init.normal_(found.out.weight, std=0.1, generator=torch.manual_seed(0))
    return found


def model(shape=2, classes=2):
    return DiffusionModel(denoiser=Denoiser(net(shape, classes), Edm(sigma_data=1.0)), steps=3)


def pairs():
    noise = torch.randn(20, 2, generator=torch.manual_seed(1))
    return Pairs(noise, 0.5 * noise, torch.arange(20) % 2)


STEPS = {"steps": 6, "batch": 6, "learning_rate": 0.01}
FLOW = DiffusionModel(denoiser=flow_denoiser(net()), steps=3)
PICTURES = [
    {"prompt": None, "completion": np.full((1, 2, 2), v, np.float32)} for v in np.linspace(-1, 1, 5)
]
CASES = {
    "denoising": Case(DenoisingLearner(**STEPS, drop=0.5), model(), LAW, (0.996651, 0.972881)),
    "consistency": Case(
        ConsistencyDistiller(**STEPS, levels=4), model(), LAW, (0.0428879, 0.00876646)
    ),
    "slam": Case(
        ConsistencyDistiller(**STEPS, levels=4, sub_path="variance"),
        model(),
        LAW,
        (0.0297521, 0.0104829),
    ),
    "reflow": Case(Reflow(**STEPS), FLOW, pairs(), (2.51247, 0.399068)),
    "pairs": Case(PairDistiller(**STEPS, guide=FLOW), FLOW, pairs(), (0.60406, 0.438512)),
    "domainstudio": Case(
        DomainStudio(**STEPS), model((1, 2, 2), 0), PICTURES, (0.442589, 0.793188)
    ),
    "match": Case(Match(**STEPS, fake_per_step=1), model(), None, (0.0177873, 7.52417)),
}


@pytest.fixture(params=CASES)
def case(request):
    """Return each trainer in turn."""
    return CASES[request.param]


def weights(generator):
    denoiser = generator.denoiser
    found = load(denoiser) if isinstance(denoiser, str) else denoiser
    return [w.cpu() for w in found.net.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def stopping(at):
    def watch(name, step, value):
        if step == at:
            raise KeyboardInterrupt

    return watch


def test_one_seed_gives_the_losses_that_it_gave(case):
    """To 1 in 100, since processors round differently; what is trained must not change unseen."""
    told = []
    case.learner.fit(
        case.generator,
        case.data,
        seed=0,
        watch=lambda name, step, value: name in ("loss", "student loss") and told.append(value),
    )
    assert (told[0], told[-1]) == pytest.approx(case.losses, rel=1e-2)
    assert len(told) == 6


def test_a_killed_training_goes_on_to_the_same_weights(case, tmp_path):
    whole = case.learner.fit(case.generator, case.data, seed=1)
    learner = replace(case.learner, folder=str(tmp_path), save_every=2)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(case.generator, case.data, seed=1, watch=stopping(4))
    with pytest.raises(TrainingError, match="belongs to another training"):
        learner.fit(case.generator, case.data, seed=2)
    with pytest.raises(TrainingError, match="belongs to another training"):
        replace(learner, batch=9).fit(case.generator, case.data, seed=1)
    steps = set()
    found = learner.fit(case.generator, case.data, seed=1, watch=lambda n, s, v: steps.add(s))
    assert steps == {4, 5}
    assert same(found, whole)
    again = learner.fit(case.generator, case.data, seed=1, watch=stopping(0))
    assert again == found  # finished: nothing is trained


def test_a_loss_that_is_not_finite_stops_saves_and_says_where(case, tmp_path):
    broken = case.generator.denoiser
    bad = replace(broken, net=net(broken.shape, broken.classes))
    with torch.no_grad():
        bad.net.out.bias.fill_(float("nan"))
    learner = replace(case.learner, folder=str(tmp_path))
    with pytest.raises(TrainingError, match=r"step 0: the .* is not finite in 6 of 6 rows, at lev"):
        learner.fit(replace(case.generator, denoiser=bad), case.data, seed=0)
    assert (tmp_path / "checkpoint" / "state.pt").is_file()


@pytest.mark.parametrize("name", ["denoising", "slam", "domainstudio"])
def test_a_training_under_another_noise_is_another_training(name, tmp_path):
    case, steps = CASES[name], []
    learner = replace(case.learner, folder=str(tmp_path))
    for noise in (None, Gaussian(), StudentT(3.0)):
        generator = replace(case.generator, noise=noise)
        learner.fit(generator, case.data, seed=0, watch=lambda n, s, v: steps.append(s))
    assert steps.count(0) == steps.count(5) == 2 * (4 if name == "domainstudio" else 1)


@pytest.mark.parametrize("name", ["steps", "batch", "save_every", "learning_rate", "ema"])
def test_a_number_out_of_range_is_named(case, name):
    value = 1.0 if name == "ema" else 0
    with pytest.raises(InvalidArgument, match=f"{type(case.learner).__name__}: {name} must be"):
        replace(case.learner, **{name: value})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("stored", [False, True], ids=["memory", "folder"])
def test_a_gpu_is_used_where_there_is_one(case, stored, tmp_path):
    """From a network on the processor or in a folder; what comes out can be trained and drawn."""
    generator = case.generator
    if stored:
        save(generator.denoiser, tmp_path)
        generator = replace(generator, denoiser=str(tmp_path))
    before = weights(generator)
    found = case.learner.fit(generator, case.data, seed=0)
    assert next(found.denoiser.net.parameters()).is_cuda
    assert all(map(torch.equal, weights(generator), before))
    prompt = 1 if found.denoiser.classes else None
    assert np.isfinite(found.sample(prompt, 3, seed=0).values).all()
    again = case.learner.fit(replace(generator, denoiser=found.denoiser), case.data, seed=0)
    assert next(again.denoiser.net.parameters()).is_cuda


def test_terms_are_added_to_the_mean_over_rows_and_told():
    """Gradient 1 of the rows and 2 of the term, Adam's first step is the rate: w falls by it."""
    layer = torch.nn.Linear(1, 1, bias=False)
    began = layer.weight.item()
    learner = replace(CASES["reflow"].learner, steps=1, warmup=0)
    course = Course(learner, layer)

    def losses(i):
        w = course.net.weight[0].expand(4)
        return Losses(w, torch.ones(4), {"beside": 2 * course.net.weight.sum()})

    told = {}
    course.run(
        losses, what="loss", meter=None, clip=9.0,
        watch=lambda name, step, value: told.update({name: value}),
    )  # fmt: skip
    assert told == pytest.approx({"loss": 3 * began, "beside": 2 * began})
    moved = course.net.weight.item()
    assert moved == pytest.approx(began - 0.01, rel=1e-4)
    assert course.average.weight.item() == pytest.approx(0.1 * began + 0.9 * moved, rel=1e-5)
    assert layer.weight.item() == began


def test_a_training_is_named_by_its_settings_but_for_its_folder(tmp_path):
    learner = Reflow(steps=3)
    name = identity_of(learner, "data")
    assert identity_of(replace(learner, folder=str(tmp_path), save_every=7), "data") == name
    others = [identity_of(learner, "else"), identity_of(replace(learner, steps=4), "data")]
    assert name not in others
    assert identity_of(replace(learner, steps=4), "data", without=("steps",)) == identity_of(
        learner, "data", without=("steps",)
    )
    assert not finished("", name)
    assert not finished(str(tmp_path), name)
