"""Both fitters find constants that are known, and the least largest error where theory gives it."""

from math import sqrt

import mpmath
import numpy as np
import pytest

from genwright.core import InvalidArgument
from genwright.search.constants import Cma, LevenbergMarquardt, refine, worst
from genwright.search.symbolic import Program, evaluate
from genwright.search.targets import tabulate

UNIT = (0.0, 1.0)
LINE = Program.parse("v0 = x * c0; v1 = v0 + c1; v1")
QUADRATIC = Program.parse("v0 = x * c0; v1 = v0 + c1; v2 = v1 * x; v3 = v2 + c2; v3")
SQUARED = Program.parse("v0 = x * c0; v1 = v0 + c1; v2 = v1 * x; v3 = v2 + c2; v4 = v3 * v3; v4")


def known(x):
    """(0.3 x^2 - 0.7 x + 1.9): constants to be found again."""
    return (mpmath.mpf("0.3") * x - mpmath.mpf("0.7")) * x + mpmath.mpf("1.9")


def error(program, constants, target="exp2", interval=UNIT):
    table = tabulate(target, interval, 10_000, "between")
    return float(worst(program, table, np.array([constants]))[0])


@pytest.mark.parametrize(
    ("fitter", "close"),
    [(LevenbergMarquardt(), 1e-9), (Cma(population=32, generations=300), 1e-6)],
)
def test_known_constants_are_found_again(fitter, close):
    found = fitter.fit(QUADRATIC, known, UNIT, seed=1)
    assert found == pytest.approx([0.3, -0.7, 1.9], abs=close)


def test_the_best_line_for_a_function_with_a_known_one():
    """For sqrt(x) on [1/4, 1] the line a (x + 1/2) has errors of equal size at 1/4, 1/2 and 1.

    Its relative errors there are a 3/2 - 1, a sqrt(2) - 1 and a 3/2 - 1, so a = 2 / (3/2 + sqrt 2).
    """
    found = LevenbergMarquardt(reweightings=400).fit(LINE, "sqrt", (0.25, 1.0), seed=0)
    a = 2 / (1.5 + sqrt(2))
    assert found == pytest.approx([a, a / 2], rel=1e-3)
    assert error(LINE, found, "sqrt", (0.25, 1.0)) == pytest.approx(a * 1.5 - 1, rel=1e-3)


def test_published_errors_are_reached():
    """Degree 2: 1.73e-3; its square: 4.33e-4."""
    for program, least in ((QUADRATIC, 1.73e-3), (SQUARED, 4.33e-4)):
        found = LevenbergMarquardt().fit(program, "exp2", UNIT, seed=3)
        assert error(program, found) == pytest.approx(least, rel=0.01)


def test_the_evolution_strategy_reaches_them_too():
    found = Cma(population=64, generations=400).fit(QUADRATIC, "exp2", UNIT, seed=3)
    assert error(QUADRATIC, found) == pytest.approx(1.73e-3, rel=0.02)


def test_least_squares_is_not_the_least_maximum():
    squares = LevenbergMarquardt(reweightings=0).fit(QUADRATIC, "exp2", UNIT, seed=0)
    assert error(QUADRATIC, squares) > 1.02 * 1.73e-3


def test_refining_never_makes_it_worse():
    table = tabulate("exp2", UNIT, 64, "chebyshev")
    rng = np.random.default_rng(0)
    for _ in range(20):
        start = rng.normal(size=3)
        before = worst(SQUARED, table, start[None])[0]
        assert worst(SQUARED, table, refine(SQUARED, table, start, 10)[None])[0] <= before


def test_errors_are_measured_below_the_last_place_of_the_target():
    """The float64 nearest to 2^x is off by up to 1.1e-16, and is told from one next to it."""
    table = tabulate("exp2", UNIT, 1000, "equal")
    assert 0 < np.abs(table.low).max() <= 2**-53
    exact = Program.parse("c0")
    at_one = tabulate("exp2", (0.5, 1.5), 3, "equal")
    value = evaluate(exact, at_one.x, np.array([[2.0]]))
    assert value[0, 1] == at_one.high[1]
    assert at_one.low[1] == 0.0


def third(x):
    return mpmath.mpf(1) / 3


def test_the_nearest_float_has_the_error_that_rounding_left():
    """1/3 in float64 is 2^-54 / 3 too small: relatively 2^-54."""
    table = tabulate(third, UNIT, 3, "equal")
    assert worst(Program.parse("c0"), table, np.array([[1 / 3]]))[0] == 2.0**-54


@pytest.mark.parametrize("fitter", [LevenbergMarquardt(), Cma(generations=5)])
def test_a_program_without_constants_needs_no_fit(fitter):
    assert fitter.fit(Program.parse("v0 = x * x; v0"), "exp2", UNIT, seed=0).shape == (0,)
    assert fitter.fit(Program.parse("v0 = x + c0; v0"), "exp2", UNIT, seed=0).shape == (1,)


def test_a_pole_in_the_interval_is_an_infinite_error():
    program = Program.parse("v0 = c0 / x; v0")
    table = tabulate("exp2", UNIT, 5, "equal")
    assert worst(program, table, np.array([[1.0], [0.0]])).tolist() == [np.inf, np.inf]


def test_points_lie_where_they_should():
    tables = {kind: tabulate("exp", (2.0, 4.0), 5, kind).x for kind in ("equal", "between")}
    assert tables["equal"].tolist() == [2.0, 2.5, 3.0, 3.5, 4.0]
    assert tables["between"] == pytest.approx([2.2, 2.6, 3.0, 3.4, 3.8])
    chebyshev = tabulate("exp", (2.0, 4.0), 3, "chebyshev")
    assert chebyshev.x == pytest.approx([2.0, 3.0, 4.0])
    assert chebyshev.high == pytest.approx(np.exp(chebyshev.x))


@pytest.mark.parametrize(
    ("target", "interval", "said"),
    [
        ("exp3", UNIT, "got 'exp3'. Did you mean 'exp'"),
        ("sin", UNIT, "sin is 0.0 at 0.0: a relative error needs"),
        ("log", (-1.0, 1.0), "log is .* at -1.0"),
        ("exp", (1.0, 0.0), "needs a < b"),
    ],
)
def test_targets_without_a_relative_error_are_refused(target, interval, said):
    with pytest.raises(InvalidArgument, match=said):
        tabulate(target, interval, 8, "equal")


def test_counts_below_one_are_refused():
    with pytest.raises(InvalidArgument, match="LevenbergMarquardt: starts must be 1 or more"):
        LevenbergMarquardt(starts=0)
