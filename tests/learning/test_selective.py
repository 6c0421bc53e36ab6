"""The loss has the gradient of the expected reward, and training leaves the base as it was."""

from dataclasses import replace
from itertools import product

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.language.local import LocalLM
from genwright.learning.selective import Row, SelectiveRL, draw
from genwright.learning.selective_losses import Episode, selective_loss, teaching_loss
from genwright.nets.adapters import RecurrentAdapter
from genwright.steering.selective_model import Frozen, SelectiveModel

V, D, LENGTH = 3, 4, 3


class World:
    """A frozen model of three tokens, the last of which ends: its states are random tables."""

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.weight = torch.randn(V, D, dtype=torch.float64, generator=rng)
        self.embedding = torch.randn(V, D, dtype=torch.float64, generator=rng)
        self.mix = torch.randn(D, D, dtype=torch.float64, generator=rng)
        self.vocabulary = type("Words", (), {"eos": frozenset({V - 1})})()

    def read(self, texts):
        states = []
        for text in texts:
            x, found = torch.zeros(D, dtype=torch.float64), []
            for token in text:
                x = torch.tanh(x @ self.mix + self.embedding[token])
                found.append(x)
            states.append(torch.stack(found))
        return states

    def logits(self, hidden):
        return hidden @ self.weight.T


class Pair:
    """What the losses ask of a `SelectiveModel`, in float64."""

    def __init__(self, selects=True):
        torch.manual_seed(0)
        self.frozen, self.size = World(), V
        self.adapter = RecurrentAdapter(D, hidden=3, layers=1, selects=selects).double()
        for weight in self.adapter.parameters():
            torch.nn.init.normal_(weight, std=0.7)

    def row(self, tokens):
        """log P(who, what) after the tokens, [2, V], with its gradient."""
        x = self.frozen.read([tokens])[0]
        found = self.adapter(x[None])
        plain = self.frozen.logits(x[-1]).log_softmax(0)
        adapted = self.frozen.logits(x[-1] + found.shift[0, -1]).log_softmax(0)
        return found.chosen[0, -1][:, None] + torch.stack([plain, adapted])


def reward(tokens):
    return (1 + tokens.count(0) - 0.5 * tokens.count(1)) / (LENGTH + 1) if tokens else 0.0


def episodes_of(pair, prompt=(1,)):
    """Every (episode, its log-probability): up to three tokens, ended or cut."""
    found = []
    for n in range(LENGTH + 1):
        for pairs in product([w * V + t for w in range(2) for t in range(V - 1)], repeat=n):
            tokens = [p % V for p in pairs]
            logp = torch.zeros((), dtype=torch.float64)
            for i, p in enumerate(pairs):
                logp = logp + pair.row([*prompt, *tokens[:i]]).flatten()[p]
            worth = reward(tokens)
            if n == LENGTH:
                found.append((Episode(prompt, pairs, False, worth), logp))
            else:
                last = pair.row([*prompt, *tokens])[:, V - 1].logsumexp(0)
                found.append((Episode(prompt, pairs, True, worth), logp + last))
    return found


def steps(episode):
    return len(episode.pairs) + episode.ended


@pytest.mark.parametrize("selects", [True, False], ids=["selector", "adapter alone"])
def test_the_loss_has_the_gradient_of_the_expected_reward(selects):
    """Enumerated: all episodes of the pair, the critic's share apart.

    The paper takes the mean over an episode's steps, so what rises is the reward over its length.
    """
    pair = Pair(selects)
    if not selects:
        every = [(e, lp) for e, lp in episodes_of(pair) if all(p >= V for p in e.pairs)]
    else:
        every = episodes_of(pair)
    assert sum(lp.exp().item() for _, lp in every) == pytest.approx(1, abs=1e-9)
    actor = [w for n, w in pair.adapter.named_parameters() if n.startswith(("lift", "select."))]
    expected = sum(lp.exp() * e.reward / steps(e) for e, lp in every)
    wanted = torch.autograd.grad(expected, actor, allow_unused=True)
    found = [torch.zeros_like(w) for w in actor]
    pair.adapter.critic.weight.data.zero_()
    pair.adapter.critic.bias.data.zero_()
    for episode, logp in every:
        loss = selective_loss(pair, [episode])
        for total, slope in zip(
            found, torch.autograd.grad(loss, actor, allow_unused=True), strict=True
        ):
            if slope is not None:
                total -= logp.exp().detach() * slope
    for mine, theirs in zip(found, wanted, strict=True):
        theirs = torch.zeros_like(mine) if theirs is None else theirs
        assert torch.allclose(mine, theirs, atol=1e-9)
    assert any(w.abs().max() > 1e-3 for w in found)


