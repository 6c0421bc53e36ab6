"""One trainer: it learns the teacher's law, costs what it says, shares its rules, and resumes."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument, TrainingError, describe
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import StudentT
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.course import weights_of
from genwright.learning.denoising import DenoisingLearner, untrained
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.parts import GanHead, Regression, Stream
from genwright.learning.distillation.rules import FDivergence, ScoreImplicit, Sid
from genwright.nets.denoisers import ResMLP

LAW = GaussianMixture((0.5, 0.5), ((-1.5,), (1.5,)), 0.3, (0, 1))
EXACT = DiffusionModel(denoiser=LAW, steps=8)


def net(classes=2, seed=0, width=24):
    return Denoiser(untrained(lambda: ResMLP(1, width, 2, classes), seed=seed), Edm(sigma_data=1.5))


@pytest.fixture(scope="module")
def start():
    """A student that knows its teacher's denoiser, as one copied from a trained teacher does."""
    learner = DenoisingLearner(steps=200, batch=128, learning_rate=5e-3, ema=0.95, target=LAW)
    return learner.fit(DiffusionModel(denoiser=net()), LAW, seed=0).denoiser


TINY = Match(steps=3, batch=8, fake_per_step=2, student=net(), ema=0.5)


def values(generator):
    return list(generator.denoiser.net.state_dict().values())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(values(one), values(other), strict=True))


@pytest.mark.parametrize(
    "rule",
    ["reverse_kl", "sid", "score_implicit", FDivergence(kind="js")],
    ids=["reverse_kl", "sid", "sim", "js"],
)
def test_one_step_comes_to_the_law_of_the_teacher(rule, start):
    """From draws of the wrong width (posterior means at sigma 2.5) to mean and width per class."""
    learner = Match(
        rule=rule,
        student=start,
        steps=150,
        fake_per_step=2,
        batch=64,
        learning_rate=1e-3,
        fake_rate=4e-3,
        ema=0.95,
        head=GanHead() if isinstance(rule, FDivergence) else None,
    )
    found = learner.fit(EXACT, LAW, seed=0)
    for c, mean in ((0, -1.5), (1, 1.5)):
        drawn = found.sample(c, 400, seed=1).values
        assert drawn.mean() == pytest.approx(mean, abs=0.15)
        assert drawn.std() == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize(
    ("settings", "units"),
    [
        ({"rule": "reverse_kl", "fake_per_step": 5}, 5 * 3 + 2 + 1 + 1),
        ({"rule": "sid", "fake_per_step": 1}, 3 + 2 + 2 + 2),
        ({"rule": "reverse_kl", "fake_per_step": 1, "head": GanHead()}, 3 + 2 * 2 + 2 + 1 + 1 + 2),
        ({"rule": None, "pairs": Regression(n=8)}, 2),
    ],
    ids=["reverse_kl", "sid", "head", "regression"],
)
def test_a_step_costs_its_units(settings, units):
    """Forward 1, gradients to inputs 1, to weights 1, for student, fake and teacher alike."""
    meter = Meter(net().net)
    replace(TINY, **settings).fit(replace(EXACT, batch=4), LAW, seed=0, meter=meter)
    pairs = 8 * 15 if settings.get("pairs") else 0  # Heun's evaluations in 8 steps
    assert meter.units == 3 * 8 * units + pairs


def test_it_ends_when_the_units_are_spent():
    meter = Meter(net().net)
    replace(TINY, units=2.0 * 8 * 10, steps=99).fit(EXACT, seed=0, meter=meter)
    assert meter.units == 2 * 8 * (2 * 3 + 4)  # two steps of it


