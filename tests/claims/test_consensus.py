"""The control of the claim on verified texts is what it says: one random stream a batch."""

import numpy as np

from genwright.claims import consensus
from genwright.generators.language.local import LocalLM

PROMPTS = ["one", "two and more", "three"]


def test_a_shared_stream_repeats_itself_and_depends_on_the_batch(tiny_llama):
    model = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", threads=1)
    one = consensus._shared_stream(model, PROMPTS, 1, 8, seed=1)
    assert one == consensus._shared_stream(model, PROMPTS, 1, 8, seed=1)
    assert one != consensus._shared_stream(model, PROMPTS, 1, 8, seed=2)
    whole = consensus._shared_stream(model, PROMPTS, 3, 8, seed=1)
    assert [len(row) for row in whole] == [8, 8, 8]
    assert whole != one
    alone = consensus._shared_stream(model, PROMPTS[:1], 3, 8, seed=1)
    assert alone == one[:1]  # a batch of one is a batch of one


def test_what_follows_an_end_does_not_count():
    assert consensus._until_end([5, 7, 0, 7], frozenset({0})) == (5, 7)
    assert consensus._until_end([5, 7], frozenset({0})) == (5, 7)


def test_pairs_are_of_one_class_and_never_of_one_image():
    labels = np.array([0, 1, 0, 2, 1, 1])
    pairs = list(consensus._same_class(labels, np.random.default_rng(0), 9))
    assert len(pairs) == 5  # the only image of class 2 has no fellow
    assert all(labels[i] == labels[j] and i != j for i, j in pairs)
