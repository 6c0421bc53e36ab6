"""Lookahead changes no draw, saves steps where text repeats, and learns what it can rely on."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from genwright.core import InvalidArgument, Samples, Vocabulary, build, describe
from genwright.generators.language.draft_trie import DraftTrie
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.lookahead import Lookahead
from genwright.generators.language.reliance import Reliance, kind
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.tabular import TabularModel
from genwright.steering.grammar import Regex

END = 3


@pytest.fixture
def model():
    """Nearly always the same next token: it repeats itself."""
    return TabularModel(size=4, depth=2, seed=3, sharpness=6.0)


@pytest.fixture
def engine(model):
    made = Engine(model, batch=8)
    yield made
    made.close()


def draws(engine, *, new=40, temperature=1.0, prompt=(0, 1), n=6, logprobs=None, **request):
    sampling = Sampling(max_new_tokens=new, temperature=temperature, logprobs=logprobs)
    ticket = engine.submit(Request(prompt=prompt, n=n, seed=7, sampling=sampling, **request))
    return Samples.of(d for _, d in sorted(ticket, key=lambda pair: pair[0]))


class NoEnd:
    """Draws go on to their limit."""

    def start(self, vocabulary, prompt):
        return self

    def shape(self, logits):
        shaped = logits.copy()
        shaped[END] = -np.inf
        return shaped

    def advance(self, token):
        pass


@pytest.mark.parametrize("size", ["auto", 0, 1, 5, 64])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_draws_are_what_they_are_without(engine, size, temperature):
    plain = draws(engine, temperature=temperature, logprobs=0)
    for _ in range(2):  # the second time from a trie that holds the answers
        found = draws(engine, temperature=temperature, logprobs=0, drafts=Lookahead(size=size))
        assert found == plain
        assert [d.info["token_logprobs"] for d in found] == [
            d.info["token_logprobs"] for d in plain
        ]


@pytest.mark.parametrize("new", range(1, 12))
def test_limits_cut_exactly(engine, new):
    plain = draws(engine, new=new, shapers=(NoEnd(),))
    drafted = draws(engine, new=new, shapers=(NoEnd(),), drafts=Lookahead(size=8))
    assert drafted == plain
    assert all(len(d.info["tokens"]) == new for d in drafted)


def test_no_guesses_cost_as_many_steps_as_plain_decoding(model, engine):
    draws(engine, n=1, temperature=0.0, shapers=(NoEnd(),))
    before = len(model.evaluations)
    draws(engine, n=1, temperature=0.0, shapers=(NoEnd(),))
    plain = len(model.evaluations) - before
    draws(engine, n=1, temperature=0.0, shapers=(NoEnd(),), drafts=Lookahead(size=0))
    assert len(model.evaluations) - before - plain == plain


@pytest.mark.parametrize("size", ["auto", 8])
def test_repeated_text_takes_far_fewer_steps(model, engine, size):
    lookahead = Lookahead(size=size)
    settings = {"n": 1, "temperature": 0.0, "new": 200, "shapers": (NoEnd(),)}
    draws(engine, **settings)
    before = len(model.evaluations)
    plain = draws(engine, **settings)
    steps = len(model.evaluations) - before
    assert draws(engine, **settings, drafts=lookahead) == plain
    assert len(model.evaluations) - before - steps < steps / 3


def test_the_distribution_is_that_of_plain_decoding(model, engine):
    """Every string of at most 6 tokens is drawn along, with guesses, and priced by its rows."""

    class Along:
        def __init__(self, tokens):
            self.tokens = tokens

        def start(self, vocabulary, prompt):
            return Along(self.tokens)

        def shape(self, logits):
            shaped = np.full_like(logits, -np.inf)
            shaped[self.tokens[0] if self.tokens else END] = 0.0
            return shaped

        def advance(self, token):
            self.tokens = self.tokens[1:]

    model = TabularModel(size=4, depth=6, seed=1)
    engine, lookahead, total = Engine(model), Lookahead(size=12), 0.0
    strings = [s for n in range(6) for s in product(range(3), repeat=n)]
    for string in strings + list(product(range(3), repeat=6))[::9]:
        [d] = draws(engine, n=1, new=6, shapers=(Along(string),), drafts=lookahead)
        whole = [*string, *([END] if len(string) < 6 else [])]
        logp = sum(model.log_probabilities([0, 1, *whole[:i]])[t] for i, t in enumerate(whole))
        assert d.info["tokens"] == list(string)
        assert d.logprob == pytest.approx(logp, abs=2e-6)
        total += math.exp(d.logprob) * (9 if len(string) == 6 else 1)
    assert len(model.evaluations) < 4 * len(strings)
    assert total == pytest.approx(1.0, abs=0.2)  # the longest strings are every ninth
    engine.close()


def test_guesses_follow_the_prompt_and_earlier_draws():
    words = TabularModel(size=11).vocabulary
    lookahead = Lookahead(size=6)
    state = lookahead.begin(words, [5, 6, 7, 8, 9, 5, 6])
    found = state.draft([], 6, 0.0)
    assert list(found.tokens)[:3] == [7, 8, 9]
    assert list(found.parents)[:3] == [-1, 0, 1]
    state.end([1, 2, 3, 4])
    other = lookahead.begin(words, [0])
    assert list(other.draft([], 3, 0.0).tokens) == [1, 2, 3]  # as the draw before it began
    assert list(other.draft([0, 2], 2, 0.0).tokens) == [3, 4]


def test_branches_are_guessed_side_by_side():
    words = TabularModel(size=11).vocabulary
    lookahead = Lookahead(size=4)
    for drawn in ([1, 2, 3], [1, 5, 6]):
        lookahead.begin(words, [0]).end(drawn)
    found = lookahead.begin(words, [0]).draft([1], 4, 0.0)
    first = {t for t, p in zip(found.tokens, found.parents, strict=True) if p < 0}
    assert first == {2, 5}
    assert set(found.tokens) == {2, 3, 5, 6}


def test_odds_fall_for_a_source_that_is_always_wrong_and_rise_for_one_that_is_right():
    words, rng = TabularModel(size=11).vocabulary, np.random.default_rng(0)

    def odds(right):
        lookahead = Lookahead()
        state = lookahead.begin(words, [1, 2] * 10)
        written = [1]
        for _ in range(60):
            guess = list(state.draft(written, 4, 0.0).tokens)[:1]
            written += guess if right else [rng.integers(3, 10).item(), rng.integers(1, 3).item()]
        return max(state.draft(written, 4, 0.0).odds)

    assert odds(right=True) > 0.9
    assert odds(right=False) < 0.3


def test_reliance_counts():
    """Odds approach the share of guesses that came true."""
    reliance, what = Reliance(), kind(True, 3, 1.0, 5)
    for i in range(300):
        reliance.learn(what, i % 4 == 0)
    assert reliance.odds(what) == pytest.approx(0.25, abs=0.01)
    assert reliance.odds(kind(True, 12, 1.0, 5)) > reliance.odds(kind(True, 1, 1.0, 5))
    assert reliance.odds(kind(False, 2, 1.0, 5)) > reliance.odds(kind(False, 2, 0.4, 5))


def test_a_trie_of_another_vocabulary_is_refused():
    lookahead = Lookahead(trie=DraftTrie(vocabulary="another"))
    with pytest.raises(InvalidArgument, match="another vocabulary"):
        lookahead.begin(TabularModel().vocabulary, [0])


@pytest.mark.parametrize("size", [-1, "many", 1.5])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(InvalidArgument, match="size must be"):
        Lookahead(size=size)


def test_a_source_that_fails_ends_its_own_request_only(engine):
    class Broken:
        def begin(self, vocabulary, prompt):
            return self

        def draft(self, tokens, size, floor):
            return 1 / 0

        def end(self, tokens):
            pass

    with pytest.raises(ZeroDivisionError):
        draws(engine, drafts=Broken())
    assert draws(engine, drafts=Lookahead()) == draws(engine)


def test_a_task_file_switches_it_on_and_describes_it():
    table = {"method": "local_lm", "drafts": {"method": "lookahead", "size": 16}}
    made = build("generator", table)
    assert made.drafts == Lookahead(size=16)
    assert describe(made)["drafts"] == table["drafts"]
    assert describe(LocalLM())["drafts"] is None


@pytest.mark.parametrize("steered", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_real_network_draws_the_same_in_batches_and_under_a_grammar(
    tiny_llama, steered, temperature
):
    """The network is untrained, but its attention, caches and masks are those of any Llama."""
    pattern = Regex(pattern="(one|two|one two|three)( (one|two|three)){3,40}")
    plain = LocalLM(
        model=str(tiny_llama),
        chat=False,
        dtype="float32",
        temperature=temperature,
        max_new_tokens=48 if not steered else 250,
        constraints=(pattern,) if steered else (),
    )
    fast = replace(plain, drafts=Lookahead(size=12))
    for prompt in ("one two three one two three one two", "aaaa aaaa aaaa", "x"):
        first, second = plain.sample(prompt, 5, seed=3), fast.sample(prompt, 5, seed=3)
        assert [d.info["tokens"] for d in second] == [d.info["tokens"] for d in first]
        for a, b in zip(first, second, strict=True):
            assert b.info["masked_mass"] == pytest.approx(a.info["masked_mass"], abs=1e-3)
    assert second.cost.network_evaluations <= first.cost.network_evaluations


def test_no_guess_is_evaluated_past_the_context(engine, model):
    model.context, step, longest = 20, model.step, []

    def watched(chunks):
        for chunk in chunks:
            depths = []
            for i in range(len(chunk.tokens)):
                parent = i - 1 if chunk.parents is None else chunk.parents[i]
                depths.append(1 if parent < 0 else depths[parent] + 1)
            longest.append(len(chunk.cache.tokens) + max(depths))
        return step(chunks)

    model.step = watched
    for _ in range(2):
        [d] = draws(engine, n=1, temperature=0.0, shapers=(NoEnd(),), drafts=Lookahead(size=30))
        assert len(d.info["tokens"]) == 18
    assert max(longest) <= 20


def test_a_finished_draw_is_in_the_trie_to_its_last_token(engine):
    lookahead = Lookahead()
    made = draws(engine, n=3, new=9, shapers=(NoEnd(),), drafts=lookahead)
    for d in made:
        *before, last = d.info["tokens"][-5:]
        assert (last,) in lookahead.trie.continuations(before)


def test_a_draw_unlike_the_others_lowers_its_own_odds_at_once():
    """Others copy on from any place of the prompt; this one jumps on after each token."""
    words = Vocabulary([b"x"] * 90, frozenset({0}), lambda text: [], "many")
    prompt, lookahead = list(range(1, 81)), Lookahead()
    for start in range(40):
        like = lookahead.begin(words, prompt)
        like.draft([], 4, 0.0)
        like.draft(prompt[start : start + 1], 4, 0.0)
        like.end(prompt[start : start + 4])
    other = Lookahead()  # the trie would know the copies by heart
    object.__setattr__(other, "reliance", lookahead.reliance)

    def odds(written):
        state = other.begin(words, prompt)
        for n in range(len(written) + 1):
            found = state.draft(written[:n], 4, 0.0)
        return max(found.odds)

    fresh = odds([41])
    assert fresh > 0.8
    assert odds([70, 50, 60, 45, 65, 55, 41]) < 0.7 * fresh
