"""Units are counted by where gradients go, and by size."""

import pytest

pytest.importorskip("torch")
import torch
from torch import nn

from genwright.generators.diffusion.exact import ring8
from genwright.generators.diffusion.meter import Meter, size_of


@pytest.mark.parametrize(
    ("inputs", "weights", "units"),
    [(False, False, 5), (True, False, 10), (False, True, 10), (True, True, 15)],
    ids=["forward", "to inputs", "to weights", "to both"],
)
def test_a_unit_is_a_forward_pass_and_one_for_each_way_gradients_go(inputs, weights, units):
    net = nn.Linear(3, 3).requires_grad_(weights)
    meter = Meter(net)
    with meter.watching(net):
        net(torch.zeros(5, 3, requires_grad=inputs))
        with torch.no_grad():
            net(torch.zeros(2, 3, requires_grad=inputs))
    net(torch.zeros(7, 3))
    assert (meter.units, meter.evaluations) == (units + 2, 7)


def test_a_smaller_network_costs_its_share_and_an_exact_denoiser_one():
    teacher, student = nn.Linear(9, 9), nn.Linear(2, 9)
    meter = Meter(teacher)
    with meter.watching(student), torch.no_grad():
        student(torch.zeros(4, 2))
    assert meter.units == pytest.approx(4 * 27 / 90)
    exact = meter.counted(ring8())
    exact(torch.zeros(6, 2), 1.0)
    exact(torch.zeros(6, 2, requires_grad=True), torch.ones(6))
    assert meter.units == pytest.approx(4 * 27 / 90 + 6 + 12)
    assert size_of(teacher) == 90
