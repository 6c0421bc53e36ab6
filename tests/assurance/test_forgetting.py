"""The report on forgetting counts what a scripted generator and classifier make plain."""

import numpy as np
import pytest

from genwright.assurance.forgetting import forgetting_report
from genwright.core import InvalidArgument, Samples


class Says:
    """Draws of class c are points near `where[c]`."""

    def __init__(self, where):
        self.where = where

    def sample(self, prompt, n, *, seed, first=0):
        rng = np.random.default_rng(seed)
        return Samples(self.where[prompt] + 0.01 * rng.standard_normal((n, 2)))


CENTRES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def nearest(values):
    """A classifier that is sure: 0.98 for the nearest centre."""
    away = ((np.asarray(values)[:, None] - CENTRES) ** 2).sum(2)
    return np.where(np.arange(3) == away.argmin(1)[:, None], 0.98, 0.01)


def report(where, forgotten=(0,)):
    labels = np.repeat([0, 1, 2], 50)
    real = CENTRES[labels] + 0.01 * np.random.default_rng(0).standard_normal((150, 2))
    return forgetting_report(Says(where), nearest, np.asarray, real, labels, forgotten, n=60)


def test_a_class_that_is_drawn_as_another_is_forgotten_and_the_others_are_kept():
    found = report([CENTRES[2], CENTRES[1], CENTRES[2]])
    assert found.unlearned == 1
    assert found.probability == pytest.approx(0.01)
    assert found.seen_as == (0, 0, 1)
    assert found.kept_accuracy == 1
    assert found.kept_frechet < 1e-3
    assert found.entropy == pytest.approx(-0.98 * np.log(0.98) - 0.02 * np.log(0.01))


def test_a_class_that_is_still_drawn_is_not():
    found = report(CENTRES)
    assert found.unlearned == 0
    assert found.probability == pytest.approx(0.98)


def test_a_generator_that_is_broken_forgets_but_shows_it():
    found = report([CENTRES[1], CENTRES[2], CENTRES[1]])
    assert found.unlearned == 1
    assert found.kept_accuracy == 0
    shifted = report([CENTRES[2], CENTRES[1] + 3, CENTRES[2] + 3])
    assert shifted.kept_frechet == pytest.approx(18, abs=1)


def test_some_class_must_be_forgotten_and_some_kept():
    for forgotten in ((), (0, 1, 2)):
        with pytest.raises(InvalidArgument, match="some of"):
            report(CENTRES, forgotten)
