"""The adapter reads on where it stopped, starts as no change, and comes back from the disk."""

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.nets.adapters import RecurrentAdapter


def wild(**settings):
    torch.manual_seed(0)
    adapter = RecurrentAdapter(6, hidden=5, **settings)
    for weight in adapter.parameters():
        torch.nn.init.normal_(weight)
    return adapter


def test_an_untrained_adapter_changes_nothing_and_leans_to_nobody():
    found = RecurrentAdapter(6, hidden=5)(torch.randn(2, 3, 6))
    assert not found.shift.any()
    assert torch.allclose(found.chosen.exp(), torch.full((2, 3, 2), 0.5))
    assert not found.values.any()
    leaning = RecurrentAdapter(6, hidden=5, lean=0.2)(torch.randn(1, 3, 6)).chosen.exp()
    assert torch.allclose(leaning, torch.tensor([0.8, 0.2]).expand(1, 3, 2))


def test_reading_in_pieces_is_reading_at_once():
    adapter, x = wild(), torch.randn(2, 5, 6)
    whole = adapter(x)
    first = adapter(x[:, :2])
    rest = adapter(x[:, 2:], first.state)
    for name in ("shift", "chosen", "values"):
        pieces = torch.cat([getattr(first, name), getattr(rest, name)], 1)
        assert torch.allclose(pieces, getattr(whole, name), atol=1e-6)


def test_without_a_selector_the_adapter_always_writes():
    chosen = wild(selects=False)(torch.randn(1, 3, 6)).chosen
    assert torch.equal(chosen.exp(), torch.tensor([0.0, 1.0]).expand(1, 3, 2))


def test_it_comes_back_from_the_disk(tmp_path):
    adapter, x = wild(layers=1, selects=False), torch.randn(1, 3, 6)
    adapter.save(tmp_path / "new")
    again = RecurrentAdapter.load(tmp_path / "new")
    assert torch.equal(again(x).shift, adapter(x).shift)
    assert again.shape == adapter.shape


def test_bad_input(tmp_path):
    with pytest.raises(InvalidArgument, match="1 or more"):
        RecurrentAdapter(6, hidden=0)
    with pytest.raises(InvalidArgument, match="lean must be"):
        RecurrentAdapter(6, lean=0)
    with pytest.raises(InvalidArgument, match="holds no adapter"):
        RecurrentAdapter.load(tmp_path)
