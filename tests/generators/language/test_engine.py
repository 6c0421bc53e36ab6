"""The engine against enumeration: every string a small model can write, and what it must cost."""

import math
import threading

import numpy as np
import pytest
import torch

from genwright.core import Guesses, InvalidArgument, Samples, child_seed, uniform
from genwright.generators.language.engine import Engine
from genwright.generators.language.request import Request, Token
from genwright.generators.language.sampling import Sampling, race
from genwright.generators.language.tabular import TabularModel

END = 3


@pytest.fixture
def model():
    return TabularModel(size=4, depth=3, seed=5)


@pytest.fixture
def engine(model):
    made = Engine(model, batch=8)
    yield made
    made.close()


def draws(engine, prompt=(0, 1), **request):
    request = {"sampling": Sampling(max_new_tokens=6), "seed": 7} | request
    return [
        d for _, d in sorted(engine.submit(Request(prompt=prompt, **request)), key=lambda p: p[0])
    ]


def by_hand(model, prompt, seed, index, *, limit=6, temperature=1.0, allowed=None):
    """Let the tokens of the true distribution race, one position at a time."""
    tokens, draw_seed = [], child_seed(seed, index)
    while len(tokens) < limit:
        logits = model.logits([*prompt, *tokens]).astype(np.float64) / temperature
        p = np.exp(logits - logits.max())
        if allowed is not None:
            p = p * allowed(tokens)
        number = torch.tensor([uniform(draw_seed, len(tokens))], dtype=torch.float64)
        (token,) = race(torch.from_numpy(p / p.sum())[None], number)
        if token == END:
            break
        tokens.append(token)
    return tokens


class Words:
    """A constraint by enumeration: the draw is one of these token strings. Pure Python."""

    def __init__(self, *words, forcing=False):
        self.words, self.forcing = [tuple(w) for w in words], forcing

    def compile(self, vocabulary):
        return self

    def start(self):
        return WordState(self, ())


class WordState:
    def __init__(self, words, done):
        self.set, self.done = words, done

    def _following(self):
        n = len(self.done)
        return {w[n] for w in self.set.words if len(w) > n and w[:n] == self.done}

    def mask(self):
        mask = np.zeros(4, dtype=bool)
        mask[list(self._following())] = True
        mask[END] = self.accepting
        return mask

    def advance(self, token):
        assert token in self._following()
        self.done = (*self.done, token)

    def fork(self):
        return WordState(self.set, self.done)

    @property
    def accepting(self):
        return self.done in self.set.words

    def forced(self):
        state, run = self.fork(), []
        while self.set.forcing and not state.accepting and len(state._following()) == 1:
            run.append(*state._following())
            state.advance(run[-1])
        return run


def test_draws_are_races_over_the_tables(model, engine):
    made = draws(engine, n=200)
    assert [d.info["tokens"] for d in made] == [by_hand(model, (0, 1), 7, k) for k in range(200)]


def test_every_string_is_as_likely_as_the_tables_say(model, engine):
    """Enumerates all strings up to two tokens; 4000 draws, tolerance of 6 standard deviations."""
    n = 4000
    made = draws(engine, n=n, sampling=Sampling(max_new_tokens=2))
    found = {}
    for d in made:
        key = (*d.info["tokens"], *([END] if d.info["finish_reason"] == "stop" else []))
        found[key] = found.get(key, 0) + 1
    total = 0.0
    for string in [(END,), *((a, b) for a in range(3) for b in range(4))]:
        p = math.exp(
            sum(model.log_probabilities([0, 1, *string[:i]])[t] for i, t in enumerate(string))
        )
        total += p
        assert abs(found.get(string, 0) - n * p) <= 6 * math.sqrt(n * p * (1 - p)) + 1
    assert total == pytest.approx(1.0)


def test_log_probabilities_are_those_of_the_unsteered_model(model, engine):
    for d in draws(engine, n=20, sampling=Sampling(max_new_tokens=6, temperature=0.5, top_k=2)):
        whole = d.info["tokens"] + [END] * (d.info["finish_reason"] == "stop")
        rows = [model.log_probabilities([0, 1, *whole[:i]])[t] for i, t in enumerate(whole)]
        assert d.logprob == pytest.approx(sum(rows), abs=1e-5)


