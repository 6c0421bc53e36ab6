"""Exact draws have the law of the conditional, ASAp reaches it, and the trie decides no draw."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import ConstraintError, InvalidArgument, Ledger, uniform
from genwright.generators.language import walks
from genwright.generators.language.tabular import TabularModel
from genwright.generators.language.trie import Trie
from genwright.steering import aligned
from genwright.steering.aligned import (
    AlignedSampler,
    asap_distribution,
    exact_conditional,
    gcd_distribution,
    survey,
)
from genwright.steering.grammar import Grammar, Regex

LANGUAGES = ["(a|b)(ab|c){1,2}", "a|b[ab]{2,3}", "(a|ab|b)(b|bc)?", "c{1,3}b|[abc]"]
PROMPT = (0,)


def sampler(pattern=LANGUAGES[0], *, mode="exact", seed=3, tokens=5, sharpness=1.5, **others):
    model = TabularModel(size=4, depth=4, seed=seed, sharpness=sharpness)
    return AlignedSampler(
        model=model, constraint=Regex(pattern=pattern), mode=mode, max_tokens=tokens, **others
    )


def enumerated(of):
    """The model's probability of every allowed string of at most `max_tokens` tokens, by hand."""
    end = len(of.model.vocabulary) - 1
    found, front = {}, [((), of.constraint.compile(of.model.vocabulary).start(), 0.0)]
    while front:
        tokens, state, logp = front.pop()
        logits = of.model.logits([*PROMPT, *tokens]).astype(np.float64) / of.temperature
        logps = logp + logits - np.logaddexp.reduce(logits)
        if state.accepting:
            found[tokens] = math.exp(logps[end])
        for token in np.flatnonzero(state.mask()) if len(tokens) < of.max_tokens else ():
            if token != end:
                after = state.fork()
                after.advance(int(token))
                front.append(((*tokens, int(token)), after, logps[token]))
    return found


def conditional(of):
    mass = enumerated(of)
    return {tokens: p / sum(mass.values()) for tokens, p in mass.items()}


def distance(p, q):
    return sum(abs(p.get(s, 0) - q.get(s, 0)) for s in p.keys() | q.keys()) / 2


def strings(samples):
    return [tuple(info["tokens"]) for info in samples.info]


@pytest.mark.parametrize("pattern", LANGUAGES)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_exact_draws_have_the_law_of_the_conditional(pattern, temperature):
    """Chi-squared against enumeration, 3,000 draws; 45 beyond its mean plus: below 1e-7 each."""
    of = sampler(pattern, temperature=temperature)
    truth, n = conditional(of), 3000
    counts = Counter(strings(of.sample(PROMPT, n, seed=5)))
    assert set(counts) <= set(truth)
    common = {s: p for s, p in truth.items() if n * p >= 5}
    statistic = sum((counts[s] - n * p) ** 2 / (n * p) for s, p in common.items())
    left, rest = sum(counts[s] for s in truth if s not in common), 1 - sum(common.values())
    assert statistic < len(common) + 12 * math.sqrt(2 * len(common)) + 20
    assert left <= n * rest + 8 * math.sqrt(n * rest) + 8


@given(st.integers(0, 50), st.sampled_from(LANGUAGES))
@settings(max_examples=12, deadline=None)
def test_a_survey_reads_off_the_conditional(seed, pattern):
    of = sampler(pattern, seed=seed)
    trie = survey(of, PROMPT)
    assert distance(exact_conditional(trie), conditional(of)) < 1e-12
    assert trie.root.bound == pytest.approx(sum(enumerated(of).values()), rel=1e-12)


@given(st.integers(0, 50), st.sampled_from(LANGUAGES))
@settings(max_examples=6, deadline=None)
def test_bounds_only_fall_and_never_below_the_truth(seed, pattern):
    of = sampler(pattern, mode="asap", seed=seed)
    truth = survey(of, PROMPT)
    before = {}
    for k in range(15):
        of.sample(PROMPT, 1, seed=1, first=k)
        for node in nodes(of.trie(PROMPT)):
            path = tuple(node.path())
            assert node.bound <= before.get(path, 1.0)
            assert node.bound >= truth.find(path).bound * (1 - 1e-12)
            before[path] = node.bound


def nodes(trie):
    front = [trie.root]
    while front:
        node = front.pop()
        yield node
        front += node.children.values()


