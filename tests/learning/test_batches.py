"""Batches hold each row once an epoch, and are a function of seed and step."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.learning.batches import Example, batch_at, collate, encode_rows

examples = st.lists(st.integers(1, 30), min_size=1, max_size=60).map(
    lambda lengths: [Example([i] * n, [1]) for i, n in enumerate(lengths)]
)


@given(examples, st.integers(1, 9), st.integers(0, 3), st.integers(0, 2))
def test_an_epoch_holds_each_row_once_but_for_a_ragged_rest(rows, size, seed, epoch):
    size = min(size, len(rows))
    steps = len(rows) // size
    seen = Counter(
        e.prompt[0] for s in range(steps) for e in batch_at(epoch * steps + s, rows, size, seed)
    )
    assert set(seen.values()) <= {1}
    assert sum(seen.values()) == steps * size


def test_epochs_and_seeds_have_orders_of_their_own():
    rows = [Example([i], [1]) for i in range(64)]

    def order(seed, first):
        return [e.prompt[0] for s in range(first, first + 16) for e in batch_at(s, rows, 4, seed)]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, first)) for seed in (0, 1) for first in (0, 16)}) == 4


def test_rows_of_similar_length_share_a_batch():
    rows = [Example([0] * (1 + i % 32), [1]) for i in range(128)]
    spans = []
    for step in range(8):
        lengths = [e.length for e in batch_at(step, rows, 16, 0)]
        spans.append(max(lengths) - min(lengths))
    assert sum(spans) / len(spans) < 8  # a random batch of 16 spans 28 of 31


def test_the_loss_is_where_completions_are_predicted():
    torch = pytest.importorskip("torch")
    ids, attend, at, targets = collate([Example([5, 6], [7, 0]), Example([8], [0])], pad=9)
    assert ids.tolist() == [[5, 6, 7, 0], [8, 0, 9, 9]]
    assert attend.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert at.tolist() == [[0, 1], [0, 2], [1, 0]]
    assert targets.tolist() == [7, 0, 0]
    assert ids.dtype == torch.long


class Words:
    """A tokenizer of characters."""

    eos_token_id = 0

    def __call__(self, text, add_special_tokens):
        assert not add_special_tokens
        return {"input_ids": [ord(c) for c in text]}


def test_rows_are_encoded_apart_and_long_ones_are_left_out_and_counted():
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "a" * 9, "completion": "b"}]
    kept, left_out = encode_rows(rows, Words(), "<{prompt}>", 6)
    assert kept == [Example([60, 97, 62], [98, 0])]
    assert left_out == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a"}], "row 0: a training row needs"),
        ([{"prompt": "a" * 9, "completion": "b"}], "none of at most 6 tokens"),
        ([], "nothing to train on: 0 rows"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(rows, message):
    with pytest.raises(InvalidArgument, match=message):
        encode_rows(rows, Words(), "{prompt}", 6)