def test_draws_do_not_depend_on_the_batch_or_on_other_requests(model):
    alone = Engine(model, batch=1)
    crowd = Engine(model, batch=5, piece=2)
    tickets = [
        crowd.submit(Request(prompt=(0, 1), n=9, seed=s, sampling=Sampling(max_new_tokens=6)))
        for s in range(6)
    ]
    for s, ticket in enumerate(tickets):
        together = Samples.of(d for _, d in sorted(ticket, key=lambda p: p[0]))
        single = Samples.of(draws(alone, n=9, seed=s))
        assert together == single
    alone.close(), crowd.close()


def test_a_row_of_draws_can_be_resumed(engine):
    whole = Samples.of(draws(engine, n=8))
    assert whole == Samples.of(draws(engine, n=3)) + Samples.of(draws(engine, n=5, first=3))


def test_threads_share_one_engine_and_each_gets_its_own_draws(model, engine):
    found = {}

    def ask(seed):
        found[seed] = [d.info["tokens"] for d in draws(engine, n=4, seed=seed, prompt=(seed % 3,))]

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(24)]
    [t.start() for t in threads], [t.join() for t in threads]
    for seed, tokens in found.items():
        assert tokens == [by_hand(model, (seed % 3,), seed, k) for k in range(4)]


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_temperature_divides_the_logits(model, engine, temperature):
    s = Sampling(max_new_tokens=6, temperature=temperature)
    expected = [by_hand(model, (0, 1), 7, k, temperature=temperature) for k in range(50)]
    assert [d.info["tokens"] for d in draws(engine, n=50, sampling=s)] == expected


def test_the_prompt_is_read_once_and_the_first_draw_pays(model, engine):
    made = draws(engine, prompt=(0, 1, 2, 0, 1), n=5)
    assert [d.cost.prompt_tokens for d in made] == [5, 0, 0, 0, 0]
    assert sum(d.cost.network_evaluations for d in made) == len(model.evaluations)
    assert sum(e == (0, 1, 2, 0, 1) for e in model.evaluations) == 1


def test_a_prompt_starts_from_the_longest_prefix_read_before(model, engine):
    draws(engine, prompt=(0, 1, 2, 0), n=1)
    [again] = draws(engine, prompt=(0, 1, 2, 1, 1), n=1)
    assert again.cost.prompt_tokens == 2
    assert again.info["tokens"] == by_hand(model, (0, 1, 2, 1, 1), 7, 0)
    [same] = draws(engine, prompt=(0, 1, 2, 0), n=1)
    assert same.cost.prompt_tokens == 0


def test_a_prompt_that_another_begins_with_still_reads_its_last_token(model, engine):
    draws(engine, prompt=(0, 1, 2, 0), n=1)
    [d] = draws(engine, prompt=(0, 1, 2), n=1)
    assert d.cost.prompt_tokens == 1
    assert d.info["tokens"] == by_hand(model, (0, 1, 2), 7, 0)


def test_prompts_are_kept_for_reuse_up_to_a_number_of_tokens(model, engine, monkeypatch):
    monkeypatch.setattr("genwright.generators.language.prompts.KEPT_TOKENS", 6)
    for prompt in ((0, 1, 2, 0), (1, 1), (2, 2)):
        draws(engine, prompt=prompt, n=1)
    assert [draws(engine, prompt=p, n=1)[0].cost.prompt_tokens for p in ((1, 1), (2, 2))] == [0, 0]
    assert draws(engine, prompt=(0, 1, 2, 0), n=1)[0].cost.prompt_tokens == 4


def test_a_long_prompt_is_read_in_pieces(model):
    engine = Engine(model, piece=2)
    [d] = draws(engine, prompt=(0, 1, 2, 0, 1), n=1)
    assert model.evaluations[:3] == [(0, 1), (2, 0), (1,)]
    assert d.info["tokens"] == by_hand(model, (0, 1, 2, 0, 1), 7, 0)
    engine.close()


