"""The beam finds the best text that satisfies its clauses, and without clauses is beam search."""

import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from genwright.core import ConstraintError, InvalidArgument
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request
from genwright.generators.language.tabular import TabularModel
from genwright.steering.grammar import Regex
from genwright.steering.logic import CNF
from genwright.steering.neurologic import NeurologicBeam

PROMPT = (0,)
FORMULAS = [
    (("aab",),),
    (("ab", "ba"), ("!bb",)),
    (("b",), ("!a", "ab"), ("!cc",)),
    (("!a",), ("!b", "!c")),
]


def letters(*clauses):
    return CNF(clauses=clauses, whole=False)


def model_of(seed, size=4):
    return TabularModel(size=size, depth=4, seed=seed, sharpness=1.5)


def scored(model, penalty, limit):
    """The best score of every text, finished or cut off at the limit, with its log-probability."""
    end = len(model.vocabulary) - 1
    found = {}
    for size in range(limit + 1):
        for tokens in itertools.product(range(end), repeat=size):
            written = (*tokens, end) if size < limit else tokens
            rows = [model.log_probabilities([*PROMPT, *tokens[:i]]) for i in range(len(written))]
            logp = float(sum(row[token] for row, token in zip(rows, written, strict=True)))
            text = model.vocabulary.decode(tokens).decode()
            found[text] = (logp / max(size, 1) ** penalty, logp)
    return found


def whole_space(model, cnf, limit, **others):
    """A beam in which every string has its place."""
    settings = {"beam": 400, "prune": 0, "tolerance": 9, "ngram": 0, "early_stop": 1}
    return NeurologicBeam(model=model, cnf=cnf, max_tokens=limit, **settings | others)


def satisfies(clauses, text):
    """The definition, read off Python's `in`."""
    return all(any((t[1:] not in text) if t[0] == "!" else t in text for t in c) for c in clauses)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("clauses", FORMULAS, ids=lambda c: "&".join("|".join(d) for d in c))
def test_with_room_for_every_string_the_best_one_that_satisfies_is_found(clauses, seed):
    model, limit = model_of(seed), 5
    truth = scored(model, 0.2, limit)
    allowed = [text for text in truth if satisfies(clauses, text)]
    best = sorted(allowed, key=truth.__getitem__, reverse=True)[:4]
    drawn = whole_space(model, letters(*clauses), limit).sample(PROMPT, 4, seed=0)
    assert [draw.value for draw in drawn] == best
    assert [d.logprob for d in drawn] == pytest.approx([truth[t][1] for t in best], abs=1e-4)
    assert all(draw.info["complete"] for draw in drawn)


def beam_search(model, beam, limit, penalty):
    """Beam search as a textbook has it; returns the finished texts, best first."""
    end = len(model.vocabulary) - 1
    live, done = [((), 0.0)], []
    for size in range(1, limit + 1):
        rows = [(t, lp + model.log_probabilities([*PROMPT, *t])) for t, lp in live]
        spots = [(float(row[k]), t, k) for t, row in rows for k in range(end + 1)]
        spots.sort(key=lambda s: -s[0])
        done += [(lp / max(size - 1, 1) ** penalty, t) for lp, t, k in spots[:beam] if k == end]
        done = sorted(done, reverse=True)[:beam]
        if len(done) == beam and done[-1][0] >= spots[0][0] / size**penalty:
            return done
        live = [((*t, k), lp) for lp, t, k in spots if k != end][:beam]
    done += [(lp / limit**penalty, t) for t, lp in live]
    return sorted(done, reverse=True)[:beam]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("beam", [1, 2, 4])
def test_without_clauses_it_is_plain_beam_search(seed, beam):
    model = model_of(seed)
    settings = {"beam": beam, "prune": 50, "ngram": 0, "early_stop": 0, "max_tokens": 7}
    drawn = NeurologicBeam(model=model, **settings).sample(PROMPT, beam, seed=0)
    wanted = beam_search(model, beam, 7, 0.2)
    assert [tuple(d.info["tokens"]) for d in drawn] == [tokens for _, tokens in wanted]


@pytest.mark.parametrize("seed", range(6))
def test_every_complete_draw_satisfies_its_clauses(seed):
    clauses = (("aab", "cc"), ("ba",), ("!abc",))
    beam = NeurologicBeam(
        model=model_of(seed), cnf=letters(*clauses), beam=6, max_tokens=10, ngram=0
    )
    drawn = beam.sample(PROMPT, 6, seed=0)
    assert drawn[0].info["complete"]
    for draw in drawn:
        assert draw.info["complete"] <= satisfies(clauses, draw.value)
        met = sum(satisfies([clause], draw.value) for clause in clauses)
        assert draw.info["met"] == met


