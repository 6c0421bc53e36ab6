"""A prompt read elsewhere continues bit for bit as if it had been read here."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from genwright.core import Chunk, InvalidArgument
from genwright.generators.language.cache import PromptCache
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.serving.delivery import Delivered, pack, unpack
from genwright.serving.disaggregated import Order, replay

PROMPTS = [tuple(range(40, 60)), (*range(40, 55), 3, 4, 5), (7, 8, 9)]


class Counting:
    """Passes everything on, and counts the tokens that were computed."""

    def __init__(self, model):
        self.model, self.tokens = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def step(self, chunks):
        self.tokens += sum(len(chunk.tokens) for chunk in chunks)
        return self.model.step(chunks)


@pytest.fixture
def model(tiny_llama):
    return LocalLM(model=str(tiny_llama), chat=False, dtype="float32", threads=1).token_model


def parcel(model, tokens):
    cache = model.new_cache()
    return pack(tokens, cache, model.step([Chunk(cache, tokens)]))


def drawn(engine, tokens):
    request = Request(
        prompt=tokens, n=3, seed=5, sampling=Sampling(temperature=1.0, max_new_tokens=9)
    )
    found = dict(engine.submit(request))
    return [(found[k].info["tokens"], found[k].logprob) for k in range(3)]


def test_what_is_unpacked_is_what_was_packed(model):
    cache = model.new_cache()
    logits = model.step([Chunk(cache, PROMPTS[0])])
    keys, values, row = unpack(pack(PROMPTS[0], cache, logits))
    assert np.array_equal(keys, cache.keys)
    assert np.array_equal(values, cache.values)
    assert np.array_equal(row[None], logits)


def test_delivered_prompts_continue_bit_for_bit_and_are_not_read_again(model):
    """Also prompts that share a beginning, which the engine copies from one to the other."""
    counted = Counting(model)
    here, there = Engine(model, threads=1), Delivered(counted)
    elsewhere = Engine(there, piece=model.context, threads=1)
    for tokens in PROMPTS:
        expected = drawn(here, tokens)
        there.deliver(parcel(model, tokens))
        counted.tokens = 0
        assert drawn(elsewhere, tokens) == expected
        assert counted.tokens <= 3 * 9, "only what was written went through the network"
    here.close()
    elsewhere.close()


def test_a_prompt_without_a_parcel_is_read_here(model):
    engine = Engine(Delivered(model), threads=1)
    plain = Engine(model, threads=1)
    assert drawn(engine, PROMPTS[0]) == drawn(plain, PROMPTS[0])
    engine.close()
    plain.close()


def test_keys_that_would_be_rounded_are_refused():
    half = torch.zeros(1, 1, 3, 2, dtype=torch.bfloat16)
    with pytest.raises(InvalidArgument, match="needs a model in float32"):
        pack(PROMPTS[2], PromptCache(half, half, 3), np.zeros(4))


def test_no_orders_are_refused():
    with pytest.raises(InvalidArgument, match="at least one order"):
        replay(LocalLM(), [], "split")


@pytest.mark.slow
def test_two_processes_answer_as_two_mixed_ones_do(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, temperature=1.0)
    orders = [Order(at=0.02 * i, tokens=PROMPTS[i % 3], new=6) for i in range(6)]
    split, mixed = (replay(lm, orders, roles, seed=3) for roles in ("split", "mixed"))
    assert [answer.tokens for answer in split] == [answer.tokens for answer in mixed]
    for answer in split:
        assert len(answer.times) == len(answer.tokens)
        assert 0 < answer.times[0] <= answer.times[-1]
        assert list(answer.times) == sorted(answer.times)