WORDS = [(0,), (0, 1), (1, 2, 0), (2, 2, 2)]


def test_a_constrained_draw_is_the_masked_inverse_cdf(model, engine):
    def allowed(tokens):
        return WordState(Words(*WORDS), tuple(tokens)).mask()

    made = draws(engine, n=60, constraints=(Words(*WORDS),))
    expected = [by_hand(model, (0, 1), 7, k, allowed=allowed) for k in range(60)]
    assert [d.info["tokens"] for d in made] == expected
    assert len({tuple(t) for t in expected}) > 2
    assert all(d.info["complete"] and d.info["finish_reason"] == "stop" for d in made)


def test_masked_mass_is_what_the_constraint_took_away(model, engine):
    [d] = draws(engine, n=1, constraints=(Words((1, 2, 0)),))
    mass = [model.log_probabilities([0, 1, *(1, 2, 0)[:i]])[t] for i, t in enumerate((1, 2, 0))]
    assert d.info["masked_mass"] == pytest.approx(-sum(mass), abs=1e-5)
    assert d.logprob == pytest.approx(sum(mass), abs=1e-5)


def test_forced_tokens_cost_no_evaluation_of_their_own(model, engine):
    [d] = draws(
        engine, n=1, constraints=(Words((0, 1, 2, 0), (1, 1, 1, 1), (2, 0, 0, 0), forcing=True),)
    )
    assert len(d.info["tokens"]) == 4
    assert d.info["forced_tokens"] == 3
    assert d.cost.network_evaluations == 1  # the prompt; the end is all that is left at the end
    assert d.logprob is None  # nobody asked for what the forced tokens were worth
    assert d.info["finish_reason"] == "stop"
    assert d.info["complete"]


def test_forced_tokens_in_the_middle_are_one_chunk_and_are_scored(model, engine):
    words = [(0, 1, 2, 0), (0, 1, 2, 1), (0, 1, 2, 2)]
    s = Sampling(max_new_tokens=6, logprobs=0)
    [d] = draws(engine, n=1, constraints=(Words(*words, forcing=True),), sampling=s)
    tokens = d.info["tokens"]
    assert tuple(tokens) in words
    assert (0, 1, 2) in model.evaluations
    rows = [model.log_probabilities([0, 1, *tokens[:i]])[t] for i, t in enumerate(tokens)]
    assert d.info["token_logprobs"] == pytest.approx(rows, abs=1e-5)
    end = model.log_probabilities([0, 1, *tokens])[END]
    assert d.logprob == pytest.approx(sum(rows) + end, abs=1e-5)


def test_a_draw_satisfies_every_constraint(engine):
    both = (Words((0,), (1, 2), (2, 2)), Words((1, 2), (2, 2), (2, 0)))
    found = {tuple(d.info["tokens"]) for d in draws(engine, n=60, constraints=both)}
    assert found == {(1, 2), (2, 2)}


def test_a_dead_end_is_said_to_be_one(engine):
    [d] = draws(engine, n=1, constraints=(Words((0, 1)), Words((0, 2))))
    assert d.info["tokens"] == [0]
    assert d.info["finish_reason"] == "constraint"
    assert not d.info["complete"]


def test_running_out_of_tokens_before_the_end_is_not_complete(engine):
    s = Sampling(max_new_tokens=2)
    [d] = draws(engine, n=1, constraints=(Words((0, 1, 2)),), sampling=s)
    assert d.info["finish_reason"] == "length"
    assert not d.info["complete"]
    [d] = draws(engine, n=1, constraints=(Words((0, 1)),), sampling=s)
    assert d.info["complete"]


def test_a_forced_token_that_another_constraint_forbids_is_a_dead_end(engine):
    [d] = draws(engine, n=1, constraints=(Words((0, 1, 2), forcing=True), Words((0, 2))))
    assert d.info["tokens"] == [0]
    assert d.info["finish_reason"] == "constraint"