def test_a_batch_is_the_mean_of_its_episodes():
    pair = Pair()
    some = [e for e, _ in episodes_of(pair)][5:9]
    single = [selective_loss(pair, [e]).item() for e in some]
    assert selective_loss(pair, some).item() == pytest.approx(sum(single) / 4, abs=1e-9)


def test_the_critic_learns_the_reward():
    pair = Pair()
    episode = next(e for e, _ in episodes_of(pair) if len(e.pairs) == 2)
    x = pair.frozen.read([[*episode.prompt, *(p % V for p in episode.pairs)]])[0]
    values = pair.adapter(x[None]).values[0]
    assert len(values) == steps(episode) == 3
    slope = torch.autograd.grad(selective_loss(pair, [episode]), pair.adapter.critic.bias)[0]
    wanted = 2 * (values.detach() - episode.reward).mean().item()
    assert slope.item() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("lean", [0.5, 0.2])
def test_the_selector_is_held_to_where_it_leant(lean):
    """The mean over tokens of KL(selector || lean), by the rows of the pair."""
    pair = Pair()
    some = [e for e, _ in episodes_of(pair)][:6]
    parts = [selective_loss(pair, some, lean=lean, hold=w) for w in (0.0, 1.0)]
    start = torch.tensor([1 - lean, lean], dtype=torch.float64)
    means = []
    for episode in some:
        tokens = [*episode.prompt, *(p % V for p in episode.pairs)]
        n = steps(episode)
        chosen = [pair.row(tokens[: len(episode.prompt) + k]).exp().sum(1) for k in range(n)]
        means.append(sum((c * (c / start).log()).sum().item() for c in chosen) / n)
    assert (parts[1] - parts[0]).item() == pytest.approx(sum(means) / len(means), abs=1e-7)


def test_teaching_is_cross_entropy_of_the_adapter():
    pair = Pair()
    rows = [Row([1], [0, 2]), Row([0, 1], [1])]
    nats = []
    for row in rows:
        for k, token in enumerate(row.completion):
            both = pair.row([*row.prompt, *row.completion[:k]])[1]
            nats.append(-float(both.log_softmax(0)[token]))
    assert teaching_loss(pair, rows).item() == pytest.approx(sum(nats) / 3, abs=1e-6)