def test_asap_is_exact_once_every_prefix_was_visited():
    """400 draws of a nearly flat model meet all 12 strings; the rarest is drawn once in 50."""
    of = sampler(mode="asap", sharpness=0.2)
    full = survey(of, PROMPT)
    of.sample(PROMPT, 400, seed=9)
    assert of.trie(PROMPT).root.closed
    drawn = asap_distribution(full, of.trie(PROMPT))
    assert distance(drawn, conditional(of)) < 1e-12
    assert distance(asap_distribution(full, Trie()), gcd_distribution(full)) < 1e-12
    assert distance(gcd_distribution(full), conditional(of)) > 0.1


def test_the_mask_draws_as_its_distribution_says():
    """3,000 draws, 6 sigma for each of at most 12 strings: below 3e-8."""
    of, n = sampler(mode="mask"), 3000
    law = gcd_distribution(survey(of, PROMPT))
    counts = Counter(strings(of.sample(PROMPT, n, seed=2)))
    for tokens, p in law.items():
        assert abs(counts[tokens] - n * p) <= 6 * math.sqrt(n * p * (1 - p)) + 1


@pytest.mark.parametrize("pattern", LANGUAGES)
def test_an_exact_draw_depends_on_its_seed_alone(pattern):
    """Whatever was learnt before, in whatever order and company."""
    together = sampler(pattern).sample(PROMPT, 40, seed=7)
    of = sampler(pattern)
    backwards = [of.sample(PROMPT, 1, seed=7, first=k)[0] for k in reversed(range(40))]
    assert [s.value for s in backwards[::-1]] == list(together.values)
    assert [s.logprob for s in backwards[::-1]] == together.logprobs


def test_known_rows_are_not_asked_for_again_and_forgotten_ones_change_nothing(monkeypatch):
    of = sampler()
    first = of.sample(PROMPT, 300, seed=7)
    again = of.sample(PROMPT, 300, seed=7)
    assert again == first
    assert again.cost.network_evaluations < 5
    assert first.cost.network_evaluations < 200
    forgetful = sampler()
    forgetful._tries[PROMPT] = Trie(room=1)
    assert forgetful.sample(PROMPT, 60, seed=7) == first[:60]


def test_asap_depends_on_the_draws_before_it():
    fresh = sampler(mode="asap").sample(PROMPT, 30, seed=4)
    of = sampler(mode="asap")
    assert of.sample(PROMPT, 30, seed=4) == fresh
    assert of.sample(PROMPT, 30, seed=4) != fresh


@pytest.mark.parametrize("mode", ["asap", "exact", "mask"])
def test_a_language_of_one_string_is_drawn_in_every_mode(mode):
    drawn = sampler("abcab", mode=mode).sample(PROMPT, 5, seed=0)
    assert set(drawn.values) == {"abcab"}


def test_a_model_that_always_satisfies_the_constraint_is_left_as_it_is():
    model = TabularModel(size=4, depth=2, seed=1)
    constraint = Regex(pattern="[abc]*")
    drawn = {
        mode: AlignedSampler(model=model, constraint=constraint, mode=mode, max_tokens=200).sample(
            PROMPT, 60, seed=3
        )
        for mode in ("mask", "asap", "exact")
    }
    assert drawn["exact"].values == drawn["asap"].values == drawn["mask"].values
    assert max(info["masked_mass"] for info in drawn["exact"].info) < 1e-9


def test_log_probabilities_are_those_of_the_model_and_of_the_conditional():
    of = sampler(temperature=0.7)
    truth, plain = conditional(of), enumerated(sampler())
    (early,) = of.sample(PROMPT, 1, seed=1)
    assert "steered_logprob" not in early.info
    of._tries[PROMPT] = survey(of, PROMPT)
    for draw in of.sample(PROMPT, 20, seed=1):
        tokens = tuple(draw.info["tokens"])
        assert draw.logprob == pytest.approx(math.log(plain[tokens]), abs=1e-6)
        assert draw.info["steered_logprob"] == pytest.approx(math.log(truth[tokens]), abs=1e-9)
        assert draw.cost.network_evaluations <= 1  # the prompt's


def test_the_times_of_arrival_tell_the_probability_of_the_constraint():
    """The mean of n exponentials: 6 standard errors of 1,000 draws, below 1e-8."""
    of = sampler()
    times = np.exp([info["log_arrival"] for info in of.sample(PROMPT, 1000, seed=8).info])
    mass = sum(enumerated(of).values())
    assert times.mean() * mass == pytest.approx(1, abs=6 / math.sqrt(1000))