class Favour:
    """Adds a bonus to one token wherever the draw has not yet written it."""

    def __init__(self, token, bonus):
        self.token, self.bonus = token, bonus

    def start(self, vocabulary, prompt):
        assert list(prompt) == [0, 1]
        return FavourState(self)


class FavourState:
    def __init__(self, favour):
        self.favour, self.seen = favour, False

    def shape(self, logits):
        shaped = logits.copy()
        shaped[self.favour.token] += 0.0 if self.seen else self.favour.bonus
        return shaped

    def advance(self, token):
        self.seen |= token == self.favour.token


def test_shapers_change_odds_before_the_mask_and_leave_logprobs_alone(model, engine):
    made = draws(engine, n=20, shapers=(Favour(2, 50.0),))
    assert all(d.info["tokens"][0] == 2 for d in made)
    assert any(d.info["tokens"][1:2] not in ([2], []) for d in made)
    made = draws(engine, n=20, shapers=(Favour(2, 50.0),), constraints=(Words((0,), (1,)),))
    assert {tuple(d.info["tokens"]) for d in made} == {(0,), (1,)}
    first = {d.info["tokens"][0]: d.logprob for d in made}
    assert first[0] == pytest.approx(model.log_probabilities([0, 1])[0], abs=1e-5)


class Broken(Words):
    def start(self):
        state = super().start()
        state.mask = lambda: 1 / 0
        return state


def test_a_constraint_that_fails_ends_its_own_request_only(model, engine):
    with pytest.raises(ZeroDivisionError):
        draws(engine, n=2, constraints=(Broken((0, 1)),))
    assert [d.info["tokens"] for d in draws(engine, n=4)] == [
        by_hand(model, (0, 1), 7, k) for k in range(4)
    ]


def test_a_model_that_fails_tells_every_caller_and_then_serves_again(model, engine):
    step, model.step = model.step, lambda chunks: 1 / 0
    with pytest.raises(ZeroDivisionError):
        draws(engine, n=3)
    model.step = step
    assert [d.info["tokens"] for d in draws(engine, n=2)] == [
        by_hand(model, (0, 1), 7, k) for k in range(2)
    ]


def test_cancelling_frees_the_slots_and_says_so(model):
    engine = Engine(model, batch=2)
    endless = Words(*(w for w in [(0,) * 3000]))
    s = Sampling(max_new_tokens=3000)
    ticket = engine.submit(Request(prompt=(0,), n=4, seed=1, sampling=s, constraints=(endless,)))
    ticket.cancel()
    assert [d.info["finish_reason"] for _, d in ticket] == ["cancelled"] * 4
    assert len(draws(engine, n=3)) == 3  # both slots are free again
    engine.close()


def test_leaving_the_loop_early_cancels_the_rest(model):
    engine = Engine(model, batch=1)
    ticket = engine.submit(
        Request(prompt=(0, 1), n=500, seed=7, sampling=Sampling(max_new_tokens=6))
    )
    rows = ticket.events()
    next(rows)
    rows.close()
    assert ticket.cancelled
    engine.close()


def test_tokens_stream_in_order_and_join_to_the_text(engine):
    ticket = engine.submit(
        Request(prompt=(0, 1), n=4, seed=7, watch=True, sampling=Sampling(max_new_tokens=6))
    )
    seen, text, final = {}, {}, {}
    for event in ticket.events():
        if isinstance(event, Token):
            assert event.index not in final
            seen.setdefault(event.index, []).append(event.token)
            text[event.index] = text.get(event.index, "") + event.text
        else:
            final[event[0]] = event[1]
    for k, d in final.items():
        assert seen.get(k, []) == d.info["tokens"]
        assert text.get(k, "") == d.value


@pytest.mark.parametrize("stop", [("ba",), ("cc", "ab"), ("a",)])
def test_text_is_cut_before_the_first_stop_string(engine, stop):
    free = draws(engine, n=40, sampling=Sampling(max_new_tokens=6))
    cut = draws(engine, n=40, sampling=Sampling(max_new_tokens=6, stop=stop))
    for a, b in zip(free, cut, strict=True):
        places = [at for s in stop if (at := a.value.find(s)) >= 0]
        assert b.value == (a.value[: min(places)] if places else a.value)
        assert b.info["finish_reason"] == ("stop" if places else a.info["finish_reason"])


