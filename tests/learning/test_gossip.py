"""Gossip goes to the mean, keeps the sum, and gives the same bits in any order."""

import numpy as np
import pytest

from genwright.core import InvalidArgument
from genwright.learning.gossip import GossipAverage


def workers(n, seed=0):
    rng = np.random.default_rng(seed)
    return [{"w": rng.normal(size=(3, 2)), "b": rng.normal(size=4)} for _ in range(n)]


def test_everybody_comes_near_the_mean_and_the_sum_stays():
    before = workers(8)
    kept = [{k: v.copy() for k, v in w.items()} for w in before]
    after = GossipAverage(rounds=40).mix(before, seed=1)
    for name in ("w", "b"):
        mean = np.mean([w[name] for w in before], axis=0)
        assert np.mean([w[name] for w in after], axis=0) == pytest.approx(mean)
        for worker in after:
            assert worker[name] == pytest.approx(mean, abs=1e-3)
    assert all(np.array_equal(w[k], o[k]) for w, o in zip(before, kept, strict=True) for k in w)


def test_the_order_of_names_and_a_second_run_change_no_bit():
    one = GossipAverage().mix(workers(5), seed=2)
    turned = [dict(reversed(w.items())) for w in workers(5)]
    two = GossipAverage().mix(turned, seed=2)
    assert all(np.array_equal(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in a)
    other = GossipAverage().mix(workers(5), seed=3)
    assert any(not np.array_equal(a["w"], b["w"]) for a, b in zip(one, other, strict=True))


def test_every_worker_meets_one_other_a_round():
    for meetings in GossipAverage(rounds=6).pairs(7, seed=0):
        met = [worker for pair in meetings for worker in pair]
        assert len(met) == len(set(met)) == 6
        assert all(a < b for a, b in meetings)


def test_tensors_average_too():
    torch = pytest.importorskip("torch")
    held = [{"w": torch.zeros(2)}, {"w": torch.ones(2)}]
    assert GossipAverage(rounds=1).mix(held, seed=0)[0]["w"].tolist() == [0.5, 0.5]


def test_what_cannot_be_averaged_is_refused():
    with pytest.raises(InvalidArgument, match="rounds must be 1 or more"):
        GossipAverage(rounds=0)
    with pytest.raises(InvalidArgument, match="needs two workers or more, got 1"):
        GossipAverage().mix(workers(1), seed=0)
    with pytest.raises(InvalidArgument, match="same parameter names"):
        GossipAverage().mix([{"a": np.ones(1)}, {"b": np.ones(1)}], seed=0)
