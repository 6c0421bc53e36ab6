"""Forgetting is two streams: the others as ever, and the forgotten matched to a safe class."""

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.noise import Batch
from genwright.learning.distillation.forgetting import forget
from genwright.learning.distillation.parts import Stream
from genwright.learning.distillation.rules import Matched, Sid

LAW = GaussianMixture((0.5, 0.5), ((-1.0,), (1.0,)), 0.3, (0, 1))


def test_the_streams_are_those_of_the_paper():
    kept, gone = forget({3}, of=5, override=1)
    assert kept == Stream(classes=(0, 1, 2, 4))
    assert gone == Stream(classes=(3,), teacher=(1,), weight=0.01, fake_weight=0.01, share=0.25)
    assert forget([3, 0], of=5)[1].teacher == (1, 2, 4)


def test_the_teacher_is_asked_for_the_override_and_the_fake_for_the_forgotten():
    own, other = forget({3}, of=5, override=1)[1].draw(50, 5, Batch(0))
    assert own.tolist() == [3] * 50
    assert other.tolist() == [1] * 50
    own, other = forget({3, 0}, of=5)[1].draw(400, 5, Batch(0))
    assert set(own.tolist()) == {0, 3}
    assert set(other.tolist()) == {1, 2, 4}
    own, other = forget({3}, of=5)[0].draw(400, 5, Batch(0))
    assert torch.equal(own, other)
    assert set(own.tolist()) == {0, 1, 2, 4}


def test_a_student_that_draws_the_override_is_left_alone_and_no_other_is():
    """With exact denoisers: the fixed point for the forgotten class is the override's law."""
    z, n = Batch(1).normal((4000, 1)), Batch(2).normal((4000, 1))
    sigma = torch.full((4000,), 0.5, dtype=torch.float64)
    pulls = {}
    for c in (0, 1):
        mean = torch.tensor(-1.0 if c == 0 else 1.0, dtype=torch.float64, requires_grad=True)
        x_0 = mean + 0.3 * z
        x = x_0 + 0.5 * n
        real = LAW(x, 0.5, torch.ones(4000).long())  # the override, class 1
        fake = LAW(x, 0.5, torch.full((4000,), c))  # the student's own law
        (pull,) = torch.autograd.grad(Sid()(Matched(x_0, x, sigma, real, fake)).mean(), mean)
        pulls[c] = pull.item()
    assert pulls[1] == pytest.approx(0, abs=1e-12)
    assert pulls[0] < -0.1  # against the gradient is towards the override


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"classes": [], "of": 3}, "give some of the 3 classes"),
        ({"classes": [0, 1, 2], "of": 3}, "give some of the 3 classes"),
        ({"classes": [5], "of": 3}, "there is no class 5; classes are 0 to 2"),
        ({"classes": [1], "of": 3, "override": 3}, "there is no class 3"),
        ({"classes": [1], "of": 3, "override": 1}, "forgotten itself"),
    ],
    ids=["none", "all", "unknown", "override", "itself"],
)
def test_what_cannot_be_forgotten_is_refused(arguments, said):
    with pytest.raises(InvalidArgument, match=said):
        forget(**arguments)
