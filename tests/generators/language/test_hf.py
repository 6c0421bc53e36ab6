"""Token models against a plain forward pass of the same weights: rows, trees, copies, windows."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from genwright.core import Chunk, Vocabulary
from genwright.generators.language.engine import Engine
from genwright.generators.language.hf import FastLlama, HFModel, token_model
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.nets.llama import fits

SHAPE = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "eos_token_id": 3,
}
FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(**SHAPE),
    "qwen2": lambda: transformers.Qwen2Config(**SHAPE),
    "mistral": lambda: transformers.MistralConfig(**SHAPE, sliding_window=7),
    "gemma": lambda: transformers.GemmaConfig(**SHAPE, head_dim=8),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=97, n_embd=48, n_layer=3, n_head=6, initializer_range=0.3, eos_token_id=3
    ),
}
VOCABULARY = Vocabulary([b"x"] * 97, frozenset({96}), lambda text: [], "letters")
CASES = [("llama", FastLlama), *((family, HFModel) for family in FAMILIES)]


def fresh(family):
    torch.manual_seed(1)
    config = FAMILIES[family]()
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def truth(family, tokens):
    """Logits after every token, by the model's own attention."""
    with torch.no_grad():
        return fresh(family)(torch.tensor([tokens])).logits[0].numpy()


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def case(request):
    family, kind = request.param
    return family, kind(fresh(family), VOCABULARY)


def close(found, wanted):
    assert abs(found - wanted).max() < 2e-4


def test_a_prompt_in_pieces_equals_one_forward_pass(case):
    family, model = case
    tokens = list(range(5, 25))
    cache = model.new_cache()
    close(model.step([Chunk(cache, tokens[:9])])[0], truth(family, tokens)[8])
    close(model.step([Chunk(cache, tokens[9:], None, True)]), truth(family, tokens)[9:])


def test_many_sequences_in_one_step_equal_each_alone(case):
    """Rows of two prompts, chunks of several lengths, a draft tree, and a prompt being read."""
    family, model = case
    first, second = list(range(5, 16)), [8, 7, 6]
    one, two, third = model.new_cache(), model.new_cache(), model.new_cache()
    model.step([Chunk(one, first), Chunk(two, second)])
    rows = [model.branch(one), model.branch(two), model.branch(one)]
    model.step([Chunk(row, [20 + i]) for i, row in enumerate(rows)])
    tree = Chunk(rows[2], [30, 31, 32, 33], [-1, 0, 0, 2], True)
    found = model.step(
        [Chunk(third, second), tree, Chunk(rows[0], [40, 41, 42], None, True), Chunk(rows[1], [50])]
    )
    close(found[0], truth(family, second)[-1])
    close(found[3], truth(family, [*first, 22, 30, 32])[-1])
    close(found[4], truth(family, [*first, 22, 30, 32, 33])[-1])
    close(found[2], truth(family, [*first, 22, 30, 31])[-1])
    close(found[5:8], truth(family, [*first, 20, 40, 41, 42])[-3:])
    close(found[8], truth(family, [*second, 21, 50])[-1])

    model.keep(rows[2], [0, 2, 3])
    model.release(rows[0])
    model.release(rows[1])
    again = model.branch(two)
    found = model.step([Chunk(rows[2], [60]), Chunk(again, [61])])
    close(found[0], truth(family, [*first, 22, 30, 32, 33, 60])[-1])
    close(found[1], truth(family, [*second, 61])[-1])


def test_a_copied_prefix_goes_its_own_way(case):
    family, model = case
    cache = model.new_cache()
    model.step([Chunk(cache, [5, 6, 7, 8, 9])])
    copy = model.new_cache(cache, 3)
    close(model.step([Chunk(copy, [70, 71])])[0], truth(family, [5, 6, 7, 70, 71])[-1])
    close(model.step([Chunk(cache, [10])])[0], truth(family, [5, 6, 7, 8, 9, 10])[-1])


def test_greedy_draws_equal_generate(case):
    family, model = case
    reference, engine = fresh(family), Engine(model)
    for prompt in ([5, 6, 7], [9], list(range(20, 60))):
        ids = torch.tensor([prompt])
        wanted = reference.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30,
            eos_token_id=96, pad_token_id=0,
        )[0, len(prompt):].tolist()  # fmt: skip
        wanted = wanted[: wanted.index(96)] if 96 in wanted else wanted
        s = Sampling(temperature=0, max_new_tokens=30)
        [(_, draw)] = engine.submit(Request(prompt=prompt, sampling=s))
        assert draw.info["tokens"] == wanted
    engine.close()


def test_our_own_forward_pass_is_chosen_where_it_fits():
    assert isinstance(token_model(fresh("llama"), VOCABULARY), FastLlama)
    assert isinstance(token_model(fresh("qwen2"), VOCABULARY), HFModel)
    biased = transformers.LlamaConfig(**SHAPE, attention_bias=True)
    assert not fits(transformers.AutoModelForCausalLM.from_config(biased))