def test_two_streams_of_half_weight_are_one():
    halves = (Stream(weight=0.5, fake_weight=0.5),) * 2
    for rule in ("reverse_kl", "sid"):
        whole = replace(TINY, rule=rule).fit(EXACT, seed=0)
        parts = replace(TINY, rule=rule, streams=halves).fit(EXACT, seed=0)
        for a, b in zip(values(whole), values(parts), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_stream_of_half_a_batch_costs_half_and_counts_whole():
    """Its loss is the mean over its own rows: the rule's at the first four of eight."""
    meter, whole = Meter(net().net), Meter(net().net)
    both = (Stream(), Stream(classes=(0,), share=0.5))
    replace(TINY, streams=both).fit(EXACT, seed=0, meter=meter)
    TINY.fit(EXACT, seed=0, meter=whole)
    assert meter.units == 1.5 * whole.units
    same_rows = (Stream(share=0.5),)
    small = replace(TINY, streams=same_rows, steps=1, rule="sid").fit(EXACT, seed=0)
    halves = (Stream(weight=0.5, fake_weight=0.5, share=0.5),) * 2
    twice = replace(TINY, streams=halves, steps=1, rule="sid").fit(EXACT, seed=0)
    for a, b in zip(values(small), values(twice), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_stream_without_weight_changes_nothing_bit_for_bit():
    nothing = Stream(weight=0.0, fake_weight=0.0, classes=(0,), teacher=(1,))
    plain = replace(TINY, rule="sid").fit(EXACT, seed=0)
    assert same(plain, replace(TINY, rule="sid", streams=(Stream(), nothing)).fit(EXACT, seed=0))


def test_a_stream_asks_the_teacher_for_another_class(start):
    """Class 0 is taught as class 1 alone: both are drawn at 1.5."""
    streams = (Stream(classes=(1,)), Stream(classes=(0,), teacher=(1,)))
    learner = Match(rule="reverse_kl", student=start, streams=streams, steps=80, batch=64)
    found = replace(learner, learning_rate=2e-3, fake_rate=6e-3, ema=0.9).fit(EXACT, seed=0)
    assert [found.sample(c, 200, seed=1).values.mean() for c in (0, 1)] == pytest.approx(
        [1.5, 1.5], abs=0.2
    )


@pytest.mark.parametrize("head", [None, GanHead()], ids=["no head", "head"])
def test_a_killed_training_goes_on_to_the_same_weights(head, tmp_path):
    class Killed(Exception):
        pass

    def kill(name, step, value):
        if step == 2:
            raise Killed

    learner = replace(TINY, head=head, steps=4)
    whole = learner.fit(EXACT, LAW, seed=3)
    kept = replace(learner, folder=str(tmp_path), save_every=1)
    with pytest.raises(Killed):
        kept.fit(EXACT, LAW, seed=3, watch=kill)
    seen, meter = [], Meter(net().net)
    found = kept.fit(EXACT, LAW, seed=3, watch=lambda n, s, v: seen.append(s), meter=meter)
    assert set(seen) == {2, 3}
    drawn = [g.sample(1, 5, seed=0) for g in (whole, found, kept.fit(EXACT, LAW, seed=3))]
    assert drawn[0] == drawn[1] == drawn[2]
    again = Meter(net().net)
    learner.fit(EXACT, LAW, seed=3, meter=again)
    assert meter.units == again.units


def test_the_guidance_of_the_teacher_is_distilled(start):
    """Pushed away from both classes together, class 1 moves beyond its mean of 1.5 and 0 stays."""
    learner = Match(student=start, steps=60, batch=64, learning_rate=2e-3, fake_rate=6e-3, ema=0.9)
    pushed = replace(EXACT, guidance=2.0)
    plain, guided = (learner.fit(g, seed=0).sample(1, 300, seed=1) for g in (EXACT, pushed))
    assert plain.values.mean() + 0.1 < guided.values.mean()
    meter = Meter(net().net)
    teacher = DiffusionModel(denoiser=net(), guidance=2.0)
    replace(TINY, steps=1).fit(teacher, seed=0, meter=meter)
    assert meter.units == 8 * (2 * 3 + 2 + 2 + 1)  # the teacher is asked twice


def test_without_a_head_no_data_is_touched():
    class Untouchable:
        def __getattribute__(self, name):
            raise AssertionError(f"data was asked for {name}")

    found = TINY.fit(EXACT, Untouchable(), seed=0)
    assert same(found, TINY.fit(EXACT, seed=0))


def test_the_teacher_and_the_start_stay_as_they_are():
    teacher = DiffusionModel(denoiser=net(seed=5))
    before, began = weights_of(teacher.denoiser), weights_of(TINY.student)
    found = replace(TINY, student=None).fit(teacher, seed=0)
    TINY.fit(teacher, seed=0)
    assert weights_of(teacher.denoiser) == before
    assert weights_of(TINY.student) == began
    assert weights_of(found.denoiser) != before


def test_the_fake_starts_as_the_teacher_where_it_has_weights():
    """A small student of a larger teacher: its fake is the teacher's size, and costs as much."""
    teacher = net(width=48)
    small, meter = net(width=8), Meter(teacher.net)
    Match(student=small, steps=1, batch=8, fake_per_step=1).fit(
        DiffusionModel(denoiser=teacher), seed=0, meter=meter
    )
    size = sum(p.numel() for p in small.net.parameters())
    share = size / sum(p.numel() for p in teacher.net.parameters())
    assert meter.units == pytest.approx(8 * (share + 2 + 2 * share + 1 + 1))


def test_regression_alone_learns_the_pairing(start):
    learner = Match(
        rule=None,
        pairs=Regression(n=256),
        student=start,
        steps=150,
        batch=64,
        learning_rate=3e-3,
        ema=0.9,
    )
    found = learner.fit(EXACT, seed=0)
    from genwright.learning.distillation.pairs import ode_pairs

    pairs = ode_pairs(EXACT, 256, seed=0)
    with torch.no_grad():
        error = found.denoiser(2.5 * pairs.noise, 2.5, pairs.classes) - pairs.data
    assert error.square().mean().item() < 0.02


def test_a_loss_that_is_not_finite_says_which(tmp_path):
    broken = net()
    with torch.no_grad():
        next(broken.net.parameters()).fill_(float("nan"))
    learner = replace(TINY, student=broken, folder=str(tmp_path))
    with pytest.raises(
        TrainingError, match=r"step 0: the fake's loss is not finite in 8 of 8 rows"
    ):
        learner.fit(EXACT, seed=0)
    assert (tmp_path / "checkpoint" / "state.pt").is_file()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": 0}, "steps must be 1"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"ema": 1.0}, "ema must be in"),
        ({"rule": "f_divergence"}, "head=GanHead"),
        ({"rule": None}, "needs pairs"),
        ({"rule": "nothing"}, "no rule is called"),
    ],
    ids=["steps", "clip", "ema", "head", "pairs", "rule"],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(InvalidArgument, match=said):
        Match(**settings)


def test_what_does_not_fit_is_named():
    with pytest.raises(InvalidArgument, match="Match: works under Gaussian noise alone"):
        TINY.fit(replace(EXACT, noise=StudentT(4.0)), seed=0)
    with pytest.raises(InvalidArgument, match="has no weights to start from; give student="):
        Match().fit(EXACT, seed=0)
    with pytest.raises(InvalidArgument, match="there is no class 7; classes are 0 to 1"):
        replace(TINY, streams=(Stream(classes=(7,)),)).fit(EXACT, seed=0)
    with pytest.raises(InvalidArgument, match="nothing to train on"):
        replace(TINY, head=GanHead()).fit(EXACT, [], seed=0)


def test_it_is_described_by_rules_and_parts():
    told = describe(Match(rule=ScoreImplicit(), streams=(Stream(classes=(1,)),)))
    assert told["rule"]["distance"]["c"] == 0.01
    assert told["streams"][0]["classes"] == [1]
    assert describe(Match(rule=Sid(alpha=1.0))) != describe(Match(rule=Sid()))
