"""A predicted prompt against exact ones: identity maps, pieces, rounds, files, and bad requests."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from genwright.core import InvalidArgument, ModelNotFound, Vocabulary
from genwright.generators.language import kv_predictor
from genwright.generators.language.engine import Engine
from genwright.generators.language.hf import FastLlama, HFModel
from genwright.generators.language.kv_predictor import AUXILIARY, FILE, KVPredictor
from genwright.generators.language.local import LocalLM
from genwright.generators.language.prompts import ReadPrompt
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.learning.kv_start import prune_layers
from genwright.nets.kv_prediction import KVMaps, nearest_kept, recorded, replaced

VOCABULARY = Vocabulary([b"x"] * 97, frozenset({96}), lambda text: [], "letters")
PROMPT = list(range(5, 25))


def llama(layers=3, seed=0):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=97,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=layers,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    return transformers.LlamaForCausalLM(config).eval()


def maps(layer_map, auxiliary, noise=0.0, cross=True):
    torch.manual_seed(2)
    made = KVMaps(layer_map, auxiliary=auxiliary, inputs=16, outputs=16, cross=cross)
    with torch.no_grad():
        for weight in made.parameters():
            weight += noise * torch.randn_like(weight)
    return made


def engine(base, auxiliary, made, sinks=1, **settings):
    fast, small = FastLlama(base, VOCABULARY), FastLlama(auxiliary, VOCABULARY)
    return Engine(fast, predictor=KVPredictor(small, fast, made, sinks=sinks), **settings)


def draws(made, prompt=PROMPT, n=3, **request):
    request = {"sampling": Sampling(max_new_tokens=6, logprobs=0), "seed": 7} | request
    found = dict(made.submit(Request(prompt=prompt, n=n, **request)))
    return [found[k] for k in range(n)]


def logprobs(found):
    return torch.tensor([p for draw in found for p in draw.info["token_logprobs"]])


@pytest.fixture(params=[(0, False), (0, True), (1, True), (3, True)], ids=str)
def same(request):
    """An engine whose predictor is the base itself, with identity maps."""
    sinks, cross = request.param
    made = engine(llama(), llama(), maps((0, 1, 2), 3, cross=cross), sinks=sinks)
    yield made
    made.close()


@pytest.fixture
def rough():
    """An engine whose predictor has two of the three layers and noisy maps."""
    base = llama()
    made = engine(base, prune_layers(base, (0, 2)), maps((0, 0, 1), 2, noise=0.3))
    yield made
    made.close()


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_the_base_as_its_own_auxiliary_gives_exact_draws(same, length):
    exact = draws(same, PROMPT[:length])
    predicted = draws(same, PROMPT[:length], prefill="predicted")
    assert [d.info["tokens"] for d in predicted] == [d.info["tokens"] for d in exact]
    assert torch.allclose(logprobs(predicted), logprobs(exact), atol=1e-5)


def test_a_rough_predictor_changes_predicted_draws_and_no_exact_ones(rough):
    plain = Engine(FastLlama(llama(), VOCABULARY))
    wanted = draws(plain)
    plain.close()
    script = [[30, 31, 32]]
    before = draws(rough, n=1, scripts=script)
    predicted = draws(rough, n=1, scripts=script, prefill="predicted")
    after = draws(rough, n=1, scripts=script)
    assert (logprobs(predicted) - logprobs(before)).abs().max() > 0.05
    assert torch.equal(logprobs(after), logprobs(before))
    assert [d.info["tokens"] for d in draws(rough)] == [d.info["tokens"] for d in wanted]


def test_a_prompt_in_pieces_and_beside_others_is_predicted_alike(rough):
    base = llama()
    pieces = engine(base, prune_layers(base, (0, 2)), maps((0, 0, 1), 2, noise=0.3), piece=3)
    others = [
        pieces.submit(Request(prompt=PROMPT[:k], n=2, seed=k, prefill=prefill))
        for k, prefill in ((9, "exact"), (10, "predicted"), (19, "predicted"))
    ]
    found = draws(pieces, prefill="predicted")
    for ticket in others:
        list(ticket)
    pieces.close()
    wanted = draws(rough, prefill="predicted")
    assert [d.info["tokens"] for d in found] == [d.info["tokens"] for d in wanted]
    assert torch.allclose(logprobs(found), logprobs(wanted), atol=1e-4)


@pytest.mark.parametrize(("ids", "sinks"), [([7, 9], 0), ([7, 9, 8], 1)])
def test_the_engine_computes_what_the_training_graph_does_with_the_last_keys_its_own(ids, sinks):
    """The paper's two passes: predicted everywhere in training; at the last token its own here."""
    base, prompt = llama(), ids
    small, made = prune_layers(base, (0, 2)), maps((0, 0, 1), 2, noise=0.3)
    ids = torch.tensor([prompt])

    def own_last(module, inputs, output):
        own = module.forward(inputs[0])
        return torch.cat([output[:, :-1], own[:, -1:]], 1)

    with torch.no_grad():
        with recorded(small) as seen:
            small(input_ids=ids, use_cache=False)
        with replaced(base, *made(*seen.stacked()), sinks=sinks):
            for layer in base.model.layers:
                layer.self_attn.k_proj.register_forward_hook(own_last)
                layer.self_attn.v_proj.register_forward_hook(own_last)
            wanted = base(input_ids=ids, use_cache=False).logits[0, -1].log_softmax(-1)
    base = llama()
    running = engine(base, prune_layers(base, (0, 2)), made, sinks=sinks)
    found = draws(running, prompt, n=1, scripts=[[11]], prefill="predicted")
    running.close()
    assert found[0].logprob == pytest.approx(wanted[11].item(), abs=1e-4)