def test_what_cannot_end_in_time_is_no_part_of_the_language():
    of = sampler("a*b", tokens=3)
    assert {len(s) for s in strings(of.sample(PROMPT, 300, seed=0))} <= {1, 2, 3}
    assert set(exact_conditional(survey(of, PROMPT))) == set(enumerated(of))
    with pytest.raises(ConstraintError, match="shortest draw"):
        sampler("a{9}", tokens=3).sample(PROMPT, 1, seed=0)


def test_an_empty_language_is_refused_before_the_model_is_asked():
    of = AlignedSampler(
        model=TabularModel(), constraint=Grammar(text="start: X\nX: /a/ & /b/"), max_tokens=4
    )
    with pytest.raises(ConstraintError, match="no string at all"):
        of.sample(PROMPT, 1, seed=0)
    assert of.model.evaluations == []


def test_a_language_of_dead_ends_is_said_to_be_one(monkeypatch):
    """Where the search for a shortest string gives up, the draw itself finds out."""
    monkeypatch.setattr(aligned, "check_length", lambda compiled, limit: None)
    of = AlignedSampler(
        model=TabularModel(size=4),
        constraint=Grammar(text="start: /a*/ X | /a*b/ X\nX: /b/ & /c/"),
        max_tokens=3,
    )
    drawn = of.sample(PROMPT, 3, seed=0)
    assert {info["finish_reason"] for info in drawn.info} == {"constraint"}
    assert of.trie(PROMPT).root.bound == 0
    assert drawn.logprobs is None


def test_a_draw_that_asks_too_often_gives_up(monkeypatch):
    monkeypatch.setattr(walks, "PATIENCE", 2)
    (draw,) = sampler("[ab]{5}").sample(PROMPT, 1, seed=0)
    assert (draw.info["finish_reason"], draw.info["complete"]) == ("exhausted", False)
    assert (draw.value, draw.logprob) == ("", None)


def test_a_trie_in_a_ledger_gives_the_same_next_draw(tmp_path):
    of = sampler(mode="asap")
    of.sample(PROMPT, 10, seed=4)
    with Ledger(tmp_path / "l.db") as ledger:
        ledger.remember("here", of.trie(PROMPT).fresh_records())
        ledger.remember("here", of.trie(PROMPT).fresh_records())
        later = sampler(mode="asap")
        later.trie(PROMPT).restore(ledger.recall("here"))
        assert ledger.recall("elsewhere") == []
    assert later.trie(PROMPT).root.bound == pytest.approx(of.trie(PROMPT).root.bound, rel=1e-12)
    assert later.sample(PROMPT, 10, seed=5) == of.sample(PROMPT, 10, seed=5)


def test_a_survey_of_too_large_a_language_is_refused():
    with pytest.raises(InvalidArgument, match="more than 20 prefixes"):
        survey(sampler("[abc]*"), PROMPT, visits=20)
    with pytest.raises(InvalidArgument, match="not every prefix"):
        exact_conditional(Trie())


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [({"temperature": 0.0}, "temperature"), ({"mode": "gcd"}, "mask, asap, exact")],
)
def test_settings_that_leave_nothing_to_condition_are_refused(settings, culprit):
    with pytest.raises(InvalidArgument, match=culprit):
        sampler(**settings).sample(PROMPT, 1, seed=0)


def test_every_number_of_a_draw_is_used_once(monkeypatch):
    used = []
    monkeypatch.setattr(walks, "uniform", lambda *names: used.append(names) or uniform(*names))
    of = sampler("[abc]{3,4}b", sharpness=0.5)
    trie, met = survey(of, PROMPT), 0
    for seed in range(60):
        used.clear()
        race = walks.Race(trie, seed)
        assert race.proceed() is walks.Step.END
        assert len(set(used)) == len(used)
        met = max(met, race.info()["prefixes"])
    assert met > 20  # among them races with many siblings


def test_a_token_without_weight_never_wins():
    tokens, weights = np.array([2, 5, 700, 701]), np.array([0.0, 1e-200, 3e-200, 0.0])
    won = {walks.winner(tokens, weights, u) for u in (*np.linspace(0, 0.999, 200), 1 - 2**-53)}
    assert won == {1, 2}  # one of the two alone: 0.75^200 is 1e-25