def test_groups_keep_an_unlikely_word_alive_that_plain_beam_search_loses():
    """Of 30 models; the texts of both searches are as long, and the beam as wide."""
    clauses = (("cab",), ("bb",))
    met = {True: 0, False: 0}
    for seed, free in itertools.product(range(30), (True, False)):
        cnf = letters() if free else letters(*clauses)
        beam = NeurologicBeam(model=model_of(seed), cnf=cnf, beam=4, max_tokens=9, prune=0)
        met[free] += satisfies(clauses, beam.sample(PROMPT, 1, seed=0).values[0])
    assert met[False] >= 28
    assert met[True] < 10


def test_a_partly_written_word_is_worth_beta():
    """`aab` and its like need three steps during which nothing is satisfied yet."""
    cnf, found = letters(("caab",)), {}
    for beta in (0.0, 4.0):
        draws = [
            NeurologicBeam(
                model=model_of(s), cnf=cnf, beam=2, beta=beta, prune=0, max_tokens=6, ngram=0
            ).sample(PROMPT, 1, seed=0)
            for s in range(20)
        ]
        found[beta] = sum(d.info[0]["complete"] for d in draws)
    assert found[4.0] >= found[0.0] + 5


def test_no_three_tokens_are_written_twice():
    model = model_of(2)
    long = NeurologicBeam(model=model, beam=4, max_tokens=24, min_tokens=20)
    for draw in long.sample(PROMPT, 4, seed=0):
        tokens = draw.info["tokens"]
        triples = [tuple(tokens[i : i + 3]) for i in range(len(tokens) - 2)]
        assert len(triples) >= 18
        assert len(set(triples)) == len(triples)


def test_a_token_may_end_a_text_where_every_clause_holds():
    beam = NeurologicBeam(
        model=model_of(1), cnf=letters(("ab",)), ends="c", beam=8, max_tokens=8, min_tokens=4
    )
    drawn = [d for d in beam.sample(PROMPT, 8, seed=0) if d.info["finish_reason"] == "stop"]
    assert any(d.value.endswith("c") for d in drawn)
    assert all("c" not in d.value[:-1] and "ab" in d.value and len(d.value) >= 4 for d in drawn)