def test_streamed_text_never_shows_what_a_stop_string_takes_back(engine):
    s = Sampling(max_new_tokens=6, stop=("bab", "cca"))
    ticket = engine.submit(Request(prompt=(0, 1), n=40, seed=7, watch=True, sampling=s))
    text, final = {}, {}
    for event in ticket.events():
        if isinstance(event, Token):
            text[event.index] = text.get(event.index, "") + event.text
        else:
            final[event[0]] = event[1].value
    assert final == {k: text.get(k, "") for k in final}


class Oracle:
    """Drafts a bushy tree: every token at each of three levels under the first branch."""

    def begin(self, vocabulary, prompt):
        assert prompt == (0, 1)
        return self

    def draft(self, tokens, size, floor):
        return Guesses([0, 1, 2, 0, 1, 2, 0, 1, 2], [-1, -1, -1, 1, 1, 1, 4, 4, 4])

    def end(self, tokens):
        pass


def test_drafts_change_no_draw_and_save_steps(model, engine):
    plain = draws(engine, n=30)
    steps = len(model.evaluations)
    drafted = draws(engine, n=30, drafts=Oracle())
    assert Samples.of(drafted) == Samples.of(plain)
    assert len(model.evaluations) - steps < steps


def test_drafts_go_with_constraints_and_forced_tokens(engine):
    words = (Words(*WORDS, (1, 1, 2, 0), (1, 1, 2, 1), forcing=True),)
    s = Sampling(max_new_tokens=6, logprobs=2)
    plain = draws(engine, n=40, constraints=words, sampling=s)
    drafted = draws(engine, n=40, constraints=words, sampling=s, drafts=Oracle())
    assert [d.info["tokens"] for d in drafted] == [d.info["tokens"] for d in plain]
    for a, b in zip(plain, drafted, strict=True):
        assert a.info["token_logprobs"] == pytest.approx(b.info["token_logprobs"], abs=1e-5)


def test_scripts_are_scored(model, engine):
    scripts = [(0, 1), (2,), (1, 1, 1, 1)]
    made = draws(engine, n=3, scripts=scripts)
    for d, script in zip(made, scripts, strict=True):
        rows = [model.log_probabilities([0, 1, *script[:i]])[t] for i, t in enumerate(script)]
        assert d.logprob == pytest.approx(sum(rows), abs=1e-5)


def test_top_logprobs_are_the_largest_and_hold_no_more_than_asked(model, engine):
    [d] = draws(engine, n=1, sampling=Sampling(max_new_tokens=6, logprobs=2))
    for i, top in enumerate(d.info["top_logprobs"]):
        truth = model.log_probabilities([0, 1, *d.info["tokens"][:i]])
        assert list(top) == list(np.argsort(-truth)[:2])
        assert list(top.values()) == pytest.approx(sorted(truth, reverse=True)[:2], abs=1e-5)


@pytest.mark.parametrize(
    "bad", [{"prompt": ()}, {"prompt": (0,), "n": -1}, {"prompt": (0,), "scripts": [(0,), (1,)]}]
)
def test_a_request_that_makes_no_sense_is_refused(bad):
    with pytest.raises(InvalidArgument, match="Request"):
        Request(**bad)


def test_a_prompt_past_the_context_is_refused(model, engine):
    model.context = 4
    with pytest.raises(InvalidArgument, match="at most 3"):
        draws(engine, prompt=(0, 1, 2, 0), n=1)
    [d] = draws(engine, prompt=(0, 1, 2), n=1, constraints=(Words((0, 0, 0)),))
    assert d.info["tokens"] == [0]
    assert d.info["finish_reason"] == "length"


def test_no_draws_are_no_work(model, engine):
    assert draws(engine, n=0) == []
    assert not model.evaluations