def test_predicted_draws_share_one_reading_and_the_first_pays_for_it(rough):
    first, second = draws(rough, n=2, prefill="predicted")
    assert (first.cost.prompt_tokens, second.cost.prompt_tokens) == (20, 0)
    again = draws(rough, n=1, prefill="predicted")
    assert again[0].cost.prompt_tokens == 0
    exact = draws(rough, n=1)
    assert exact[0].cost.prompt_tokens == 20  # nothing of the predicted prompt was taken over


def test_the_auxiliary_model_reads_what_it_must_and_leaves_the_last_token():
    base = FastLlama(llama(), VOCABULARY)
    predictor = KVPredictor(FastLlama(llama(), VOCABULARY), base, maps((0, 1, 2), 3))
    prompt = ReadPrompt(tuple(PROMPT), base.new_cache(), 0, ahead=predictor.begin())
    assert predictor.read(prompt, 8) == 0
    assert (prompt.done, prompt.cache.length) == (8, 0)
    assert predictor.read(prompt, 12) == 1
    assert (prompt.done, prompt.cache.length, prompt.ahead) == (19, 19, None)
    short = ReadPrompt((5, 6), base.new_cache(), 0, ahead=predictor.begin())
    assert predictor.read(short, 8) == 8  # there is nothing to predict


def test_reading_for_the_cache_alone_writes_what_a_step_writes():
    from genwright.core import Chunk

    model = FastLlama(llama(), VOCABULARY)
    one, two = model.new_cache(), model.new_cache()
    model.step([Chunk(one, PROMPT)])
    model.read([Chunk(two, PROMPT)])
    assert torch.equal(one.keys, two.keys)
    assert torch.equal(one.values, two.values)


def test_an_engine_without_a_predictor_refuses_to_predict():
    plain = Engine(FastLlama(llama(), VOCABULARY))
    with pytest.raises(InvalidArgument, match="needs a predictor"):
        plain.submit(Request(prompt=[1], prefill="predicted"))
    plain.close()


def test_predicted_prompts_are_no_basis_for_modes_that_condition_exactly():
    with pytest.raises(InvalidArgument, match="prefill='exact'"):
        Request(prompt=[1], sampling=Sampling(mode="exact"), prefill="predicted")
    with pytest.raises(InvalidArgument, match="with a predictor"):
        LocalLM(prefill="predicted")


def test_maps_for_another_model_are_refused():
    base = FastLlama(llama(), VOCABULARY)
    with pytest.raises(InvalidArgument, match="need maps of shape"):
        KVPredictor(FastLlama(llama(2), VOCABULARY), base, maps((0, 1), 2))
    with pytest.raises(InvalidArgument, match="need maps of shape"):
        KVPredictor(FastLlama(llama(2), VOCABULARY), base, maps((0, 1, 2), 3))


