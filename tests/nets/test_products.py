"""Every way to multiply gives the plain product, to the precision of its numbers, row by row."""

import pytest

pytest.importorskip("torch")

import torch

from genwright.nets.products import Dense, Int8, Packed, product

TOLERANCE = [(Dense, "float32", 1e-5), (Packed, "float32", 1e-5), (Int8, "float32", 0.03)]
WAYS = [*TOLERANCE, (Packed, "bfloat16", 0.02)]


def case(dtype, rows=5):
    dice = torch.Generator().manual_seed(0)
    sizes = ((rows, 48), (32, 48), (rows, 32))
    return [torch.randn(size, generator=dice).to(getattr(torch, dtype)) for size in sizes]


@pytest.mark.parametrize(("way", "dtype", "tolerance"), WAYS)
@pytest.mark.parametrize("adds", [False, True])
def test_it_is_the_plain_product(way, dtype, tolerance, adds):
    x, weight, add = case(dtype)
    weight[3] *= 40  # outputs of very different size keep their own precision
    x[2] *= 100
    found = way(weight)(x, add if adds else None).float()
    wanted = x.float() @ weight.float().T
    size = x.float().norm(dim=1)[:, None] * weight.float().norm(dim=1)
    assert ((found - wanted - adds * add.float()).abs() / size).max() < tolerance
    assert found.dtype == torch.float32


def test_eight_bits_treat_each_row_by_itself():
    x, weight, _ = case("float32")
    together = Int8(weight)(x * torch.tensor([[1.0], [1e3], [1e-3], [1.0], [1.0]]))
    assert torch.equal(together[0], Int8(weight)(x[:1])[0])


def test_a_row_of_zeros_gives_zeros():
    _, weight, add = case("float32")
    zeros = torch.zeros(5, 48)
    assert torch.equal(Int8(weight)(zeros).nan_to_num(9.0), torch.zeros(5, 32))
    assert torch.equal(Int8(weight)(zeros, add), add)


def test_the_fastest_way_is_chosen_and_says_what_it_reads():
    weight = case("float32")[1]
    assert isinstance(product(weight), Packed)
    assert isinstance(product(weight, int8=True), Int8)
    assert (product(weight).bytes, product(weight, int8=True).bytes) == (6144, 32 * 48 + 32 * 4)
