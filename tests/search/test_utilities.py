"""Utilities agree with their formulas by hand, and with the model that they ask."""

from math import log

import numpy as np
import pytest

from genwright.core import InvalidArgument
from genwright.search.utilities import BM25Utility, EmbeddingUtility, QueryLikelihood


def test_the_embedding_utility_is_the_cosine_of_the_joined_text():
    vectors = {"q": [2.0, 0.0], "a b": [3.0, 3.0], "b": [0.0, -5.0]}
    utility = EmbeddingUtility(lambda texts: [vectors[t] for t in texts])
    assert utility("q", [("a", "b"), ("b",)]) == pytest.approx([0.5**0.5, 0.0])


def test_bm25_by_hand():
    """Three documents of 2, 2 and 5 words; `cat` is in two of them, `owl` in one."""
    utility = BM25Utility(["the cat", "a cat", "an owl in the wood"], k1=1.2, b=0.75)
    cat, owl = log(1 + 1.5 / 2.5), log(1 + 2.5 / 1.5)

    def part(held, length):
        return held * 2.2 / (held + 1.2 * (0.25 + 0.75 * length / 3))

    found = utility("Cat, owl?", [("a cat",), ("a cat", "the cat"), ("an owl", "a cat")])
    assert found == pytest.approx(
        [cat * part(1, 2), cat * part(2, 4), owl * part(1, 4) + cat * part(1, 4)]
    )
    assert found[1] < 2 * found[0]  # a repeat saturates


def test_bm25_needs_documents():
    with pytest.raises(InvalidArgument, match="at least one document"):
        BM25Utility([])


def test_query_likelihood_is_the_mean_log_probability_of_the_query(tiny_llama):
    """Against the network itself: one token a byte, so positions are plain."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    from genwright.generators.language.local import LocalLM

    model = LocalLM(model=str(tiny_llama), chat=False, dtype="float32")
    utility = QueryLikelihood(model=model, template="{chunks}?")
    selections = [("red fox", "owl"), ("owl",)]
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)
    for chunks, found in zip(selections, utility("what", selections), strict=True):
        ids = model.vocabulary.encode(" ".join(chunks) + "? what")
        with torch.no_grad():
            rows = plain(torch.tensor([ids])).logits[0].log_softmax(-1)
        wanted = [float(rows[i - 1, ids[i]]) for i in range(len(ids) - 5, len(ids))]
        assert found == pytest.approx(np.mean(wanted), abs=1e-4)
    with pytest.raises(InvalidArgument, match="chunks"):
        QueryLikelihood(model=model, template="Question:")
