"""The maps by hand, and the two hooks against a model's own keys and values."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from genwright.core import InvalidArgument
from genwright.nets.kv_prediction import (
    KVMaps,
    nearest_kept,
    projections,
    recorded,
    replaced,
    rotate,
    spread,
)

IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])


def llama(seed=0, **shape):
    torch.manual_seed(seed)
    settings = {
        "vocab_size": 97,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
    }
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**(settings | shape))).eval()


def maps(*, cross):
    torch.manual_seed(1)
    made = KVMaps((0, 0, 1), auxiliary=2, inputs=4, outputs=6, cross=cross)
    for weight in made.parameters():
        torch.nn.init.normal_(weight)
    return made


@pytest.mark.parametrize("cross", [False, True])
def test_each_base_layer_is_a_linear_map_of_its_auxiliary_layer(cross):
    """The paper's maps take keys to keys and values to values; ours take both to each."""
    made, keys, values = maps(cross=cross), torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    found_keys, found_values = made(keys, values)
    for layer, j in enumerate((0, 0, 1)):
        both = torch.cat([keys[j], values[j]], 1)
        wanted = (both if cross else keys[j]) @ made.keys[layer] + made.key_bias[layer]
        assert torch.allclose(found_keys[layer], wanted, atol=1e-5)
        wanted = (both if cross else values[j]) @ made.values[layer] + made.value_bias[layer]
        assert torch.allclose(found_values[layer], wanted, atol=1e-5)


@pytest.mark.parametrize("cross", [False, True])
def test_maps_of_equal_sizes_start_as_the_identity(cross):
    keys, values = torch.randn(1, 5, 4), torch.randn(1, 5, 4)
    found = KVMaps((0, 0), auxiliary=1, inputs=4, outputs=4, cross=cross)(keys, values)
    assert torch.allclose(found[0], keys.expand(2, 5, 4))
    assert torch.allclose(found[1], values.expand(2, 5, 4))


def test_the_paper_s_layer_maps():
    """28 base layers from 20: the first eight serve two; half of the layers serve two each."""
    of_20 = spread(28, 20)
    assert [of_20.count(j) for j in range(20)] == [2] * 8 + [1] * 12
    assert spread(6, 3) == (0, 0, 1, 1, 2, 2)
    assert list(of_20) == sorted(of_20)
    assert nearest_kept(8, (0, 1, 2, 4, 5, 6)) == (0, 1, 2, 2, 3, 4, 5, 5)
    assert nearest_kept(6, (0, 3)) == (0, 0, 0, 1, 1, 1)


@pytest.mark.parametrize("layer_map", [(0, 2), (-1, 0), (1, 0), ()], ids=str)
def test_a_layer_map_out_of_range_or_falling_is_refused(layer_map):
    with pytest.raises(InvalidArgument, match="layer map"):
        KVMaps(layer_map, auxiliary=2, inputs=4, outputs=4)


def test_rotation_is_that_of_transformers_and_is_undone_by_negated_positions():
    model = llama()
    keys = torch.randn(1, 2, 7, 8)  # [B, K, N, D]
    positions = torch.arange(3, 10)
    cos, sin = model.model.rotary_emb(keys, positions[None])
    _, wanted = transformers.models.llama.modeling_llama.apply_rotary_pos_emb(keys, keys, cos, sin)
    plain = keys[0].transpose(0, 1)
    turned = rotate(plain, positions, model.model.rotary_emb.inv_freq)
    assert torch.allclose(turned, wanted[0].transpose(0, 1), atol=1e-6)
    again = rotate(turned, -positions, model.model.rotary_emb.inv_freq)
    assert torch.allclose(again, plain, atol=1e-5)


def test_what_is_recorded_and_put_back_changes_nothing_and_what_is_put_matters():
    model = llama()
    with torch.no_grad():
        with recorded(model) as own:
            wanted = model(input_ids=IDS, use_cache=False).logits
        keys, values = own.stacked()
        assert torch.equal(
            keys[0].view(2, 4, -1),
            model.model.layers[0].self_attn.k_proj(
                model.model.layers[0].input_layernorm(model.model.embed_tokens(IDS))
            ),
        )
        with replaced(model, keys, values):
            assert torch.allclose(model(input_ids=IDS, use_cache=False).logits, wanted, atol=1e-5)
        with replaced(model, keys, values + 1.0):
            moved = model(input_ids=IDS, use_cache=False).logits
        assert (moved - wanted).abs().max() > 0.1
        with replaced(model, keys, values + 1.0, sinks=1):
            kept = model(input_ids=IDS, use_cache=False).logits
        assert torch.allclose(kept[:, 0], wanted[:, 0], atol=1e-5)
        assert (kept - wanted)[:, 1].abs().max() > 0.1
        assert torch.equal(model(input_ids=IDS, use_cache=False).logits, wanted)  # hooks are gone


def test_the_base_applies_its_own_key_norm():
    """Qwen3 norms its keys: put-in keys are taken before that, so doubling them changes nothing."""
    torch.manual_seed(0)
    shape = {"vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 2, "head_dim": 8}
    config = transformers.Qwen3Config(**shape, num_attention_heads=6, num_key_value_heads=2)
    model = transformers.Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        with recorded(model) as own:
            wanted = model(input_ids=IDS, use_cache=False).logits
        keys, values = own.stacked()
        with replaced(model, 2.0 * keys, values):
            found = model(input_ids=IDS, use_cache=False).logits
    assert torch.allclose(found, wanted, atol=1e-4)


def test_a_model_without_key_projections_is_refused():
    config = transformers.GPT2Config(n_embd=48, n_layer=1, n_head=6, vocab_size=97)
    with pytest.raises(InvalidArgument, match="k_proj"):
        projections(transformers.GPT2LMHeadModel(config))