# What a folder holds.


@pytest.fixture
def saved(tiny_llama, tmp_path):
    """Return (a LocalLM with a predictor of noisy maps, the folder it was saved to)."""
    from genwright.generators.language.loading import read
    from genwright.generators.language.tokens import vocabulary

    model, tokenizer = read(str(tiny_llama), "float32")
    made = KVMaps((0, 0), auxiliary=1, inputs=32, outputs=32)
    torch.manual_seed(3)
    with torch.no_grad():
        made.keys += 0.3 * torch.randn_like(made.keys)
        made.value_bias += 0.3
    prune_layers(model, (0,)).save_pretrained(tmp_path / AUXILIARY)
    tokenizer.save_pretrained(tmp_path / AUXILIARY)
    exact = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4)
    words = vocabulary(tokenizer, len(exact.vocabulary), exact.vocabulary.eos, "tiny")
    kv_predictor.save(tmp_path, made, base=model, name="tiny", vocabulary=words, sinks=1)
    return replace(exact, predictor=str(tmp_path), prefill="predicted"), tmp_path


def test_a_saved_predictor_loads_again_and_answers_for_each_request(saved):
    lm, _ = saved
    exact, predicted = replace(lm, prefill="exact"), lm.sample("hello there", 2, seed=0)
    assert lm.sample("hello there", 2, seed=0) == predicted
    assert exact.sample("hello there", 2, seed=0).logprobs != predicted.logprobs
    assert lm.score("hello there", ["abc"]) != exact.score("hello there", ["abc"])
    plain = replace(exact, predictor="").sample("hello there", 2, seed=0)
    assert plain.values == exact.sample("hello there", 2, seed=0).values


def test_a_predictor_made_for_another_tokenizer_is_refused(saved, tmp_path_factory):
    from genwright.generators.language.untrained import untrained

    lm, _ = saved
    other = untrained(
        tmp_path_factory.mktemp("other"), ["a b a b"] * 9, vocabulary=260, width=32, heads=2
    )
    with pytest.raises(InvalidArgument, match="tokenizer is not that of"):
        replace(lm, model=str(other)).sample("a", 1, seed=0)


def test_a_predictor_made_for_other_weights_is_refused(saved, tmp_path_factory):
    from genwright.generators.language.untrained import untrained

    lm, _ = saved
    other = untrained(tmp_path_factory.mktemp("other"), width=32, layers=2, heads=2, seed=1)
    with pytest.raises(InvalidArgument, match="other weights"):
        replace(lm, model=str(other)).sample("a", 1, seed=0)


def test_a_predictor_with_a_layer_map_out_of_range_is_refused(saved):
    lm, folder = saved
    about = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(about | {"layer_map": [0, 1]}))
    with pytest.raises(InvalidArgument, match="layer map"):
        lm.sample("a", 1, seed=0)


def test_a_folder_without_a_predictor_says_what_makes_one(saved, tmp_path_factory):
    lm, _ = saved
    with pytest.raises(ModelNotFound, match="FitKVPredictor"):
        replace(lm, predictor=str(tmp_path_factory.mktemp("empty"))).sample("a", 1, seed=0)


def test_a_base_that_is_not_of_llama_s_shape_is_refused(saved):
    from genwright.generators.language.loading import read

    lm, folder = saved
    base, _ = read(lm.model, "float32")
    slow = HFModel(base, lm.vocabulary)
    with pytest.raises(InvalidArgument, match="Llama's shape"):
        kv_predictor.load(str(folder), base, slow, lm.vocabulary, "float32")


def test_the_numbers_a_model_is_loaded_in_do_not_change_its_fingerprint():
    model = llama()
    before = kv_predictor.weights_of(model)
    assert kv_predictor.weights_of(model.to(torch.bfloat16)) == before
    assert kv_predictor.weights_of(llama(seed=1)) != before


def test_layer_maps_of_pruned_models_come_from_the_kept_layers():
    assert nearest_kept(30, range(0, 30, 3)) == tuple(i // 3 for i in range(30))
