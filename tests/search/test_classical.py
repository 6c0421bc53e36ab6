"""Classical approximations have the errors that theory and published tables give them."""

import numpy as np
import pytest

from genwright.core import InvalidArgument
from genwright.search.classical import classical, pade, rational, remez, taylor
from genwright.search.symbolic import evaluate, simplify
from genwright.search.targets import tabulate

UNIT = (0.0, 1.0)

TABLE = {2: 1.73e-3, 4: 2.59e-6, 5: 7.5e-8, 6: 1.86e-9, 7: 4.0e-11}
"""Degree -> the least largest relative error of a polynomial for 2^x on [0, 1]."""


@pytest.mark.parametrize(("degree", "error"), TABLE.items())
def test_minimax_polynomials_have_the_known_errors(degree, error):
    found = remez("exp2", UNIT, degree)
    assert found.error == pytest.approx(error, rel=0.012)
    assert found.operations == 2 * degree


@pytest.mark.parametrize("target", ["exp2", "erf", "cos"])
def test_their_errors_are_equal_with_alternating_signs(target):
    interval = (0.25, 1.0)
    found = remez(target, interval, 3)
    table = tabulate(target, interval, 3001, "chebyshev")
    values = evaluate(found.program, table.x, np.array([found.constants]))[0]
    errors = (values - table.high) / table.high
    pieces = np.split(errors, np.flatnonzero(np.diff(np.sign(errors))) + 1)
    peaks = [piece[np.abs(piece).argmax()] for piece in pieces]
    assert len(peaks) == 5
    assert np.abs(peaks) == pytest.approx([found.error] * 5, rel=1e-3)
    assert (np.sign(peaks[1:]) == -np.sign(peaks[:-1])).all()


def test_a_taylor_polynomial_is_off_by_its_next_term():
    found = taylor("exp2", UNIT, 4)
    assert found.operations == 8
    next_term = (np.log(2) / 2) ** 5 / 120 * np.sqrt(2)  # at x = 0, where 2^x is 1
    assert found.error == pytest.approx(next_term, rel=0.1)


@pytest.mark.parametrize(
    ("above", "below", "operations"),
    [(1, 1, 3), (2, 1, 5), (1, 2, 5), (2, 2, 6), (0, 1, 2), (0, 2, 4), (3, 1, 7), (3, 3, 9)],
)
def test_continued_fractions_cost_what_one_counts(above, below, operations):
    """a + b / (x + c) is 3; x + c becomes x + c + d / (x + e) for 3 more; a x + b for 2 more."""
    found = pade("exp2", UNIT, above, below)
    assert found.operations == operations
    assert len(simplify(found.program).operations) == operations


def test_pade_approximants_equal_the_textbook_ratio():
    """For exp about 0: (1 + z/2 + z^2/12) / (1 - z/2 + z^2/12)."""
    found = pade("exp", (-1.0, 1.0), 2, 2)
    z = np.linspace(-1, 1, 101)
    values = evaluate(found.program, z, np.array([found.constants]))[0]
    assert values == pytest.approx((1 + z / 2 + z * z / 12) / (1 - z / 2 + z * z / 12), rel=1e-12)


@pytest.mark.parametrize("degrees", [(1, 1), (2, 1), (2, 2)])
def test_refined_rational_functions_oscillate(degrees):
    """A best rational function of m + n + 1 free constants has m + n + 2 equal extremes."""
    found, start = rational("exp2", UNIT, *degrees), pade("exp2", UNIT, *degrees)
    assert found.error < start.error / 3
    table = tabulate("exp2", UNIT, 3001, "chebyshev")
    values = evaluate(found.program, table.x, np.array([found.constants]))[0]
    errors = (values - table.high) / table.high
    pieces = np.split(errors, np.flatnonzero(np.diff(np.sign(errors))) + 1)
    peaks = [np.abs(piece).max() for piece in pieces]
    assert len(peaks) == sum(degrees) + 2
    assert min(peaks) > 0.9 * max(peaks)


def test_the_best_form_is_named_for_each_number_of_operations():
    best = classical("exp2", UNIT, 8)
    assert sorted(best) == [2, 3, 4, 5, 6, 7, 8]
    errors = [best[n][1].error for n in sorted(best)]
    assert errors == sorted(errors, reverse=True)
    assert best[3][0] == "minimax rational 1/1"
    assert best[6][0] == "minimax rational 2/2"
    assert all(pair[1].operations <= n for n, pair in best.items())


def test_degrees_out_of_range_are_refused():
    with pytest.raises(InvalidArgument, match="remez: degree must be 1 or more, got 0"):
        remez("exp2", UNIT, 0)
    with pytest.raises(InvalidArgument, match="1 or more below, got 2, 0"):
        pade("exp2", UNIT, 2, 0)
