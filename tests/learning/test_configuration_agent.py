"""The agent learns which setting goes with which kind of query; its loss is the formula's."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.learning.configuration_agent import (
    ConfigurationLearner,
    configuration_loss,
)
from genwright.nets.configuration_agent import ConfigurationNet


def two_kinds(n, seed=0):
    """Queries of two kinds; kind 1 wants reranker 1 and (3, 30, 0.3), kind 0 wants (1, 10, 0)."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 2
    queries = rng.normal(size=(n, 8)) + 3.0 * np.where(kinds, 1, -1)[:, None]
    settings = np.where(kinds[:, None], [3.0, 30.0, 0.3], [1.0, 10.0, 0.0])
    return queries, rng.normal(size=(n, 8)), kinds, settings


def test_it_learns_two_kinds_of_query():
    """Kinds are 17 standard deviations apart: the chance of one error by overlap is < 1e-15."""
    queries, chunks, kinds, settings = two_kinds(80)
    agent = ConfigurationLearner(epochs=20).fit(queries, chunks, kinds.tolist(), settings, seed=1)
    new, around, wanted, goal = two_kinds(20, seed=9)
    chosen, found = agent.choose(new, around)
    assert chosen.tolist() == wanted.tolist()
    nearer = np.abs(found - goal) < 0.5 * np.ptp(settings, axis=0)
    assert nearer.all()


def test_answers_stay_in_the_range_that_was_seen():
    queries, chunks, kinds, settings = two_kinds(20)
    agent = ConfigurationLearner(epochs=3).fit(queries, chunks, kinds.tolist(), settings, seed=1)
    _, found = agent.choose(100 * queries, chunks)
    assert (found >= settings.min(0)).all()
    assert (found <= settings.max(0)).all()


def test_the_same_seed_trains_the_same_agent():
    data = two_kinds(20)
    one, two, other = (
        ConfigurationLearner(epochs=2)
        .fit(data[0], data[1], data[2].tolist(), data[3], seed=seed)
        .net.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["settings.weight"], other["settings.weight"])


def test_the_loss_by_hand():
    """Three queries in a ring: pairs (0, 1) alike, (1, 2) and (2, 0) not."""
    torch.manual_seed(0)
    net = ConfigurationNet(4, classes=2, settings=1).eval()
    queries, chunks = torch.randn(3, 4), torch.randn(3, 4)
    classes, settings = torch.tensor([0, 0, 1]), torch.tensor([[0.5], [1.0], [-2.0]])
    with torch.no_grad():
        features, logits, predicted = net(queries, chunks)
    far = [float((features[i] - features[j]).norm()) for i, j in ((0, 1), (1, 2), (2, 0))]
    pairs = (far[0] ** 2 + sum(max(0.0, 2.0 - d) ** 2 for d in far[1:])) / 3
    odds = logits.log_softmax(1)
    entropy = -float(odds[0, 0] + odds[1, 0] + odds[2, 1]) / 3
    error = float(((predicted - settings) ** 2).mean())
    with torch.no_grad():
        found = configuration_loss(net, queries, chunks, classes, settings, margin=2.0)
    assert float(found) == pytest.approx(pairs + entropy + error, rel=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch": 1}, {"learning_rate": 0.0}, {"margin": -1.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidArgument, match="ConfigurationLearner: needs"):
        ConfigurationLearner(**wrong)


def test_too_few_or_uneven_data_are_refused():
    queries, chunks, kinds, settings = two_kinds(8)
    for rows in ((queries[:3],) * 2, (queries, chunks[:5])):
        with pytest.raises(InvalidArgument, match="4 queries or more"):
            ConfigurationLearner().fit(*rows, kinds.tolist(), settings, seed=0)
    with pytest.raises(InvalidArgument, match="held_out"):
        ConfigurationLearner(held_out=1.0)
