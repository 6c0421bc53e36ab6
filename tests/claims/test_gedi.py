"""gedi's claim holds on known chains, its judge learns what it should, its parts fit together."""

import numpy as np
import pytest

from genwright.claims import gedi
from genwright.claims.word_classes import WordClassifier
from genwright.core import Ledger
from genwright.generators.language.local import LocalLM


def test_chains_guide_and_are_told_apart():
    """Six worlds of 200 draws each, all functions of the seed."""
    found = gedi.run("smoke", seed=1)
    assert found.holds, found.metrics
    assert found.metrics["wanted_free"] < found.metrics["wanted_guided"]


def test_the_judge_is_logistic_regression_on_rare_words():
    rich = ["win cash now", "win a prize", "cash prize now", "free cash", "a free prize"]
    poor = ["see you at home", "home at ten", "you see ten", "ten at home", "see you"]
    judge = WordClassifier.fit(rich + poor, [True] * 5 + [False] * 5)
    assert (judge.probabilities(["win free cash", "at home now"]) > 0.5).tolist() == [True, False]
    assert judge.probabilities(["xyzzy"])[0] == pytest.approx(
        1 / (1 + np.exp(-judge.weights[-1])), abs=1e-12
    )
    assert 0.3 < judge.probabilities([""])[0] < 0.7
    assert set(judge.words) <= {w for text in rich + poor for w in text.split()}


def test_the_judges_weights_are_at_the_minimum():
    """The gradient of the loss, by differences, is nought at the weights that were found."""
    texts = ["a b", "a a c", "b c", "c c b", "a", "b"]
    labels = [True, True, False, False, True, False]
    judge = WordClassifier.fit(texts, labels)

    def loss(weights):
        moved = WordClassifier(judge.words, judge.rarity, weights)
        p = moved.probabilities(texts)
        likely = np.where(labels, p, 1 - p)
        return -np.log(likely).mean() + 1e-3 * (weights[:-1] ** 2).sum()

    for i in range(len(judge.weights)):
        step = np.zeros(len(judge.weights))
        step[i] = 1e-5
        slope = (loss(judge.weights + step) - loss(judge.weights - step)) / 2e-5
        assert slope == pytest.approx(0, abs=1e-3)


def test_messages_train_guide_and_judge_apart(shared_data, monkeypatch):
    path = shared_data(gedi.MESSAGES)
    monkeypatch.setenv("GENWRIGHT_DATA", str(path.parents[1]))
    split = gedi._split(3)
    parts = [{r["text"] for r in split.guide}, {r["text"] for r in split.judge}, set(split.begun)]
    assert [len(p) for p in parts] == [434, 434, 64]
    assert sum(map(len, parts)) == len(set.union(*parts))
    for rows in (split.guide, split.judge):
        assert sum(r["code"] == gedi.SPAM for r in rows) == 217


@pytest.mark.slow
def test_the_full_claim_runs_with_a_tiny_model(shared_data, monkeypatch, tmp_path, tiny_llama):
    """Its numbers mean nothing; each must be there and finite."""
    path = shared_data(gedi.MESSAGES)
    monkeypatch.setenv("GENWRIGHT_DATA", str(path.parents[1]))
    monkeypatch.setattr(gedi, "PROMPTS", 4)
    monkeypatch.setattr(gedi, "TIMED", 2)
    lm = LocalLM(model=str(tiny_llama), chat=False, temperature=1.0, max_new_tokens=8)
    found = gedi._messages(tmp_path / "guide", lm, 0, Ledger())
    names = [bound.split()[0] for bound in gedi.BOUNDS]
    assert all(np.isfinite(found[name]) for name in names)
    assert found["judge_accuracy"] > 0.8