@pytest.fixture(scope="module")
def folder(tiny_llama, tmp_path_factory):
    """The tiny Llama with an output layer in which a small step of the adapter is heard."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = tmp_path_factory.mktemp("loud")
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(7)
    model.save_pretrained(path)
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(path)
    return path


@pytest.fixture
def lm(folder):
    return LocalLM(
        model=str(folder), chat=False, temperature=1.0, max_new_tokens=4, dtype="float32"
    )


def crossed(text, row):
    """The share of four characters that are an x."""
    return text.count("x") / max(4, len(text))


def learner(folder, **settings):
    fields = {"episodes": 320, "batch": 16, "learning_rate": 0.05, "hidden": 16, "layers": 1}
    return SelectiveRL(folder=str(folder), reward=crossed, **(fields | settings))


def test_rewards_rise_and_the_base_stays(lm, tmp_path, folder):
    before = {p.name: p.read_bytes() for p in folder.glob("*.safetensors")}
    rewards = []

    def watch(metric, step, value):
        if metric == "reward":
            rewards.append(value)

    pair = learner(tmp_path).fit(lm, [{"prompt": "x"}], seed=0, watch=watch)
    assert sum(rewards[:3]) / 3 < 0.4
    drawn = pair.sample("x", 64, seed=1)
    assert sum(crossed(text, {}) for text in drawn.values) / 64 > 0.85
    assert {p.name: p.read_bytes() for p in folder.glob("*.safetensors")} == before


def test_the_critic_starts_at_the_mean_of_the_first_rewards(lm, tmp_path):
    told = []

    def watch(metric, step, value):
        if metric == "reward":
            told.append(value)

    once = learner(tmp_path / "a", episodes=64, batch=64, learning_rate=1e-9)
    once.fit(lm, [{"prompt": "x"}], seed=0, watch=watch)
    bias = RecurrentAdapter.load(tmp_path / "a").critic.bias
    assert bias.item() == pytest.approx(told[0], abs=1e-6)
    assert 0 < told[0] < 1


def test_teaching_alone_writes_the_examples(lm, tmp_path):
    rows = [{"prompt": p, "completion": p * 2} for p in ("ab", "cd")]
    settings = {"episodes": 0, "teach": 120, "teach_rate": 0.02, "selects": False}
    pair = learner(tmp_path, **settings).fit(lm, rows, seed=0)
    found = [replace(pair, scheme="greedy").sample(p, 1, seed=0).values[0] for p in ("ab", "cd")]
    assert found == ["abab", "cdcd"]


def test_an_episode_is_what_the_engine_drew(lm):
    frozen = Frozen(lm)
    torch.manual_seed(3)
    adapter = RecurrentAdapter(32, hidden=8)
    torch.nn.init.normal_(adapter.lift.weight)
    model = SelectiveModel(frozen, adapter)
    seen = []

    def watching(text, row):
        seen.append((text, row["n"]))
        return 0.25

    rows = [Row([97], [], {"n": 1}), Row([98, 99], [], {"n": 2})]
    found = draw(model, lm, rows, 400, watching, seed=0)
    assert [n for _, n in seen] == [1, 2] * 200
    assert [list(e.prompt) for e in found] == [[97], [98, 99]] * 200
    for (text, _), episode in zip(seen, found, strict=True):
        tokens = [p % model.size for p in episode.pairs]
        assert frozen.vocabulary.decode(tokens).decode("utf-8", "replace") == text
        assert episode.ended == (len(tokens) < 4)
        assert episode.reward == 0.25
    assert any(e.ended for e in found), "the example must have ends"
    assert any(p >= model.size for e in found for p in e.pairs)
    assert any(p < model.size for e in found for p in e.pairs)


def test_bad_input(lm, tmp_path):
    for settings in ({"batch": 0}, {"hidden": 0}, {"episodes": -1}, {"teach": -1}):
        with pytest.raises(InvalidArgument, match="SelectiveRL: batch, hidden, layers and"):
            learner(tmp_path, **settings)
    with pytest.raises(InvalidArgument, match="episodes or teach must be above 0"):
        learner(tmp_path, episodes=0)
    for settings in ({"learning_rate": 0}, {"teach_rate": 0}, {"hold": -1}):
        with pytest.raises(InvalidArgument, match="must be above 0"):
            learner(tmp_path, **settings)
    with pytest.raises(InvalidArgument, match=r"lean must be in \(0, 1\)"):
        learner(tmp_path, lean=1.0)
    with pytest.raises(InvalidArgument, match="needs a row"):
        learner(tmp_path).fit(lm, [], seed=0)
    with pytest.raises(InvalidArgument, match="row 0: needs a 'prompt'"):
        learner(tmp_path).fit(lm, [{"text": "a"}], seed=0)
    with pytest.raises(InvalidArgument, match="and a completion"):
        learner(tmp_path, teach=1).fit(lm, [{"prompt": "a"}], seed=0)
    for worth in (1.5, -0.1, float("nan")):
        bad = SelectiveRL(folder=str(tmp_path), reward=lambda t, r, w=worth: w, episodes=1)
        with pytest.raises(InvalidArgument, match=r"a reward must be in \[0, 1\]"):
            bad.fit(lm, [{"prompt": "a"}], seed=0)
