"""The formula for operations against a counter of every product that is computed."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from genwright.core import Chunk, InvalidArgument, Vocabulary
from genwright.generators.language.hf import FastLlama
from genwright.generators.language.kv_predictor import KVPredictor
from genwright.generators.language.prompts import ReadPrompt
from genwright.nets import llama as net
from genwright.nets.kv_prediction import KVMaps
from genwright.nets.products import Dense
from genwright.serving.kv_prediction import ttft_flops


def config(layers, hidden=48):
    return transformers.LlamaConfig(
        vocab_size=97,
        hidden_size=hidden,
        intermediate_size=80,
        num_hidden_layers=layers,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=hidden // 6,
    )


@pytest.fixture
def fast(monkeypatch):
    """Make token models whose products the counter sees: packed ones are opaque to it.

    So is the fused attention, which the tests leave for the plain one.
    """
    monkeypatch.setattr(net, "product", lambda weight, **settings: Dense(weight))
    words = Vocabulary([b"x"] * 97, frozenset({96}), lambda text: [], "letters")
    return lambda layers, hidden=48: FastLlama(
        transformers.LlamaForCausalLM(config(layers, hidden)).eval(), words
    )


@pytest.mark.parametrize("tokens", [1, 2, 17])
def test_exact_prefill_takes_what_is_counted(fast, tokens):
    model = fast(3)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        model.step([Chunk(model.new_cache(), list(range(tokens)))])
    assert ttft_flops(config(3), tokens) == counted.get_total_flops()


@pytest.mark.parametrize("sinks", [0, 1, 3])
@pytest.mark.parametrize("tokens", [1, 2, 17])
def test_predicted_prefill_takes_what_is_counted(fast, tokens, sinks):
    model, small = fast(3), fast(2, 36)
    cross = sinks != 3
    maps = KVMaps((0, 0, 1), auxiliary=2, inputs=12, outputs=16, cross=cross)
    predictor = KVPredictor(small, model, maps, sinks=sinks)
    prompt = ReadPrompt(tuple(range(tokens)), model.new_cache(), 0, ahead=predictor.begin())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        left = predictor.read(prompt, tokens)
        model.step([Chunk(prompt.cache, prompt.tokens[tokens - left :])])
    found = ttft_flops(config(3), tokens, auxiliary=config(2, 36), sinks=sinks, cross=cross)
    assert found == counted.get_total_flops()


def test_a_prompt_of_no_token_is_refused():
    with pytest.raises(InvalidArgument, match="1 or more"):
        ttft_flops(config(1), 0)
