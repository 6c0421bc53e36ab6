"""Filters and the race of tokens against plain references on known logits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from genwright.core import InvalidArgument
from genwright.generators.language.sampling import BLOCK, Sampling, choose, race


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
uniforms = st.floats(0, 1, exclude_max=True)
choices = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.integers(0, 12),
    top_p=st.sampled_from([0.13, 0.5, 0.83, 1.0]),
    min_p=st.sampled_from([0.0, 0.07, 0.4]),
)


def by_hand(weights, u):
    """The two races in whole numbers of Python."""

    def number(name):
        z = (int(u * 2**53) + (name + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return ((z ^ z >> 31) >> 12) / 2**52 + 2**-53

    def winner(contestants):
        times = {i: -math.log(number(name)) / w for i, (name, w) in contestants.items() if w}
        return min(times, key=times.get)

    starts = range(0, len(weights), BLOCK)
    sums = {b: (-1 - b, sum(weights[s : s + BLOCK])) for b, s in enumerate(starts)}
    start = winner(sums) * BLOCK
    return winner({i: (i, weights[i]) for i in range(len(weights))[start : start + BLOCK]})


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(logit, min_size=9, max_size=9), min_size=1, max_size=4), choices, uniforms)
@example(rows=[[1.0, 1.0, 1.0, 0.0, 0, 0, 0, 0, 0]], s=Sampling(top_k=2), u=0.7)
@example(rows=[[0.0] * 9], s=Sampling(top_p=0.5), u=0.9999999999999999)
def test_filters_leave_what_the_reference_leaves_and_the_race_decides(rows, s, u):
    expected = [by_hand(reference(row, s).tolist(), u) for row in rows]
    assert choose(torch.tensor(rows), [s] * len(rows), [u] * len(rows)) == expected


@settings(deadline=None)
@given(st.integers(1, 1100), uniforms, st.integers(0, 10**6))
@example(width=256, u=0.9999999999999999, seed=1)
@example(width=513, u=0.0, seed=1)
def test_two_races_in_blocks_equal_those_in_plain_python(width, u, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, width).astype(np.float32)  # exact sums, many zeros
    weights[rng.integers(width)] = 1
    got = race(torch.tensor(weights)[None], torch.tensor([u], dtype=torch.float64))
    assert got == [by_hand(weights.tolist(), u)]


def test_each_token_wins_as_often_as_its_weight_says():
    """100,000 numbers, 600 tokens over three blocks; a chi-square beyond 1e-7 either way fails."""
    rng = np.random.default_rng(3)
    weights = rng.exponential(size=600).astype(np.float32)
    weights[::7] = 0
    numbers = torch.from_numpy(rng.random(100_000))
    found = np.zeros(600)
    for part in numbers.split(5000):
        table = torch.tensor(weights).expand(len(part), -1).contiguous()
        found += np.bincount(race(table, part), minlength=600)
    expected = weights / weights.sum() * len(numbers)
    assert (found[weights == 0] == 0).all()
    here = weights > 0
    statistic = ((found[here] - expected[here]) ** 2 / expected[here]).sum()
    assert 5e-8 < chi2.sf(statistic, here.sum() - 1) < 1 - 5e-8


def test_rounding_of_the_logits_hardly_changes_a_draw():
    """1,000 draws of 20,000 tokens, logits off by 1e-5.

    A winner changes where the first two arrive within some 3e-5 of each other: 0.03 of 1,000 are
    expected, and more than 5 have a chance below 1e-9. Boundaries of a cumulative sum would cross
    dozens.
    """
    torch.manual_seed(4)
    numbers = torch.rand(1000, dtype=torch.float64)
    changed = 0
    for part in numbers.split(100):
        logits = torch.randn(len(part), 20_000)
        other = logits + 1e-5 * torch.randn_like(logits)
        changed += sum(
            a != b
            for a, b in zip(*(race(x.softmax(1), part) for x in (logits, other)), strict=True)
        )
    assert changed <= 5


def test_rows_keep_their_own_settings():
    rows = torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 4)
    mixed = [Sampling(temperature=0), Sampling(top_k=1), Sampling(), Sampling(min_p=0.9)]
    found = choose(rows, mixed, [0.25] * 4)
    assert found == [3, 3, by_hand(reference(rows[2], Sampling()).tolist(), 0.25), 3]


def test_a_nucleus_wider_than_the_first_look_is_found():
    logits = torch.zeros(300, 5000)
    numbers = torch.linspace(0, 0.999, 300).tolist()
    found = choose(logits, [Sampling(top_p=0.5)] * 300, numbers)
    assert max(found) < 2500
    assert max(found) > 2300  # all 300 below it: 0.92^300 is 1e-11


def test_a_token_of_no_weight_is_never_chosen():
    weights = torch.zeros(3, 600)
    weights[0, 599] = weights[1, 0] = weights[2, 300] = 1e-20
    for u in (0.0, 0.5, 1 - 2**-53):
        assert race(weights, torch.full((3,), u, dtype=torch.float64)) == [599, 0, 300]


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
