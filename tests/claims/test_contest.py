"""The contest treats every entry alike, records what it found, and writes its page from that."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genwright.claims import roster
from genwright.claims.arenas import ring_arena
from genwright.claims.contest import (
    RATES,
    TUNING_SEED,
    Entry,
    Student,
    Task,
    hold,
    kept,
    rows,
    summary,
)
from genwright.claims.onestep import grouped, table, write_page
from genwright.core import InvalidArgument, Ledger

TASK = Task(
    name="ring8",
    budget=1000.0,
    draws=50,
    classes=None,
    judge=lambda samples: {"kl": float(abs(samples.mean())), "modes": 8},
    score="kl",
)


def entry(asked=None, best=1e-3, name="shift", order=50, rates=RATES):
    """Return an entry whose samples lie at the ratio of its rate to the best one, less 1."""

    def train(rate, units, seed):
        if asked is not None:
            asked.append((rate, units, seed))
        at = abs(np.log(rate / best)) if rate else 0.5

        def draw(n, classes, seed):
            noise = np.random.default_rng(seed).normal(size=(n, 2))
            return torch.as_tensor(at + 1e-3 * noise)

        return Student(draw=draw, parameters=7, units=units)

    return Entry(name=name, evaluations=1, uses_data=False, train=train, rates=rates, order=order)


def test_the_rate_is_tuned_on_one_seed_at_a_quarter_of_the_budget():
    asked = []
    found = hold(TASK, entry(asked), seeds=[1, 2])
    assert asked[:3] == [(rate, 250.0, TUNING_SEED) for rate in RATES]
    assert asked[3:] == [(1e-3, 1000.0, 1), (1e-3, 1000.0, 2)]
    assert [row.rate for row in found] == [1e-3, 1e-3]
    assert found[0].tuning["0.001"] == min(found[0].tuning.values())


def test_an_entry_with_one_rate_is_not_tuned():
    asked = []
    hold(TASK, entry(asked, rates=(0.0,)), seeds=[3])
    assert asked == [(0.0, 1000.0, 3)]


def test_rows_come_back_from_the_ledger_and_the_latest_counts():
    with Ledger() as ledger:
        first = hold(TASK, entry(best=3e-4), seeds=[1], ledger=ledger)
        again = hold(TASK, entry(best=1e-2, rates=(1e-2,)), seeds=[1, 2], ledger=ledger)
        found = rows(ledger)
    assert [(row.seed, row.metrics) for row in found] == [(r.seed, r.metrics) for r in again]
    assert found[0].metrics != first[0].metrics or first[0].rate != found[0].rate
    assert np.array_equal(found[0].samples, again[0].samples)


def test_the_page_holds_every_row_and_its_picture(tmp_path):
    with Ledger() as ledger:
        for name, order, best in (("regression on ODE pairs", 20, 1e-3), ("other", 10, 2e-3)):
            hold(TASK, entry(best=best, name=name, order=order), seeds=[1, 2], ledger=ledger)
        assert write_page(rows(ledger), tmp_path / "onestep.md") == 2
    text = (tmp_path / "onestep.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[1].startswith("| other | 7 | 1 | 0.00 M | no |")
    assert lines[2].startswith("| regression on ODE pairs |")
    for number in (0, 1):
        assert f"(onestep/ring8-0{number}.png)" in text
        assert (tmp_path / "onestep" / f"ring8-0{number}.png").stat().st_size > 100


def test_differences_are_paired_by_seed():
    with Ledger() as ledger:
        mine = hold(TASK, entry(best=2e-3, name="a", order=1), seeds=[1, 2], ledger=ledger)
        base = hold(TASK, entry(name="regression on ODE pairs"), seeds=[2, 1], ledger=ledger)
        text = table("ring8", grouped(rows(ledger)))
    by_seed = {row.seed: row.metrics["kl"] for row in base}
    wanted = np.mean([row.metrics["kl"] - by_seed[row.seed] for row in mine])
    assert f"| {wanted:+.3g} ±" in text.splitlines()[2]
    assert summary(mine, "kl")[0] == pytest.approx(np.mean([r.metrics["kl"] for r in mine]))


def test_a_picture_shows_as_many_samples_of_each_class():
    samples = np.linspace(-1, 1, 100).reshape(100, 1, 1, 1)
    labels = torch.arange(100) % 2
    shown = kept(samples, labels)
    assert shown.shape == (60, 1, 1, 1)
    expected = np.round((samples[::2][:30] + 1) * 127.5).astype(np.uint8)
    assert np.array_equal(shown[:30], expected)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="a learning rate and a seed"):
        hold(TASK, entry(rates=()), seeds=[1])
    with pytest.raises(InvalidArgument, match="holds no rows"):
        write_page([], tmp_path / "a.md")


def test_fill_trains_the_rows_that_a_ledger_lacks_and_no_others(monkeypatch):
    asked = {"old": [], "new": []}
    made = [entry(asked[name], name=name) for name in asked]
    monkeypatch.setattr(roster, "roster", lambda arena: made)
    arena = SimpleNamespace(task=TASK)
    monkeypatch.setattr(roster, "ARENAS", {"ring8": lambda: arena})
    monkeypatch.setattr(roster, "floor_row", lambda arena: hold(TASK, entry(), seeds=[0])[0])
    told = []
    with Ledger() as ledger:
        there = roster.fill(ledger, seeds=1)
        assert {row.name for row in there} == {"shift", "old", "new"}
        asked["new"].clear()
        more = roster.fill(ledger, seeds=2, watch=told.append)
        assert [row.name for row in more] == ["old", "new"]
        assert len({(row.name, row.seed) for row in rows(ledger)}) == 5
        assert [seed for _, _, seed in asked["new"]] == [TUNING_SEED] * 3 + [more[1].seed]
        assert roster.fill(ledger, seeds=2) == []
        with pytest.raises(InvalidArgument, match=r"unknown tasks \['ring9'\]"):
            roster.fill(ledger, tasks=("ring9",))
    assert told == ["ring8: old", "ring8: new"]


def test_each_row_of_the_table_has_its_own_name_and_place():
    found = roster.roster(ring_arena())
    assert len({e.name for e in found}) == len({e.order for e in found}) == len(found) == 21
