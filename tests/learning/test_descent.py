import pytest

from genwright.core import TrainingError
from genwright.learning.descent import descend, rate_at

torch = pytest.importorskip("torch")


def test_the_rate_rises_to_its_peak_and_falls_to_a_tenth():
    rates = [rate_at(step, peak=2.0, warmup=4, steps=20) for step in range(20)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4] == 2.0
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rate_at(20, peak=2.0, warmup=4, steps=20) == pytest.approx(0.2)


def test_a_step_goes_down_by_the_rate_along_a_gradient_of_length_one_at_most():
    weight = torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=9.0)
    assert descend((weight**2).sum(), [weight], optimizer, step=0, rate=0.5) == 9.0
    assert weight.item() == pytest.approx(2.5)  # the gradient, 6, is cut to 1
    assert weight.grad is None


def test_a_loss_that_is_not_finite_moves_nothing():
    weight = torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with pytest.raises(TrainingError, match=r"nan at step 7\. A lower learning_rate"):
        descend((weight * float("nan")).sum(), [weight], optimizer, step=7, rate=1.0)
    assert weight.item() == 3.0


def test_groups_take_the_rate_but_those_with_one_of_their_own():
    free, fixed = (torch.tensor([3.0], requires_grad=True) for _ in range(2))
    groups = [{"params": [free]}, {"params": [fixed], "lr": 0.25, "fixed": True}]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    descend((free + fixed).sum(), [free, fixed], optimizer, step=0, rate=0.5, clip=9.0)
    assert (free.item(), fixed.item()) == (2.5, 2.75)
