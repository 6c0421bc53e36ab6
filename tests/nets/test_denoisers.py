"""Networks keep the shape, use all they are told, start at 0, and refuse sizes that do not fit."""

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.nets.denoisers import PatchMixer, ResMLP
from genwright.nets.unet import UNet

MADE = [
    lambda: ResMLP((2, 4, 4), 16, 2, 3),
    lambda: PatchMixer(4, 2, 16, 2, 2, 3),
    lambda: UNet(4, 2, 8, (1, 2), 2, 3),
]


@pytest.fixture(params=MADE, ids=["mlp", "mixer", "unet"])
def made(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield request.param().double()


def shaken(net):
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return net


def test_it_starts_at_zero_and_keeps_the_shape(made):
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    out = made(x, torch.zeros(3).double(), torch.tensor([0, 1, 2]))
    assert out.shape == x.shape
    assert not out.any()
    assert made.features(x, torch.zeros(3).double(), None).ndim == 2


def test_every_weight_and_every_input_matters(made):
    net = shaken(made)
    x = torch.randn(4, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    c_noise = torch.randn(4, dtype=torch.float64, requires_grad=True)
    net(x, c_noise, torch.tensor([0, 1, 2, 0])).square().sum().backward()
    assert all(weight.grad.any() for weight in net.parameters())
    assert (x.grad.flatten(1).abs() > 0).all()  # pixels too: a lost patch would show
    assert (c_noise.grad != 0).all()
    assert not torch.allclose(net(x, c_noise, None), net(x, c_noise, torch.zeros(4).long()))


def test_rows_do_not_mix(made):
    """float64; batches of other sizes may round otherwise."""
    net = shaken(made)
    x, c = torch.randn(5, 2, 4, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    cond = torch.tensor([0, 1, 2, 0, 1])
    whole, some = net(x, c, cond), net(x[2:4], c[2:4], cond[2:4])
    torch.testing.assert_close(whole[2:4], some, rtol=1e-9, atol=1e-9)


def test_settings_make_it_again(made):
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in made.settings.items()}
    again = type(made)(**settings).double()
    again.load_state_dict(made.state_dict())
    assert (again.shape, again.classes) == ((2, 4, 4), 3)


def test_a_patch_moves_with_its_place():
    """A mixer that only maps patches one by one gives each patch what it gives it elsewhere."""
    net = shaken(PatchMixer(4, 2, 8, 1).double())
    net.place.data.zero_()
    for part in net.along.parameters():
        part.data.zero_()
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    moved = torch.roll(x, 2, dims=3)
    c = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(torch.roll(net(x, c), 2, dims=3), net(moved, c))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResMLP(0),
        lambda: ResMLP(2, classes=-1),
        lambda: PatchMixer(5, 2),
        lambda: UNet(6, multiples=(1, 2, 2)),
        lambda: UNet(8, width=12),
    ],
    ids=["empty", "classes", "patch", "halves", "width"],
)
def test_sizes_that_do_not_fit_are_refused(make):
    with pytest.raises(InvalidArgument):
        make()