def test_a_constraint_of_the_model_stands_beside_the_clauses(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32")
    steered = lm.steered(Regex(pattern="[a-d ]{3,8}"))
    cnf = CNF(clauses=[["cab", "bad"], ["!a"]])
    beam = NeurologicBeam(model=steered, cnf=cnf, beam=6, prune=0, beta=5, max_tokens=8)
    drawn = beam.sample("x", 6, seed=0)
    whole = [d for d in drawn if d.info["complete"]]
    assert whole
    for draw in whole:
        assert re.fullmatch("[a-d ]{3,8}", draw.value)
        assert cnf.holds(draw.value)


def test_scores_are_those_of_the_model_itself(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32")
    beam = NeurologicBeam(model=lm, cnf=CNF(clauses=[["ab"]], whole=False), beam=5, max_tokens=6)
    drawn = [d for d in beam.sample("say", 5, seed=0) if d.info["finish_reason"] == "length"]
    assert drawn
    engine, ids = lm.engine, lm.encode("say")
    scripts = [d.info["tokens"] for d in drawn]
    ticket = engine.submit(Request(prompt=ids, n=len(scripts), scripts=scripts))
    truth = [draw.logprob for _, draw in sorted(ticket, key=lambda pair: pair[0])]
    assert [d.logprob for d in drawn] == pytest.approx(truth, abs=1e-3)


def test_searches_and_draws_of_many_callers_run_together_and_change_nothing(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=6)
    cnf = CNF(clauses=[["ab", "c"]], whole=False)
    beam = NeurologicBeam(model=lm, cnf=cnf, beam=30, max_tokens=6)  # two fill the engine
    jobs = [(g, p) for p in ("x", "yes", "no") for g in (beam, lm)]
    alone = [g.sample(p, 2, seed=0).values for g, p in jobs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda job: job[0].sample(job[1], 2, seed=0).values, jobs))
    assert together == alone


def test_ranks_past_what_was_found_are_exhausted_and_costs_are_shared():
    beam = NeurologicBeam(model=model_of(0), cnf=letters(("ab",)), beam=2, max_tokens=5)
    drawn = beam.sample(PROMPT, 4, seed=0)
    assert [d.info["finish_reason"] == "exhausted" for d in drawn] == [False, False, True, True]
    assert drawn.cost.network_evaluations == len(beam.model.evaluations)
    assert len(beam.model.evaluations) <= 1 + 2 * 4


def test_a_search_that_is_cancelled_frees_its_caches(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", batch=7)
    beam = NeurologicBeam(model=lm, cnf=CNF(clauses=[["zq"]]), beam=4, max_tokens=400)
    ticket = lm.engine.submit(Request(prompt=lm.encode("x"), n=2, search=beam))
    waits = lm.engine.submit(Request(prompt=lm.encode("yy"), n=2, search=beam))
    pool, waited = lm.token_model.pool, 0
    while not pool.rows and waited < 6000:  # until the first one runs
        time.sleep(0.01)
        waited += 1
    for one in (waits, ticket):
        one.cancel()
    reasons = [draw.info["finish_reason"] for one in (ticket, waits) for _, draw in one]
    assert reasons == ["cancelled"] * 4
    assert beam.sample("x", 1, seed=0).values  # a later search still runs
    assert pool.rows == []


def test_clauses_that_contradict_are_refused_before_the_model_is_asked():
    model = model_of(0)
    with pytest.raises(ConstraintError, match="a; !a"):
        NeurologicBeam(model=model, cnf=letters(("a",), ("!a",))).sample(PROMPT, 1, seed=0)
    assert not model.evaluations


@pytest.mark.parametrize("bad", [{"beam": 0}, {"max_tokens": 0}, {"prune": -1}, {"beta": -0.5}])
def test_a_setting_out_of_its_range_is_refused(bad):
    with pytest.raises(InvalidArgument, match=f"NeurologicBeam: {next(iter(bad))} must be"):
        NeurologicBeam(model=model_of(0), **bad)


def test_a_search_takes_no_other_steering():
    beam = NeurologicBeam(model=model_of(0))
    with pytest.raises(InvalidArgument, match="a search chooses by itself"):
        Request(prompt=(0,), n=1, search=beam, scripts=[(0,)])
    assert Engine(model_of(0)).submit(Request(prompt=(0,), n=0, search=beam)).left == 0


def test_without_clauses_it_finds_what_transformers_beam_search_finds(tiny_llama):
    """The peer never ends early here, and compares sums: so does ours, with no length penalty."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32")
    ids = lm.encode("say so")
    peer = transformers.AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    sharp = peer.get_output_embeddings().weight
    with torch.inference_mode():
        sharp.mul_(8)  # or the odds are nearly flat, and rounding decides
        theirs = peer.generate(
            torch.tensor([ids]),
            num_beams=6,
            num_return_sequences=6,
            max_new_tokens=7,
            min_new_tokens=7,
            do_sample=False,
            length_penalty=0.0,
            pad_token_id=0,
        )[:, len(ids) :]
    folder = tiny_llama.parent / "sharp"
    peer.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(folder)
    beam = NeurologicBeam(
        model=LocalLM(model=str(folder), chat=False, dtype="float32"),
        beam=6,
        ngram=0,
        length_penalty=0.0,
        min_tokens=7,
        max_tokens=7,
    )
    ours = beam.sample("say so", 6, seed=0)
    distinct = {bytes(row): None for row in theirs.tolist()}
    assert [bytes(d.info["tokens"]) for d in ours] == list(distinct)[: len(ours)]
    assert len(ours) >= 4


def test_without_tolerance_only_those_that_satisfy_the_most_live():
    cnf = letters(("aab",), ("cc",))
    beam = NeurologicBeam(model=model_of(4), cnf=cnf, beam=6, tolerance=0, prune=0, max_tokens=9)
    drawn = beam.sample(PROMPT, 6, seed=0)
    assert [draw.info["met"] for draw in drawn if draw.value] == [2] * 6


def test_no_token_ends_a_text_too_early():
    cnf = letters(("abab",))  # which takes more than there is room for
    beam = NeurologicBeam(model=model_of(1), cnf=cnf, ends="c", beam=8, prune=0, max_tokens=3)
    reasons = {draw.info["finish_reason"] for draw in beam.sample(PROMPT, 8, seed=0)}
    assert reasons == {"length"}
