"""Students share conditions, budget and nothing else; each is the one that it would be alone."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, child_seed
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.denoising import untrained
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.multi_student import MultiStudent, partition
from genwright.learning.distillation.parts import Stream
from genwright.learning.examples import Part, source_of
from genwright.nets.denoisers import ResMLP

LAW = GaussianMixture((0.25,) * 4, ((-1.0,), (-0.5,), (0.5,), (1.0,)), 0.1, (0, 1, 2, 3))
EXACT = DiffusionModel(denoiser=LAW)
STUDENT = Denoiser(untrained(lambda: ResMLP(1, 8, 1, 4), seed=0), Edm())
MATCH = Match(student=STUDENT, steps=3, batch=8, fake_per_step=1, ema=0.5)


def drawn(generator, c):
    return generator.sample(c, 6, seed=3).values


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(1, 9), st.randoms())
def test_a_partition_covers_every_condition_once_whatever_their_order(conditions, k, random):
    k = min(k, len(conditions))
    shuffled = sorted(conditions)
    random.shuffle(shuffled)
    parts = partition(shuffled, k)
    assert parts == partition(conditions, k)
    assert [c for part in parts for c in part] == sorted(conditions)  # consecutive blocks
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == k


def test_a_partition_may_follow_a_function():
    assert partition(range(6), 2, by=lambda c: c % 2) == [(0, 2, 4), (1, 3, 5)]
    with pytest.raises(InvalidArgument, match="makes 3 parts, not 2"):
        partition(range(6), 2, by=lambda c: c % 3)
    with pytest.raises(InvalidArgument, match="given twice"):
        partition([1, 1], 1)
    with pytest.raises(InvalidArgument, match="k must be 1 to 2, got 3"):
        partition([1, 2], 3)


def test_one_student_is_plain_match():
    one = MultiStudent(match=MATCH, k=1).fit(EXACT, seed=5)
    plain = MATCH.fit(EXACT, seed=5)
    for c in range(4):
        assert np.array_equal(drawn(one, c), drawn(plain, c))


def test_each_student_is_match_on_its_part_and_answers_for_it_bit_for_bit():
    found = MultiStudent(match=MATCH, k=2).fit(EXACT, seed=5)
    for j, part in enumerate([(0, 1), (2, 3)]):
        alone = replace(MATCH, streams=(Stream(classes=part),))
        owner = alone.fit(EXACT, seed=child_seed(5, j))
        for c in part:
            assert np.array_equal(drawn(found, c), drawn(owner, c))
    with pytest.raises(InvalidArgument, match="no generator answers 4; answered are: 0, 1, 2, 3"):
        drawn(found, 4)


@pytest.mark.parametrize("matching", [0, 64], ids=["plain", "matched"])
def test_units_are_split_not_multiplied(matching):
    """One step of overshoot for each student at most: (3 + 4) 16 units here."""
    match = replace(MATCH, batch=16, steps=10**6, units=4000.0)
    for k in (1, 4):
        meter = Meter(STUDENT.net)
        learner = MultiStudent(match=match, k=k, matching=matching)
        learner.fit(EXACT, LAW, seed=0, meter=meter)
        assert 4000 <= meter.units <= 4000 + k * 7 * 16


def test_matching_moves_a_student_towards_the_teacher_before_distillation():
    """With no weight on the rule what is left is teacher score matching on its own part."""
    still = replace(MATCH, learning_rate=1e-9, batch=64)
    found = MultiStudent(match=still, k=2, matching=64 * 150).fit(EXACT, LAW, seed=0)
    student = found.generators[0].denoiser
    x, cond = torch.tensor([[-0.9], [-0.6]]), torch.tensor([0, 1])
    with torch.no_grad():
        gaps = [(d(x, 0.5, cond) - LAW(x, 0.5, cond)).abs().max() for d in (student, STUDENT)]
    assert gaps[0] < gaps[1] / 2


def test_a_killed_training_repeats_no_finished_student(tmp_path):
    class Killed(Exception):
        pass

    seen = []

    def kill(name, step, value):
        seen.append(step)
        if len(seen) == 8:  # two losses a step, three steps a student: in the second student
            raise Killed

    learner = MultiStudent(match=MATCH, k=2, folder=str(tmp_path))
    with pytest.raises(Killed):
        learner.fit(EXACT, seed=1, watch=kill)
    told = []
    found = learner.fit(EXACT, seed=1, watch=lambda n, s, v: told.append(s))
    assert told == [0, 0, 1, 1, 2, 2]  # the second alone
    whole = MultiStudent(match=MATCH, k=2).fit(EXACT, seed=1)
    assert all(np.array_equal(drawn(found, c), drawn(whole, c)) for c in range(4))


def test_a_killed_training_ends_with_the_units_of_one_that_was_not(tmp_path):
    """Killed in the second student, after its score matching: the same weights all the same."""

    class Killed(Exception):
        pass

    seen = []

    def kill(name, step, value):
        seen.append(name)
        if seen.count("student loss") == 8:
            raise Killed

    match = replace(MATCH, batch=16, steps=10**6, units=1500.0, save_every=1)
    learner = MultiStudent(match=match, k=2, matching=32, folder=str(tmp_path))
    whole = replace(learner, folder="").fit(EXACT, LAW, seed=1)
    with pytest.raises(Killed):
        learner.fit(EXACT, LAW, seed=1, watch=kill)
    found = learner.fit(EXACT, LAW, seed=1)
    assert all(np.array_equal(drawn(found, c), drawn(whole, c)) for c in range(4))


def test_a_part_of_data_holds_its_classes_alone():
    rows = [{"prompt": c, "completion": np.full(1, c, np.float32)} for c in range(4)] * 3
    for data in (LAW, rows):
        x, cond = source_of(Part(data, (1, 3)), (1,), 4).batch(200, Batch(0))
        assert set(cond.tolist()) == {1, 3}
        assert data is LAW or torch.equal(x[:, 0], cond.float())


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"k": 0}, "k must be 1"), ({"by": "size"}, "by must be 'blocks'"), ({"k": 5}, "as many")],
    ids=["none", "way", "many"],
)
def test_what_cannot_be_split_is_refused(settings, said):
    with pytest.raises(InvalidArgument, match=said):
        MultiStudent(match=MATCH, **settings).fit(EXACT, seed=0)
    with pytest.raises(InvalidArgument, match="matching needs data"):
        MultiStudent(match=MATCH, matching=8).fit(EXACT, seed=0)
