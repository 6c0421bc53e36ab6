"""Generators of arrays keep the vocabulary: prompts, seeds, costs, ledgers, errors."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import (
    Budget,
    InvalidArgument,
    Ledger,
    ModelNotFound,
    Task,
    TrainingError,
    Verdict,
    solve,
)
from genwright.generators.diffusion import stored
from genwright.generators.diffusion.denoiser import Denoiser, Guided
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import FiniteData, ring8
from genwright.generators.diffusion.noise import Gaussian, Rows, StudentT
from genwright.generators.diffusion.one_step import OneStep
from genwright.generators.diffusion.path import Discrete
from genwright.generators.diffusion.precondition import Edm, NoisePrediction
from genwright.generators.diffusion.routed import Routed
from genwright.generators.diffusion.samplers import euler, heun, karras
from genwright.nets.denoisers import PatchMixer, ResMLP
from genwright.nets.unet import UNet
from genwright.search.repeated_sampling import RepeatedSampling

HALVES = (0, 1, 0, 1, 0, 1, 0, 1)
NETS = [
    lambda: ResMLP((1, 4, 4), 16, 2, 3),
    lambda: PatchMixer(4, 2, 16, 2, 1, 3),
    lambda: UNet(4, 1, 8, (1, 2), 1, 3),
]


def random_weights(net, seed=0):
    torch.manual_seed(seed)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return net


@pytest.fixture(params=NETS, ids=["mlp", "mixer", "unet"])
def trained(request, tmp_path):
    """A folder with a denoiser of random weights."""
    with torch.random.fork_rng():
        stored.save(Denoiser(random_weights(request.param()), Edm(sigma_data=0.7)), tmp_path)
    return tmp_path


@pytest.mark.parametrize("sampler", ["heun", "churn"])
def test_draws_are_the_same_bit_for_bit_however_they_are_asked_for(trained, sampler):
    model = DiffusionModel(
        denoiser=str(trained), sampler=sampler, steps=3, batch=8, s_churn=9.0, noise=StudentT(64)
    )
    whole = model.sample(2, 37, seed=5)
    parts = model.sample(2, 3, seed=5) + model.sample(2, 14, seed=5, first=3)
    parts += model.sample(2, 20, seed=5, first=17)
    assert parts == whole
    assert whole.values.shape == (37, 1, 4, 4)
    assert whole.values.dtype == np.float32
    assert not np.array_equal(model.sample(1, 37, seed=5).values, whole.values)


def test_draw_k_is_computed_at_its_own_row_of_a_whole_batch():
    """Kernels may round by place; so a draw has one place, whoever is asked for along with it."""
    seen = []

    class Seen:
        shape, classes = (2,), 0

        def __call__(self, x, sigma, cond=None):
            seen.append(x.clone())
            return x

    drawn = OneStep(denoiser=Seen(), batch=4).sample(None, 3, seed=0, first=6)
    wanted = [Gaussian().sample((4, 2), torch.tensor(2.5), Rows(0, low, 4)) for low in (4, 8)]
    assert all(torch.equal(x, y) for x, y in zip(seen, wanted, strict=True))
    assert np.array_equal(drawn.values, torch.cat(wanted)[2:5].numpy())


def test_a_draw_is_its_sampler_on_its_own_noise():
    model = DiffusionModel(denoiser=ring8(), steps=5, sampler="euler")
    x = Gaussian().sample((4, 2), torch.tensor(80.0), Rows(3, 0, 4))
    wanted = euler(ring8(), x, karras(5))
    assert model.sample(None, 4, seed=3).values == pytest.approx(wanted.numpy(), abs=1e-5)


@pytest.mark.parametrize("level", [2.5, 1.0])
def test_one_step_is_the_denoiser_read_at_its_level(level):
    x = Gaussian().sample((4, 2), torch.tensor(level), Rows(3, 0, 4))
    found = OneStep(denoiser=ring8(), sigma_init=level).sample(None, 4, seed=3)
    assert found.values == pytest.approx(ring8()(x, level).numpy(), abs=1e-6)
    assert OneStep(denoiser=ring8()).sigma_init == 2.5
    as_euler = DiffusionModel(denoiser=ring8(), sampler="euler", sigmas=(level, 0.0))
    assert found.values == pytest.approx(as_euler.sample(None, 4, seed=3).values, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "evaluations"),
    [({}, 35), ({"sampler": "euler"}, 18), ({"steps": 4, "guidance": 2.0}, 14)],
    ids=["heun", "euler", "guided"],
)
def test_a_draw_costs_its_evaluations(settings, evaluations):
    data = FiniteData(torch.randn(4, 2), labels=(0, 0, 1, 1))
    found = DiffusionModel(denoiser=data, **settings).sample(1, 3, seed=0)
    assert [c.network_evaluations for c in found.costs] == [evaluations] * 3
    assert found.cost.draws == 3


def test_guidance_is_that_of_the_denoiser():
    model = DiffusionModel(denoiser=ring8(HALVES), steps=6, guidance=1.5, batch=4)
    x = Gaussian().sample((4, 2), torch.tensor(80.0), Rows(0, 0, 4))
    cond = torch.ones(4, dtype=torch.long)
    guided = Guided(ring8(HALVES), 1.5)
    wanted = heun(lambda x, s: guided(x, s, cond), x, karras(6))
    assert model.sample(1, 4, seed=0).values == pytest.approx(wanted.numpy(), abs=1e-5)


class InTheRight:
    """Passes draws with a positive first number."""

    def check(self, samples):
        return [Verdict.ok() if value[0] > 0 else Verdict.fail() for value in samples.values]


def test_arrays_go_through_search_and_the_ledger_as_texts_do(tmp_path):
    """Best of n on a class, recorded, and drawn again from the record without a network."""
    model = DiffusionModel(denoiser=ring8(HALVES), steps=6)
    tasks = [Task(c, verifier=InTheRight(), key=f"class {c}") for c in (0, 1)]
    with Ledger(tmp_path / "runs.sqlite") as book:
        strategy = RepeatedSampling(n=8, batch=4)
        done = solve(tasks, model, strategy, budget=Budget(draws=8), ledger=book, seed=2)
        run = book.runs()[-1]
        drawn = run.draws("class 1")
        assert all(isinstance(d.sample.value, np.ndarray) and d.stacked for d in drawn)
        assert run.cost().network_evaluations == 11 * len(run.draws())
        for outcome in done.outcomes:
            assert outcome.chosen.value[0] > 0
        again = run.outcomes()["class 1"]
        assert np.array_equal(again.chosen.value, done.outcomes[1].chosen.value)


def test_a_saved_denoiser_is_the_same_and_a_broken_folder_is_named(trained, tmp_path):
    found = stored.load(trained)
    x, cond = torch.randn(3, 1, 4, 4), torch.tensor([0, 1, 2])
    assert found.precondition == Edm(sigma_data=0.7)
    before = found(x, 1.0, cond)
    stored.save(Denoiser(found.net, NoisePrediction(), Discrete()), tmp_path / "other")
    other = stored.load(tmp_path / "other")
    assert (other.precondition, other.path) == (NoisePrediction(), Discrete())
    assert torch.equal(Denoiser(other.net, Edm(sigma_data=0.7))(x, 1.0, cond), before)
    with pytest.raises(ModelNotFound, match="no denoiser is in"):
        stored.load(tmp_path / "nowhere")
    wider = random_weights(ResMLP((1, 4, 4), 24))
    stored.save(Denoiser(wider, Edm()), tmp_path / "wider")
    (tmp_path / "other" / stored.SPEC).replace(tmp_path / "wider" / stored.SPEC)
    with pytest.raises(TrainingError, match="weights of another configuration"):
        stored.load(tmp_path / "wider")
    with pytest.raises(InvalidArgument, match=r"only networks of genwright\.nets"):
        stored.save(Denoiser(torch.nn.Linear(2, 2), Edm()), tmp_path / "none")


def test_a_folder_trained_anew_is_read_anew(tmp_path):
    model = OneStep(denoiser=str(tmp_path))
    drawn = []
    for seed in (0, 1):
        with torch.random.fork_rng():
            stored.save(Denoiser(random_weights(ResMLP(2, 8), seed), Edm()), tmp_path)
        drawn.append(model.sample(None, 2, seed=0))
    assert drawn[0] != drawn[1]


def test_routed_gives_what_the_owner_gives_and_names_who_answers():
    model = DiffusionModel(denoiser=ring8(HALVES), steps=3)
    fast = replace(model, steps=2)
    routed = Routed(generators=(model, fast), prompts=((1,), (0, None)))
    for prompt, owner in ((1, model), (0, fast), (None, fast)):
        drawn = routed.sample(prompt, 3, seed=4, first=2)
        assert drawn == owner.sample(prompt, 3, seed=4, first=2)
    with pytest.raises(InvalidArgument, match="no generator answers 7; answered are: 1, 0, None"):
        routed.sample(7, 1, seed=0)
    with pytest.raises(InvalidArgument, match="two generators answer 1"):
        Routed(generators=(model, fast), prompts=((1,), (0, 1)))
    with pytest.raises(InvalidArgument, match="1 generators, but prompts for 2"):
        Routed(generators=(model,), prompts=((1,), (0,)))


@pytest.mark.parametrize(
    ("prompt", "said"),
    [(2, "one of 0 to 1, got 2"), (-1, "got -1"), ("cat", "a class or None, got 'cat'")],
    ids=["above", "below", "text"],
)
def test_a_prompt_that_is_no_class_is_refused(prompt, said):
    with pytest.raises(InvalidArgument, match=said):
        OneStep(denoiser=ring8(HALVES)).sample(prompt, 1, seed=0)
    with pytest.raises(InvalidArgument):
        OneStep(denoiser=ring8()).sample(0, 1, seed=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sampler": "magic"}, "sampler must be one of euler"),
        ({"sigmas": (1.0, 2.0)}, "a schedule must fall"),
        ({"sigmas": (1.0, -1.0)}, "0 or more"),
        ({"batch": 0}, "batch must be 1"),
        ({"lo": 3.0, "hi": 1.0}, "0 < lo < hi"),
    ],
    ids=["sampler", "rises", "below zero", "batch", "levels"],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(InvalidArgument, match=said):
        DiffusionModel(denoiser=ring8(), **settings)
    with pytest.raises(InvalidArgument, match="sigma_init"):
        OneStep(denoiser=ring8(), sigma_init=0.0)
