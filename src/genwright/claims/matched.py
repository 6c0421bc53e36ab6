"""Entries of the contest that match distributions: one trainer, one rule each.

All take the same ratio of rates and the same batch; each entry's rate is tuned as everybody's.
"""

from dataclasses import replace
from typing import Any

from genwright.claims.arenas import Arena
from genwright.claims.contest import Entry, Student
from genwright.claims.entries import BATCH, meter_of, student
from genwright.generators.diffusion.meter import size_of
from genwright.learning.distillation.distances import PseudoHuber
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.multi_student import MultiStudent
from genwright.learning.distillation.parts import GanHead
from genwright.learning.distillation.rules import FDivergence, ScoreImplicit, Sid

FAKE_RATE = 3.0
"""The fake learns so many times faster than the student."""

ENDLESS = 10**9
"""Steps; the budget of units ends a training."""


def matched(arena: Arena, name: str, order: int, **settings: Any) -> Entry:
    """Return an entry that distils by `Match`.

    Args:
        arena: whose teacher is distilled.
        name: of the row.
        order: of the row.
        settings: of `Match`.
    """

    def train(rate: float, units: float, seed: int) -> Student:
        return trained(arena, rate, units, seed, **settings)

    return Entry(name=name, evaluations=1, uses_data="head" in settings, train=train, order=order)


def trained(arena: Arena, rate: float, units: float, seed: int, **settings: Any) -> Student:
    """Return the student of one training."""
    meter = meter_of(arena)
    learner = distiller(arena, rate, units, **settings)
    made = learner.fit(arena.teacher, arena.data, seed=seed, meter=meter)
    made = replace(made, batch=arena.teacher.batch)
    return student(made, size_of(arena.start.net), meter.units)


def distiller(arena: Arena, rate: float, units: float, **settings: Any) -> Match:
    """Return what all entries here distil by."""
    return Match(
        student=arena.start,
        steps=ENDLESS,
        units=units,
        batch=BATCH,
        learning_rate=rate,
        fake_rate=FAKE_RATE * rate,
        **settings,
    )


def sim_rule(arena: Arena, c: float = 0.01) -> ScoreImplicit:
    """Return the rule of SIM with c in units of the root of the number of dimensions."""
    return ScoreImplicit(distance=PseudoHuber(c=c * size(arena) ** 0.5))


def size(arena: Arena) -> int:
    """Return how many numbers a draw has."""
    total = 1
    for side in arena.start.shape:
        total *= side
    return total


def dmd(arena: Arena) -> Entry:
    """Return the row of `reverse_kl`."""
    return matched(arena, "dmd", 50, rule="reverse_kl")


def dmd_gan(arena: Arena) -> Entry:
    """Return the row of `reverse_kl` with a discriminator."""
    return matched(arena, "dmd with a discriminator", 52, rule="reverse_kl", head=GanHead())


def f_distill(arena: Arena, kind: str) -> Entry:
    """Return the row of an f-divergence."""
    order = 54 + ("rkl", "js", "kl").index(kind)
    return matched(arena, f"f-distill, {kind}", order, rule=FDivergence(kind=kind), head=GanHead())


def sid(arena: Arena, alpha: float) -> Entry:
    """Return the row of SiD."""
    order = 60 if alpha == 1.0 else 61
    return matched(arena, f"sid({alpha:g})", order, rule=Sid(alpha=alpha), fake_per_step=1)


def sim(arena: Arena) -> Entry:
    """Return the row of SIM."""
    return matched(arena, "sim", 62, rule=sim_rule(arena), fake_per_step=1)


def msd(arena: Arena, k: int = 4) -> Entry:
    """Return the row of `k` students of the teacher's size, each with a part of the classes."""

    def train(rate: float, units: float, seed: int) -> Student:
        meter = meter_of(arena)
        match = distiller(arena, rate, units, rule="reverse_kl")
        made = MultiStudent(match=match, k=k).fit(arena.teacher, seed=seed, meter=meter)
        return student(made, size_of(arena.start.net), meter.units)

    return Entry(name=f"msd, {k} students", evaluations=1, uses_data=False, train=train, order=58)
