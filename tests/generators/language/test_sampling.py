"""Filters and inverse-CDF sampling against a plain reference on known logits."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.generators.language.sampling import Sampling, choose, invert


def reference(logits, s):
    """Keep sets by sorting, one rule after another; ties go to the lower id. float64."""
    z = np.asarray(logits, dtype=np.float64)
    if s.temperature == 0:
        return np.eye(len(z))[int(z.argmax())]
    p = np.exp((z - z.max()) / s.temperature)
    order = np.argsort(-z, kind="stable")
    keep = order[: s.top_k or len(z)]
    share = np.cumsum(p[keep]) / p[keep].sum()
    keep = keep[: int((share < s.top_p).sum()) + 1] if s.top_p < 1 else keep
    keep = keep[p[keep] >= s.min_p * p.max()]
    q = np.zeros(len(z))
    q[keep] = p[keep]
    return q / q.sum()


logit = st.integers(-12, 12).map(lambda k: k / 4)  # coarse, so that ties are common
choices = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.integers(0, 12),
    top_p=st.sampled_from([0.13, 0.5, 0.83, 1.0]),
    min_p=st.sampled_from([0.0, 0.07, 0.4]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(logit, min_size=9, max_size=9), min_size=1, max_size=4), choices)
@example(rows=[[1.0, 1.0, 1.0, 0.0, 0, 0, 0, 0, 0]], s=Sampling(top_k=2))
@example(rows=[[0.0] * 9], s=Sampling(top_p=0.5))
def test_each_token_owns_its_interval_of_the_unit_line(rows, s):
    """At the middle of every interval that the reference gives a token, that token is chosen."""
    for i, row in enumerate(rows):
        q = reference(row, s)
        edges = np.concatenate([[0], np.cumsum(q)])
        owners = [t for t in range(len(q)) if q[t] > 1e-5]
        for t in owners:
            middle = (edges[t] + edges[t + 1]) / 2
            others = [0.5] * len(rows)
            others[i] = middle
            assert choose(torch.tensor(rows), [s] * len(rows), others)[i] == t


def test_rows_keep_their_own_settings():
    rows = torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 4)
    mixed = [Sampling(temperature=0), Sampling(top_k=1), Sampling(), Sampling(min_p=0.9)]
    assert choose(rows, mixed, [0.0] * 4) == [3, 3, 0, 3]


def test_a_nucleus_wider_than_the_first_look_is_found():
    logits = torch.zeros(1, 5000)
    assert choose(logits, [Sampling(top_p=0.5)], [0.9999]) == [2499]


@settings(deadline=None)
@given(st.integers(1, 700), st.floats(0, 1, exclude_max=True), st.integers(0, 10**6))
@example(width=256, u=0.9999999999999999, seed=1)
def test_inversion_in_blocks_equals_one_long_cumulative_sum(width, u, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, width).astype(np.float32)  # exact sums, many zeros
    weights[rng.integers(width)] = 1
    edges = weights.astype(np.float64).cumsum()
    expected = int(np.searchsorted(edges, u * edges[-1], side="right"))
    got = invert(torch.tensor(weights)[None], torch.tensor([u], dtype=torch.float64))
    assert got == [min(expected, int(np.flatnonzero(weights)[-1]))]


def test_a_token_of_no_weight_is_never_chosen():
    weights = torch.zeros(3, 600)
    weights[0, 599] = weights[1, 0] = weights[2, 300] = 1e-20
    for u in (0.0, 0.5, 1 - 2**-53):
        assert invert(weights, torch.full((3,), u, dtype=torch.float64)) == [599, 0, 300]


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.01},
        {"top_k": -1},
        {"min_p": 1},
        {"max_new_tokens": 0},
        {"stop": "text"},
        {"stop": ("",)},
        {"logprobs": -1},
    ],
)
def test_settings_out_of_range_are_refused_by_name(bad):
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        Sampling(**bad)
