"""Searches reach what brute force reaches, say what they spent, and are checked in a fresh pass."""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.assurance.controlled import ControlledModel, wins
from genwright.assurance.prompt_search import BackoffSearch, RandomSearch
from genwright.assurance.reachability import (
    Curve,
    controllability,
    reachable_set,
)
from genwright.core import InvalidArgument
from genwright.core.task_file import read_jsonl
from genwright.generators.language.local import LocalLM

STATE = (10, 60, 200)
FEW = [5, 80, 120, 201]


@pytest.fixture(scope="module")
def wild(tiny_llama, tmp_path_factory):
    """The tiny Llama with weights large enough that prompts change the likeliest token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("wild")
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4 if weight.ndim > 1 else 1)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(folder)
    return LocalLM(model=str(folder), chat=False, temperature=0, max_new_tokens=1, dtype="float32")


@pytest.fixture(scope="module")
def controlled(wild):
    return ControlledModel.of(wild)


def greedy_token(wild, ids):
    """What the decoding engine writes next, an end token included."""
    draw = wild.sample(list(ids), 1, seed=0)[0]
    (token,) = draw.info["tokens"] or wild.vocabulary.eos
    return token


def test_the_reachable_set_is_what_the_engine_writes_after_every_prompt(wild):
    model = ControlledModel.of(wild, allowed=FEW, together=5)
    prompts = [p for n in range(3) for p in product(FEW, repeat=n)]
    written = {p: greedy_token(wild, (*p, *STATE)) for p in prompts}
    found = reachable_set(model, STATE, 2)
    assert set(found) == set(written.values())
    assert len(found) >= 3, "the example must have something to reach"
    for token, prompt in found.items():
        shortest = min(len(p) for p in prompts if written[p] == token)
        assert written[prompt] == token
        assert len(prompt) == shortest


def test_reachable_sets_grow_with_k(wild):
    model = ControlledModel.of(wild, allowed=FEW)
    sets = [set(reachable_set(model, STATE, k)) for k in range(4)]
    assert sets[0] < sets[-1]
    assert all(a <= b for a, b in pairwise(sets))


def test_a_greedy_step_over_all_tokens_reaches_exactly_the_set_of_one_token(controlled):
    reached = reachable_set(controlled, STATE, 1)
    search = BackoffSearch(greedy=(1,), gcg=())
    for target in sorted({*reached, *range(0, 257, 12)}):
        found = search.find(controlled, STATE, target, seed=0)
        assert (found.length is not None) == (target in reached)
        if found.length is not None:
            assert found.length == len(reached[target])
            assert controlled.reaches(found.prompt, STATE, target)


def test_a_greedy_step_keeps_the_token_that_helps_most(controlled):
    target = unreached(controlled)
    scores = controlled.logits(torch.arange(256)[:, None], STATE).log_softmax(1)[:, target]
    found = BackoffSearch(greedy=(1,), gcg=()).find(controlled, STATE, target, seed=0)
    assert found.length is None
    assert found.prompt == (int(scores.argmax()),)
    assert found.logprob == pytest.approx(float(scores.max()), abs=1e-5)
    first = found.prompt
    pairs = torch.tensor([[token, *first] for token in range(256)])
    scores = controlled.logits(pairs, STATE).log_softmax(1)[:, target]
    second = BackoffSearch(greedy=(1, 2), gcg=()).find(controlled, STATE, target, seed=0)
    if second.length is None:
        assert second.logprob == pytest.approx(max(float(scores.max()), found.logprob), abs=1e-5)
    else:
        assert second.prompt[1:] == first


def unreached(model):
    return next(t for t in range(256) if t not in reachable_set(model, STATE, 1))


def test_one_iteration_over_all_swaps_is_the_best_single_swap(wild):
    """With every swap tried, gradients play no part: brute force over 2 x 4 prompts."""
    model = ControlledModel.of(wild, allowed=FEW)
    target = next(t for t in range(256) if t not in reachable_set(model, STATE, 2))
    search = BackoffSearch(greedy=(), gcg=(2,), top_k=4, batch=99, iterations=1)
    found = search.find(model, STATE, target, seed=4)
    start = np.random.default_rng(child("backoff", 4)).choice(FEW, 2).tolist()
    near = [start, *([t, start[1]] for t in FEW), *([start[0], t] for t in FEW)]
    scores = model.logits(torch.tensor(near), STATE).log_softmax(1)[:, target]
    assert found.logprob == pytest.approx(float(scores.max()), abs=1e-5)
    assert found.spent == {0: 1, 2: 1 + 3 + 6}  # the start, a gradient, 2 x 3 other tokens


def child(name, seed):
    from genwright.core import child_seed

    return child_seed(seed, name)


def test_gradients_find_what_the_same_number_of_random_prompts_does_not(controlled):
    """24 targets that no single token reaches; fair coins do as well once in 670,000 tries."""
    reached = reachable_set(controlled, STATE, 1)
    targets = [t for t in range(256) if t not in reached][:24]
    search = BackoffSearch(greedy=(), gcg=(4,), top_k=16, batch=24, iterations=6)
    better = 0
    for target in targets:
        found = search.find(controlled, STATE, target, seed=1)
        random = RandomSearch(found.spent).find(controlled, STATE, target, seed=1)
        assert sum(random.spent.values()) <= sum(found.spent.values())
        better += found.logprob > random.logprob
    assert better >= 23


def test_the_gradient_is_the_slope_of_the_loss(controlled):
    """Finite differences along the one-hot entries of a few tokens; norms are float32 inside."""
    prompt, target, tokens = (7, 90), 33, [0, 7, 90, 150, 255]
    found = controlled.gradient(prompt, STATE, target)
    table = controlled.exact.get_input_embeddings().weight
    rows = table[torch.tensor([*prompt, *STATE])]

    def loss(place, token, step):
        moved = rows.clone()
        moved[place] += step * table[token]
        out = controlled.exact(inputs_embeds=moved[None], use_cache=False).logits[0, -1]
        return float(-out.log_softmax(0)[target])

    for place in range(2):
        for token in tokens:
            slope = (loss(place, token, 3e-3) - loss(place, token, -3e-3)) / 6e-3
            assert float(found[place, token]) == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_a_gap_is_the_mean_of_the_allowed_tokens(wild):
    model = ControlledModel.of(wild, allowed=[9])
    assert torch.allclose(model.gradient((None,), STATE, 3), model.gradient((9,), STATE, 3))


def test_a_shortlist_takes_the_tokens_that_the_gradient_favours(controlled):
    target = unreached(controlled)
    slope = controlled.gradient((None,), STATE, target)[0][:256]
    short = BackoffSearch(greedy=(1,), gcg=(), shortlist=10)
    found = short.find(controlled, STATE, target, seed=0)
    assert found.prompt[0] in slope.argsort()[:10].tolist()
    assert found.spent == {0: 1, 1: 3 + 10}


def test_nothing_is_spent_beyond_the_first_hit(controlled):
    best = int(controlled.logits(torch.zeros(1, 0).long(), STATE).argmax())
    found = BackoffSearch().find(controlled, STATE, best, seed=0)
    assert (found.length, found.prompt, dict(found.spent)) == (0, (), {0: 1})


def test_a_tie_is_not_a_win():
    logits = torch.tensor([[1.0, 3.0, 3.0], [1.0, 2.0, 3.0]])
    assert wins(logits, 2).tolist() == [False, True]


def test_bytes_that_are_no_text_are_found_out(wild):
    """Control tokens that are no UTF-8 by themselves reach as ids, and not as text."""
    model = ControlledModel.of(wild)
    high = [i for i, token in enumerate(model.vocabulary.tokens) if token and token[0] >= 0xF8]
    model = ControlledModel.of(wild, allowed=high)
    state = model.vocabulary.encode("so it")
    target = next(t for t, p in reachable_set(model, state, 2).items() if p)
    found = BackoffSearch(gcg=()).find(model, state, target, seed=0)
    assert found.length
    assert not found.as_text
    plain = int(model.logits(torch.zeros(1, 0).long(), state).argmax())
    assert BackoffSearch().find(model, state, plain, seed=0).as_text


def test_what_is_encoded_anew_is_what_counts_as_text(wild):
    """A tokenizer that reads every text as the same two tokens."""
    model = ControlledModel.of(wild)
    model.vocabulary = replace(model.vocabulary, encode=lambda text: [70, 33])
    written = greedy_token(wild, [70, 33])
    prompt = next([t] for t in range(65, 91) if not model.reaches([t], (66, 67), written))
    assert model.reaches_as_text(prompt, (66, 67), written)
    other = int(model.logits(torch.tensor([prompt]), (66, 67)).argmax())
    assert not model.reaches_as_text(prompt, (66, 67), other)


def test_the_curve_counts_lengths():
    curve = Curve.of_lengths([0, 1, 1, 3, None], (0, 1, 2, 4))
    assert [round(i.estimate, 9) for i in curve.reached] == [0.2, 0.6, 0.6, 0.8]
    assert all(i.low < i.estimate < i.high for i in curve.reached)
    assert np.allclose(curve.epsilons, [0.8, 0.4, 0.4, 0.2])


def test_a_halving_at_each_token_has_the_slope_of_log_2():
    lengths = [k for k in range(1, 5) for _ in range(2 ** (4 - k))] + [None]
    curve = Curve.of_lengths(lengths, (0, 1, 2, 3, 4))
    assert curve.slope == pytest.approx(-math.log(2))


def test_published_searches_halve_what_is_left_every_few_tokens(shared_data):
    """1,200 searches with GPT-2 by the authors: what is not reached falls log-linearly."""
    rows = read_jsonl(shared_data("text/magic_words_gpt2.jsonl.gz"))
    lengths = [
        int(row["prompt_length"]) if row["prompt_correct"] == "True" else None for row in rows
    ]
    curve = Curve.of_lengths(lengths, (0, 1, 2, 3, 4, 6, 8, 10))
    assert curve.reached[0].estimate < 0.5 < 0.85 < curve.reached[-1].estimate
    assert -1 < curve.slope < -0.1
    assert curve.epsilons == tuple(sorted(curve.epsilons, reverse=True))


def test_a_pair_gives_the_same_whatever_stands_beside_it(wild):
    model = ControlledModel.of(wild, allowed=FEW)
    search = BackoffSearch(greedy=(1,), gcg=(2,), top_k=2, batch=3, iterations=2)
    pairs = [((1, 2), 7), (STATE, 9), ((3,), 12)]
    whole = controllability(model, pairs, (0, 1, 2), search=search, seed=5)
    alone = controllability(model, pairs[1:2], (0, 1, 2), search=search, seed=5)
    assert whole.found[1] == alone.found[0]
    assert len(whole.found) == 3


def test_bad_input(wild, controlled):
    for fields in ({"top_k": 0}, {"batch": 0}, {"iterations": 0}, {"shortlist": 0}):
        with pytest.raises(InvalidArgument, match="must be 1 or more"):
            BackoffSearch(**fields)
    with pytest.raises(InvalidArgument, match="without a gap"):
        BackoffSearch(greedy=(2, 3))
    for lengths in ((4, 4), (6, 4), (0,)):
        with pytest.raises(InvalidArgument, match="ascend"):
            BackoffSearch(gcg=lengths)
    for allowed in ([], [-1], [257]):
        with pytest.raises(InvalidArgument, match=r"ids in 0\.\.256"):
            ControlledModel.of(wild, allowed=allowed)
    for k in (-1, 4):
        with pytest.raises(InvalidArgument, match="k must be 0 or more"):
            reachable_set(controlled, STATE, k)
    for target in (-1, 257):
        with pytest.raises(InvalidArgument, match="the target must be an id"):
            BackoffSearch().find(controlled, STATE, target, seed=0)
    with pytest.raises(InvalidArgument, match="a prompt or a state"):
        BackoffSearch().find(controlled, (), 3, seed=0)
    for ks in ((), (1, 0), (-1, 2)):
        with pytest.raises(InvalidArgument, match="ks must ascend"):
            Curve.of_lengths([1], ks)
    with pytest.raises(InvalidArgument, match="no rate without a trial"):
        Curve.of_lengths([], (0, 1))
    with pytest.raises(InvalidArgument, match="a slope needs"):
        _ = Curve.of_lengths([0, 0], (0, 1)).slope
