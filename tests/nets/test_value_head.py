"""The value head is tanh of a linear map that knows nothing at first and comes back from disk."""

import pytest

pytest.importorskip("torch")
import torch

from genwright.nets.value_head import ValueHead


def test_it_is_tanh_of_a_linear_map():
    head, hidden = ValueHead(4), torch.randn(2, 3, 4)
    assert torch.equal(head(hidden), torch.zeros(2, 3))
    head.map.weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0, 0.5]]))
    wanted = torch.tanh(hidden @ torch.tensor([1.0, -2.0, 0.0, 0.5]))
    assert torch.allclose(head(hidden), wanted)


def test_it_comes_back_from_its_folder(tmp_path):
    head = ValueHead(4)
    head.map.weight.data.normal_()
    head.save(tmp_path)
    back = ValueHead.load(tmp_path)
    assert back is not None
    assert torch.equal(back.map.weight, head.map.weight)
    assert ValueHead.load(tmp_path / "nowhere") is None
