"""Base and adapter write in turns, by the laws of each scheme, through the one decoding loop."""

import math
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import Chunk, InvalidArgument
from genwright.generators.language.local import LocalLM
from genwright.nets.adapters import RecurrentAdapter
from genwright.steering.grammar import Regex
from genwright.steering.selective import (
    SelectiveGenerator,
    WriterShaper,
    apart,
)
from genwright.steering.selective_model import Frozen, SelectiveModel

V = 257


@pytest.fixture(scope="module")
def lm(tiny_llama):
    return LocalLM(
        model=str(tiny_llama), chat=False, temperature=1.0, max_new_tokens=6, dtype="float32"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An adapter whose writing and choosing differ visibly from the base's."""
    torch.manual_seed(1)
    adapter = RecurrentAdapter(32, hidden=8)
    for weight in adapter.parameters():
        torch.nn.init.normal_(weight, std=1.5)
    path = tmp_path_factory.mktemp("adapter")
    adapter.save(path)
    return path


@pytest.fixture(scope="module")
def model(lm, folder):
    return SelectiveModel(Frozen(lm), RecurrentAdapter.load(folder))


@pytest.fixture
def pair(lm, folder):
    def make(**settings):
        base = settings.pop("base", lm)
        return SelectiveGenerator(base=base, adapter=str(folder), **settings)

    return make


def row(model, tokens):
    cache = model.new_cache()
    found = model.step([Chunk(cache, tokens)])[0]
    model.release(cache)
    return found


def by_hand(model, lm, tokens):
    """The row after some tokens, from the transformers model itself and one pass of the LSTM."""
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(lm.model, dtype=torch.float32)
    with torch.no_grad():
        x = net.model(torch.tensor([tokens])).last_hidden_state
        found = model.adapter(x)
        plain = net.lm_head(x[0, -1]).log_softmax(0)
        adapted = net.lm_head(x[0, -1] + found.shift[0, -1]).log_softmax(0)
        return torch.cat([plain + found.chosen[0, -1, 0], adapted + found.chosen[0, -1, 1]]).numpy()


def test_a_row_is_who_times_what(model, lm):
    tokens = [5, 80, 200, 7]
    found = row(model, tokens)
    assert np.allclose(found, by_hand(model, lm, tokens), atol=1e-4)
    assert np.exp(found, dtype=np.float64).sum() == pytest.approx(1, abs=1e-5)
    assert 0.02 < np.exp(found[:V]).sum() < 0.98, "both writers must have a say in the example"


def test_pieces_branches_and_shared_prompts_give_the_same_rows(model):
    tokens = [5, 80, 200, 7, 90, 33]
    whole = [row(model, tokens[: i + 1]) for i in range(len(tokens))]
    prompt = model.new_cache()
    rows = model.step([Chunk(prompt, tokens[:2], every=True)])
    rows = np.vstack([rows, model.step([Chunk(prompt, tokens[2:4], every=True)])])
    assert np.allclose(rows, whole[:4], atol=1e-4)
    other = model.new_cache(prompt, 3)  # begins as that prompt does, without its last token
    assert np.allclose(model.step([Chunk(other, tokens[3:4])])[0], whole[3], atol=1e-4)
    branches = [model.branch(prompt), model.branch(other)]
    found = model.step([Chunk(b, [tokens[4] + V * i]) for i, b in enumerate(branches)])
    assert np.allclose(found, [whole[4]] * 2, atol=1e-4)  # who wrote a token changes nothing
    twin = model.fork(branches[1])
    model.step([Chunk(branches[1], [11])])
    assert np.allclose(model.step([Chunk(twin, tokens[5:])])[0], whole[5], atol=1e-4)
    for cache in [twin, *branches, other, prompt]:
        model.release(cache)


def test_a_selector_forced_to_the_base_writes_what_the_base_writes(pair, lm):
    for scheme in ("sample", "mix", "cat"):
        ours = pair(scheme=scheme, writer="base").sample("ab", 6, seed=3)
        assert ours.values == lm.sample("ab", 6, seed=3).values
    greedy = LocalLM(**{**vars(lm), "temperature": 0.0})
    ours = pair(scheme="greedy", writer="base").sample("ab", 1, seed=3)
    assert ours.values == greedy.sample("ab", 1, seed=3).values


def test_draws_say_who_wrote_and_are_worth_what_the_rows_say(pair, model, lm):
    for draw in pair().sample("ab", 4, seed=5):
        tokens, writers = draw.info["tokens"], draw.info["by_adapter"]
        assert len(tokens) == len(writers)
        assert all(0 <= token < V for token in tokens)
        text, total = lm.encode("ab"), 0.0
        for token, adapter in zip(tokens, writers, strict=True):
            total += float(row(model, text)[token + V * adapter])
            text = [*text, token]
        if draw.info["finish_reason"] == "stop":
            after = row(model, text)
            ends = [float(after[e]) for e in (V - 1, 2 * V - 1)]
            assert min(abs(draw.logprob - total - end) for end in ends) < 1e-3
        else:
            assert draw.logprob == pytest.approx(total, abs=1e-3)


def shaped(model, tokens, **settings):
    shaper = WriterShaper(**settings)
    return shaper.start(model.vocabulary, []).shape(row(model, tokens))


def test_mix_is_the_marginal_of_cat(model):
    pairs = np.exp(shaped(model, [5, 80], scheme="cat"), dtype=np.float64)
    mixed = np.exp(shaped(model, [5, 80], scheme="mix"), dtype=np.float64)
    assert pairs.sum() == pytest.approx(1, abs=1e-5)
    assert mixed.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(mixed[:V], pairs[:V] + pairs[V:], atol=1e-7)
    assert not mixed[V:].any()


def test_sampling_filters_each_writer_by_itself(model):
    plain = row(model, [5, 80])
    who, what = apart(plain)
    found = np.exp(shaped(model, [5, 80], top_p=0.5, temperature=0.7), dtype=np.float64)
    for i, part in enumerate((found[:V], found[V:])):
        assert part.sum() == pytest.approx(math.exp(who[i]), abs=1e-5)
        sharp = np.exp(what[i].astype(np.float64) / 0.7)
        sharp /= sharp.sum()
        order = np.argsort(-sharp, kind="stable")
        kept = order[: int((np.cumsum(sharp[order]) < 0.5).sum()) + 1]
        wanted = np.zeros(V)
        wanted[kept] = sharp[kept] / sharp[kept].sum() * math.exp(who[i])
        assert np.allclose(part, wanted, atol=1e-5)


def test_greedy_is_the_likelier_writers_likeliest_token(model):
    """Not the likeliest pair, which may be the other's."""
    rng = np.random.default_rng(0)
    kinds = Counter()
    for _ in range(20):
        tokens = rng.integers(0, 256, 3).tolist()
        who, what = apart(row(model, tokens))
        best = int(who.argmax())
        wanted = best * V + int(what[best].argmax())
        assert int(shaped(model, tokens, scheme="greedy").argmax()) == wanted
        kinds[best] += 1
    assert len(kinds) == 2, "both writers must have their turn in the example"


def test_shares_of_who_writes_are_the_selectors(pair, model, lm):
    """4,000 first tokens: 6 standard errors, a false alarm in 5e8."""
    one = LocalLM(**{**vars(lm), "max_new_tokens": 1})
    base = float(np.exp(apart(row(model, lm.encode("ab")))[0][0]))
    drawn = pair(base=one).sample("ab", 4000, seed=0)
    writers = [w for info in drawn.info for w in info["by_adapter"]]
    error = math.sqrt(base * (1 - base) / len(writers))
    assert abs(1 - np.mean(writers) - base) < 6 * error + 1e-3  # ends are not told apart


def test_an_adapter_without_a_selector_writes_alone(lm, tmp_path):
    RecurrentAdapter(32, hidden=8, selects=False).save(tmp_path)
    alone = SelectiveGenerator(base=lm, adapter=str(tmp_path))
    drawn = alone.sample("ab", 3, seed=0)
    assert all(all(info["by_adapter"]) for info in drawn.info)
    with pytest.raises(InvalidArgument, match="has no selector"):
        SelectiveGenerator(base=lm, adapter=str(tmp_path), writer="base").sample("a", 1, seed=0)


def test_an_adapter_that_changes_on_the_disk_is_read_again(lm, tmp_path):
    import os

    pair = SelectiveGenerator(base=lm, adapter=str(tmp_path), scheme="greedy", writer="adapter")
    RecurrentAdapter(32, hidden=8).save(tmp_path)
    before = pair.sample("ab", 1, seed=0).values
    adapter = RecurrentAdapter(32, hidden=8)
    torch.nn.init.normal_(adapter.lift.bias, std=3.0)
    adapter.save(tmp_path)
    os.utime(tmp_path / "selective_adapter.safetensors", (1, 1))
    assert pair.sample("ab", 1, seed=0).values != before


def test_bad_input(lm, pair, model, tmp_path):
    with pytest.raises(InvalidArgument, match="scheme must be one of"):
        pair(scheme="beam")
    with pytest.raises(InvalidArgument, match="writer must be one of"):
        pair(writer="me")
    with pytest.raises(InvalidArgument, match="no constraints"):
        pair(base=lm.steered(Regex(pattern="a+")))
    with pytest.raises(InvalidArgument, match="holds no adapter"):
        SelectiveGenerator(base=lm, adapter=str(tmp_path / "no")).sample("a", 1, seed=0)
    cache = model.new_cache()
    with pytest.raises(InvalidArgument, match="takes no drafts"):
        model.step([Chunk(cache, [1, 2], parents=[-1, -1])])
    model.release(cache)
