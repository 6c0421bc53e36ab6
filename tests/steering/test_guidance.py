"""A guide's posterior is Bayes' rule, its filter that of the paper, and batches change nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Vocabulary
from genwright.core.task_file import TaskFile
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.tabular import TabularModel
from genwright.steering.grammar import Regex
from genwright.steering.guidance import BayesGuide, gedi_loss

torch = pytest.importorskip("torch")
GOOD, BAD = 3, 4  # "d" and "e" are the codes of two chains over "a", "b", "c"


class Chains(TabularModel):
    """After its first token, a code, a Markov chain of that code."""

    def __init__(self, seed=0):
        super().__init__(size=6, seed=seed)
        self.tables = np.random.default_rng(seed).normal(0, 1.5, (2, 6, 6)).astype(np.float32)

    def logits(self, tokens):
        return self.tables[int(tokens[0] == BAD), tokens[-1]]

    def log_likelihood(self, code, tokens):
        """The sum over the tokens, in float64."""
        text, total = [code, *tokens], 0.0
        for i in range(1, len(text)):
            row = self.logits(text[:i]).astype(np.float64)
            total += row[text[i]] - np.logaddexp.reduce(row)
        return total


def plain(**settings):
    return BayesGuide(guide=settings.pop("guide", Chains()), code="d", anti_code="e", **settings)


@pytest.mark.parametrize("tokens", [[], [0], [2, 1], [0, 0, 1, 2, 2]], ids=len)
@pytest.mark.parametrize(("scale", "bias"), [(None, 0.0), (4.0, 0.7)], ids=["plain", "scaled"])
def test_the_posterior_is_bayes_rule_with_the_exponent_of_the_paper(tokens, scale, bias):
    model = Chains()
    state = plain(guide=model, scale=scale, bias=bias).start(model.vocabulary, [])
    for token in tokens:
        state.advance(token)
    for x, found in enumerate(state.posterior()):
        t = len(tokens) + 1
        r = [model.log_likelihood(code, [*tokens, x]) for code in (GOOD, BAD)]
        wanted = 1 / (1 + np.exp(-((scale or 1.0) / t * (r[0] - r[1]) + bias)))
        assert found == pytest.approx(wanted, abs=1e-5)


def test_at_a_scale_of_the_length_it_is_the_true_posterior_of_equal_classes():
    model, tokens = Chains(), [0, 2, 1]
    state = plain(guide=model, scale=4.0).start(model.vocabulary, tokens)
    for x, found in enumerate(state.posterior()):
        good, bad = (np.exp(model.log_likelihood(c, [*tokens, x])) for c in (GOOD, BAD))
        assert found == pytest.approx(good / (good + bad), abs=1e-5)


def test_a_prompt_and_the_same_tokens_drawn_are_read_alike():
    model, tokens = Chains(), [1, 0, 2]
    guide = plain(guide=model)
    at_once, stepwise = guide.start(model.vocabulary, tokens), guide.start(model.vocabulary, [])
    forced = guide.start(model.vocabulary, [1])
    for token in tokens:
        stepwise.advance(token)
        stepwise.posterior()
    for token in tokens[1:]:
        forced.advance(token)
    for other in (stepwise, forced):
        assert np.allclose(at_once.posterior(), other.posterior(), atol=1e-6)


def test_equal_codes_tell_nothing():
    model = Chains()
    guide = BayesGuide(guide=model, code="d", anti_code="d", filter_p=0.0)
    state = guide.start(model.vocabulary, [0, 1])
    assert np.allclose(state.posterior(), 0.5)
    row = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], np.float32)
    shaped = state.shape(row)
    assert np.allclose(np.diff(shaped), 1.0, atol=1e-5)
    assert row.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def oracle(base, posterior, omega, filter_p, target_p):
    """The guided odds by a full sort, in float64: what is kept, renormalised."""
    guided = np.exp(base - np.logaddexp.reduce(base)) * posterior**omega
    guided /= guided.sum()
    cumulative, kept = 0.0, guided.copy()
    for i in np.argsort(posterior):
        cumulative += guided[i]
        if cumulative < filter_p and posterior[i] < target_p:
            kept[i] = 0.0
    return kept / kept.sum()


@given(
    seed=st.integers(0, 10_000),
    omega=st.sampled_from([0.0, 1.0, 30.0]),
    filter_p=st.sampled_from([0.0, 0.5, 0.8, 0.99]),
    target_p=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
)
def test_odds_are_those_of_the_paper(seed, omega, filter_p, target_p):
    model = Chains(seed % 50)
    base = np.random.default_rng(seed).normal(0, 2, 6).astype(np.float32)
    guide = plain(guide=model, omega=omega, filter_p=filter_p, target_p=target_p, scale=3.0)
    state = guide.start(model.vocabulary, [seed % 3])
    shaped = state.shape(base).astype(np.float64)
    found = np.exp(shaped - np.logaddexp.reduce(shaped))
    wanted = oracle(base.astype(np.float64), state.posterior().astype(np.float64), omega,
                    filter_p, target_p)  # fmt: skip
    assert np.allclose(found, wanted, atol=1e-4)
    assert found.max() > 0


def draws(model, shapers, n=40, seed=3, **settings):
    engine = Engine(model)
    sampling = Sampling(temperature=1.0, max_new_tokens=6)
    ticket = engine.submit(
        Request(prompt=[0], n=n, seed=seed, sampling=sampling, shapers=shapers, **settings)
    )
    found = dict(ticket)
    engine.close()
    return [found[k] for k in sorted(found)]


def test_without_omega_and_filter_the_draws_are_the_models_own():
    model = TabularModel(size=6, seed=1)
    off = plain(omega=0.0, filter_p=0.0)
    assert [d.value for d in draws(model, (off,))] == [d.value for d in draws(model, ())]


def test_a_guide_moves_draws_into_its_class():
    """40 draws; both counts are functions of the seed."""
    chains, model = Chains(), TabularModel(size=6, seed=1)
    codes = {"toward": ("d", "e"), "away": ("e", "d")}

    def margin(name):
        code, other = codes[name]
        guide = BayesGuide(guide=chains, code=code, anti_code=other, omega=10.0)
        tokens = [d.info["tokens"] for d in draws(model, (guide,))]
        odds = [chains.log_likelihood(GOOD, t) - chains.log_likelihood(BAD, t) for t in tokens]
        return float(np.mean(odds))

    assert margin("toward") > margin("away") + 2.0


def test_draws_do_not_depend_on_their_batch():
    model, guide = TabularModel(size=6, seed=2), plain(omega=5.0)
    together = [d.value for d in draws(model, (guide,), n=6)]
    assert together == [draws(model, (guide,), n=1, first=k)[0].value for k in range(6)]


def test_guides_multiply():
    model, row = Chains(), np.zeros(6, np.float32)
    guides = [
        plain(guide=model, omega=w, filter_p=0.0, scale=s) for w, s in ((2.0, 1.0), (3.0, 4.0))
    ]
    states = [g.start(model.vocabulary, [0]) for g in guides]
    shaped = states[1].shape(states[0].shape(row))
    wanted = states[0].posterior() ** 2 * states[1].posterior() ** 3
    assert np.allclose(np.exp(shaped) / np.exp(shaped).sum(), wanted / wanted.sum(), atol=1e-5)


def test_a_constraint_that_allows_only_struck_tokens_still_finds_them():
    model = TabularModel(size=6, seed=1)
    compiled = Regex(pattern="ab?").compile(model.vocabulary)
    guide = plain(filter_p=0.99, target_p=1.0, omega=0.0)
    for draw in draws(model, (guide,), n=10, constraints=(compiled,)):
        assert draw.value in ("a", "ab")


def test_caches_are_freed_when_draws_are_gone():
    chains = Chains()
    released = []
    chains.release = released.append
    guide = plain(guide=chains)
    draws(TabularModel(size=6, seed=1), (guide,), n=9)
    guide.reader.read()
    assert len(released) == 18


def test_draws_of_a_batch_are_read_in_one_step():
    """9 draws of at most 6 tokens: 2 codes and 2 prompts, then a step a round."""
    chains, steps = Chains(), []
    step = chains.step
    chains.step = lambda chunks: steps.append(len(chunks)) or step(chunks)
    draws(TabularModel(size=6, seed=1), (plain(guide=chains),), n=9)
    assert steps[:4] == [1, 1, 1, 1]
    assert len(steps) <= 4 + 6
    assert max(steps) >= 10


def test_a_guide_with_another_tokenizer_is_refused_before_anything_is_read(tiny_llama):
    chains = Chains()
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4)
    with pytest.raises(InvalidArgument, match=r"guide tabular-6 has another tokenizer \(6 tokens"):
        lm.steered(plain(guide=chains)).sample("say", 1, seed=0)
    assert chains.evaluations == []


def test_a_text_too_long_for_the_guide_is_refused():
    chains = Chains()
    chains.context = 5
    with pytest.raises(InvalidArgument, match="the guide reads at most 3 after its code"):
        plain(guide=chains).start(chains.vocabulary, [0] * 5)
    state = plain(guide=chains).start(chains.vocabulary, [0, 0, 0])
    state.advance(0)
    with pytest.raises(InvalidArgument, match="at most 4 tokens after a code"):
        state.advance(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"omega": -1.0}, "omega must be 0 or more, got -1"),
        ({"omega": float("nan")}, "omega must be 0 or more"),
        ({"scale": -0.1}, "scale must be 0 or more"),
        ({"bias": float("inf")}, "bias must be"),
        ({"filter_p": 1.0}, "filter_p must be in"),
        ({"target_p": 1.5}, "target_p in"),
    ],
    ids=["omega", "nan", "scale", "bias", "filter", "target"],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InvalidArgument, match=message):
        plain(**settings)


def test_texts_are_classified_by_the_same_rule():
    model = Chains()
    (found,) = plain(guide=model, scale=3.0).posterior(["abc"])
    good, bad = (np.exp(model.log_likelihood(c, [0, 1, 2])) for c in (GOOD, BAD))
    assert found == pytest.approx(good / (good + bad), abs=1e-5)
    with pytest.raises(InvalidArgument, match="an empty text"):
        plain(guide=model).posterior([""])


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_the_gradient_of_the_loss_is_right(weight):
    """Against central differences, in float64."""
    generator = torch.Generator().manual_seed(0)
    wanted, other = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    scale = torch.tensor(2.5, dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for x in (wanted, other, scale)]
    assert torch.autograd.gradcheck(lambda *x: gedi_loss(*x, weight), inputs)
    p = 1 / (1 + np.exp(-2.5 * (wanted - other).numpy()))
    value = weight * -wanted.mean().item() + (1 - weight) * -np.log(p).mean()
    assert gedi_loss(*inputs, weight).item() == pytest.approx(value, abs=1e-12)


def test_a_local_model_guides_through_its_own_cache(tiny_llama):
    """Cached reading agrees with reading anew, to 1e-5."""
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=6)
    guide = BayesGuide(guide=lm, code="good: ", anti_code="bad: ", scale=5.0)
    ids = lm.encode("some text")
    state = guide.start(lm.vocabulary, ids)
    for token in lm.vocabulary.encode("ab"):
        state.posterior()
        state.advance(token)
    fresh = guide.start(lm.vocabulary, [*ids, *lm.vocabulary.encode("ab")])
    assert np.allclose(state.posterior(), fresh.posterior(), atol=1e-5)
    assert isinstance(lm.vocabulary, Vocabulary)
    steered = replace(lm, temperature=1.0).steered(guide)
    assert steered.sample("say", 4, seed=1).values == [
        steered.sample("say", 1, seed=1, first=k)[0].value for k in range(4)
    ]


def test_a_task_file_may_name_a_guide_beside_constraints(tmp_path, tiny_llama):
    path = tmp_path / "t.toml"
    settings = "chat = false, dtype = 'float32', max_new_tokens = 8"
    guide = f"{{ method = 'local_lm', model = '{tiny_llama}', {settings} }}"
    path.write_text(
        "name = 'led'\n"
        f"generator = {guide}\n"
        "prompts = { template = '{x}', rows = [{ x = 'say' }] }\n"
        "steering = [\n"
        "  { method = 'token_filter', filters = [{ method = 'ban', strings = ['e'] }] },\n"
        f"  {{ method = 'bayes_guide', code = 'a ', anti_code = 'b ', guide = {guide} }},\n"
        "]\n"
    )
    task = TaskFile.load(path)
    ban, led = task.constraints()
    assert isinstance(led, BayesGuide)
    (draw,) = task.build("generator", task.generator).steered(ban, led).sample("say", 1, seed=0)
    assert "e" not in draw.value.lower()
