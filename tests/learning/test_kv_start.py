"""Pruned models by hand, and ridge regression against its own optimum."""

import pytest

pytest.importorskip("transformers")

import torch
import transformers

from genwright.core import InvalidArgument
from genwright.learning.kv_start import RIDGE, prune_layers, ridge
from genwright.nets.kv_prediction import KVMaps, recorded

IDS = torch.randint(0, 97, (4, 12), generator=torch.Generator().manual_seed(0))


def llama(layers=4, seed=0):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=97,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=layers,
        num_attention_heads=3,
        num_key_value_heads=1,
        initializer_range=0.3,
    )
    return transformers.LlamaForCausalLM(config).eval()


def test_a_pruned_model_is_the_base_with_the_other_layers_skipped():
    base = llama()
    pruned = prune_layers(base, (0, 2, 3))
    wanted = pruned(input_ids=IDS).logits
    del base.model.layers[1]
    base.config.num_hidden_layers = 3
    assert torch.allclose(base(input_ids=IDS, use_cache=False).logits, wanted, atol=1e-5)
    assert [layer.self_attn.layer_idx for layer in pruned.model.layers] == [0, 1, 2]


def test_training_a_pruned_model_leaves_the_base_alone():
    base = llama()
    before = base.model.layers[0].mlp.up_proj.weight.clone()
    with torch.no_grad():
        prune_layers(base, (0, 1)).model.layers[0].mlp.up_proj.weight.add_(1.0)
    assert torch.equal(base.model.layers[0].mlp.up_proj.weight, before)


@pytest.mark.parametrize("keep", [(), (1, 2), (0, 2, 1), (0, 0), (0, 4)], ids=str)
def test_layers_out_of_order_or_range_are_refused(keep):
    with pytest.raises(InvalidArgument, match="keep must rise from 0 to at most 3"):
        prune_layers(llama(), keep)


def test_ridge_finds_the_identity_where_the_keys_are_the_same():
    base = llama()
    maps = KVMaps((0, 1, 2, 3), auxiliary=4, inputs=8, outputs=8, cross=False)
    with torch.no_grad():
        maps.keys.zero_()
    assert ridge(maps, llama(), base, [IDS[:2], IDS[2:]]) == IDS.numel()
    off = (maps.keys - torch.eye(8)).abs().max()
    assert off < 0.05
    assert maps.value_bias.abs().max() < 0.05
    assert ridge(maps, llama(), base, [IDS], sinks=2) == IDS.numel() - 2 * len(IDS)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("cross", [False, True])
def test_ridge_leaves_an_error_that_no_step_of_its_maps_lowers(cross, mixed):
    """The gradient of the penalised squared error is zero there, in keys, values and biases.

    Also where the models compute in bfloat16: the sums must not.
    """
    base, small = llama(), llama(2, seed=5)
    maps = KVMaps((0, 0, 1, 1), auxiliary=2, inputs=8, outputs=8, cross=cross)
    computing = torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed)
    with torch.no_grad(), recorded(small) as x, recorded(base) as y, computing:
        ridge(maps, small, base, [IDS])
    keys, values = (found.float() for found in x.stacked())
    found, wanted = maps(keys, values), [found.float() for found in y.stacked()]
    error = sum(((a - b) ** 2).sum() for a, b in zip(found, wanted, strict=True))
    start = sum((b**2).sum() for b in wanted)
    slopes = torch.autograd.grad(error, list(maps.parameters()))
    assert error < 0.9 * start
    inputs = maps.inputs(keys, values)[0][3].double()
    n, wide = inputs.shape
    penalty = (RIDGE * (inputs**2).sum(0).mean()).sqrt() * torch.eye(wide, wide + 1)
    rows = torch.cat([torch.cat([inputs, torch.ones(n, 1)], 1), penalty])
    aims = torch.cat([wanted[0][3].double(), torch.zeros(wide, 8)])
    least = torch.linalg.lstsq(rows, aims).solution
    assert torch.allclose(maps.keys[3].double(), least[:-1], atol=2e-3)
    for slope in slopes:
        assert slope.abs().max() < 5e-3 * start


def test_ridge_on_no_text_is_refused():
    with pytest.raises(InvalidArgument, match="at least one token"):
        ridge(KVMaps((0,), auxiliary=1, inputs=8, outputs=8), llama(1), llama(1), [])
