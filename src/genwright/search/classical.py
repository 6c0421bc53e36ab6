"""The approximations that numerical analysis knows, each as a program with its operations counted.

`remez` gives the polynomial whose largest relative error is least, in Horner's form; `taylor` the
series about the middle of the interval; `pade` the rational function that agrees with the series,
and `rational` that of the least largest error, both as continued fractions, the form with the
fewest operations. Choose them as the bar that any other approximation must clear at its own number
of operations; `classical` returns the best of them all for each number.

Remez 1934, "Sur la determination des polynomes d'approximation de degre donnee", Communications of
the Mathematical Society of Kharkov 10. Pade 1892, "Sur la representation approchee d'une fonction
par des fractions rationnelles", Annales scientifiques de l'ENS 9. Ours: relative errors, and a
rational function of least error by refining Pade's constants.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, require
from genwright.search.approximation import Approximation
from genwright.search.constants import refine, worst
from genwright.search.symbolic import Array, Program
from genwright.search.targets import DIGITS, Target, exact, tabulate

Interval = tuple[float, float]

_GRID = 4000
_ROUNDS = 50


@cache
def remez(target: Target, interval: Interval, degree: int) -> Approximation:
    """Return the polynomial of least largest relative error; 2 `degree` operations.

    Exchange: find the polynomial whose errors are equal with alternating signs at degree + 2
    points, move the points to the extremes of its error, until the extremes are equal.

    Raises:
        InvalidArgument: a degree below 1.
        MissingExtra: mpmath is not installed.
    """
    _check_degree("remez", degree)
    table = tabulate(target, interval, _GRID, "chebyshev")
    chebyshev: Any = np.polynomial.chebyshev
    basis: Array = chebyshev.chebvander(_scaled(table.x, interval), degree) / table.high[:, None]
    signs = (-1.0) ** np.arange(degree + 2)
    chosen = _spread(_GRID, degree + 2)
    coefficients = np.zeros(degree + 1)
    for _ in range(_ROUNDS):
        system = np.hstack([basis[chosen], signs[:, None]])
        solved: NDArray[np.floating] = np.linalg.solve(system, np.ones(degree + 2))
        coefficients = solved[:-1].astype(np.float64)
        errors = basis @ coefficients - 1
        chosen = _extremes(errors, degree + 2)
        if np.ptp(np.abs(errors[chosen])) <= 1e-6 * np.abs(errors).max():
            break
    series: Any = np.polynomial.Chebyshev(coefficients, domain=interval)
    powers: Any = series.convert(kind=np.polynomial.Polynomial)
    return _measured(target, interval, *_horner(powers.coef.tolist()))


@cache
def taylor(target: Target, interval: Interval, degree: int) -> Approximation:
    """Return the Taylor polynomial about the middle of the interval; 2 `degree` operations.

    Raises:
        InvalidArgument: a degree below 1.
        MissingExtra: mpmath is not installed.
    """
    _check_degree("taylor", degree)
    mp: Any = require("mpmath", extra="search", needed_by="search.classical")
    with mp.workdps(DIGITS):
        middle = (mp.mpf(interval[0]) + mp.mpf(interval[1])) / 2
        powers = _shifted(mp.taylor(exact(target), middle, degree), middle)
        return _measured(target, interval, *_horner([float(c) for c in powers]))


@cache
def pade(target: Target, interval: Interval, above: int, below: int) -> Approximation:
    """Return the Pade approximant about the middle of the interval, as a continued fraction.

    Args:
        target: the function.
        interval: where it is wanted.
        above: degree of the numerator.
        below: degree of the denominator, 1 or more.

    Raises:
        InvalidArgument: degrees out of range.
        MissingExtra: mpmath is not installed.
    """
    if above < 0 or below < 1:
        raise InvalidArgument(
            f"pade: degrees must be 0 or more above and 1 or more below, got {above}, {below}."
        )
    mp: Any = require("mpmath", extra="search", needed_by="search.classical")
    with mp.workdps(DIGITS):
        middle = (mp.mpf(interval[0]) + mp.mpf(interval[1])) / 2
        p, q = mp.pade(mp.taylor(exact(target), middle, above + below), above, below)
        quotients = _divide(mp, _shifted(p, middle), _shifted(q, middle))
        return _measured(target, interval, *_fraction(quotients))


@cache
def rational(target: Target, interval: Interval, above: int, below: int) -> Approximation:
    """Return `pade` with constants refined to the least largest relative error."""
    start = pade(target, interval, above, below)
    table = tabulate(target, interval, 400, "chebyshev")
    constants = refine(start.program, table, np.array(start.constants), 300)
    better = _measured(target, interval, start.program, constants.tolist())
    return min(start, better, key=lambda a: a.error)


def classical(
    target: Target, interval: Interval, max_operations: int, *, refined: bool = True
) -> dict[int, tuple[str, Approximation]]:
    """Return the best known form, and its name, for each number of operations up to the most.

    Args:
        target: the function.
        interval: where it is wanted.
        max_operations: the most, 2 or more.
        refined: whether rational functions of least error compete with Pade's.
    """
    found: list[tuple[str, Approximation]] = []
    for degree in range(1, max_operations // 2 + 1):
        found.append((f"minimax polynomial {degree}", remez(target, interval, degree)))
        found.append((f"Taylor {degree}", taylor(target, interval, degree)))
    for below in range(1, max_operations // 3 + 2):
        for above in range(max_operations // 3 + 2):
            start = pade(target, interval, above, below)
            if start.operations <= max_operations:
                found.append((f"Pade {above}/{below}", start))
                if refined:
                    better = rational(target, interval, above, below)
                    found.append((f"minimax rational {above}/{below}", better))
    best: dict[int, tuple[str, Approximation]] = {}
    for operations in range(1, max_operations + 1):
        fit = [pair for pair in found if pair[1].operations <= operations]
        if fit:
            best[operations] = min(fit, key=lambda pair: pair[1].error)
    return best


def _measured(
    target: Target, interval: Interval, program: Program, constants: Sequence[float]
) -> Approximation:
    table = tabulate(target, interval, 10_000, "between")
    error = float(worst(program, table, np.array([constants]))[0])
    return Approximation(program=program, constants=tuple(constants), error=error)


def _scaled(x: Array, interval: Interval) -> Array:
    """Map the interval to [-1, 1]."""
    return (2 * x - interval[0] - interval[1]) / (interval[1] - interval[0])


def _extremes(errors: Array, n: int) -> NDArray[np.int_]:
    """Return the positions of n extremes with alternating signs that hold the largest ones."""
    starts = np.flatnonzero(np.diff(np.sign(errors))) + 1
    pieces = np.split(np.arange(len(errors)), starts)
    peaks = [int(piece[np.abs(errors[piece]).argmax()]) for piece in pieces]
    while len(peaks) > n:  # drop from the end that is smaller, so that signs go on alternating
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    if len(peaks) < n:
        return _spread(len(errors), n)
    return np.array(peaks)


def _spread(points: int, n: int) -> NDArray[np.int_]:
    """Return n of the positions below `points`, evenly."""
    return np.linspace(0, points - 1, n).round().astype(np.int_)


def _shifted(coefficients: Sequence[Any], middle: Any) -> list[Any]:
    """Expand a polynomial in x - middle into powers of x; coefficients by rising power."""
    powers: list[Any] = [coefficients[-1]]
    for coefficient in reversed(coefficients[:-1]):
        raised = [0, *powers]
        powers = [a - middle * b for a, b in zip(raised, [*powers, 0], strict=True)]
        powers[0] += coefficient
    return powers


def _divide(mp: Any, p: list[Any], q: list[Any]) -> list[list[Any]]:
    """Return the quotients of Euclid's algorithm on two polynomials, by rising power each."""
    quotients: list[list[Any]] = []
    while q:
        rest, quotient = list(p), [mp.mpf(0)] * max(0, len(p) - len(q) + 1)
        for i in range(len(p) - len(q), -1, -1):
            quotient[i] = rest[i + len(q) - 1] / q[-1]
            for j, coefficient in enumerate(q):
                rest[i + j] -= quotient[i] * coefficient
        rest = rest[: len(q) - 1]
        while rest and abs(rest[-1]) < mp.mpf(10) ** (-DIGITS // 2):
            rest.pop()
        quotients.append(quotient)
        p, q = q, rest
    return quotients


def _horner(coefficients: Sequence[float]) -> tuple[Program, list[float]]:
    writer = _Writer()
    return writer.done(writer.horner(coefficients))


def _fraction(quotients: list[list[Any]]) -> tuple[Program, list[float]]:
    """Write Q0 + 1 / (Q1 + 1 / (Q2 + ...)) with each Q after the first divided to begin with x^k.

    The factors move into the numerators: d_i = 1 / (a_{i-1} a_i), where a_i leads Q_i and a_0 = 1.
    """
    writer = _Writer()
    inner = ""
    leads = [1, *(q[-1] for q in quotients[1:])]
    for i in range(len(quotients) - 1, 0, -1):
        below = writer.monic([float(c / leads[i]) for c in quotients[i]])
        below = writer.step(below, "+", inner) if inner else below
        inner = writer.step(writer.constant(float(1 / (leads[i - 1] * leads[i]))), "/", below)
    if not quotients[0]:
        return writer.done(inner)
    return writer.done(writer.step(writer.horner([float(c) for c in quotients[0]]), "+", inner))


class _Writer:
    """Writes a program down step by step, constants beside it."""

    def __init__(self) -> None:
        self.constants: list[float] = []
        self.lines: list[str] = []

    def constant(self, value: float) -> str:
        self.constants.append(value)
        return f"c{len(self.constants) - 1}"

    def step(self, left: str, symbol: str, right: str) -> str:
        self.lines.append(f"v{len(self.lines)} = {left} {symbol} {right}")
        return f"v{len(self.lines) - 1}"

    def horner(self, coefficients: Sequence[float]) -> str:
        value = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = self.step(self.step(value, "*", "x"), "+", self.constant(coefficient))
        return value

    def monic(self, coefficients: Sequence[float]) -> str:
        """Write x^k + ... without the product with its leading 1."""
        value = self.step("x", "+", self.constant(coefficients[-2]))
        for coefficient in reversed(coefficients[:-2]):
            value = self.step(self.step(value, "*", "x"), "+", self.constant(coefficient))
        return value

    def done(self, result: str) -> tuple[Program, list[float]]:
        return Program.parse("; ".join([*self.lines, result])), self.constants


def _check_degree(owner: str, degree: int) -> None:
    if degree < 1:
        raise InvalidArgument(f"{owner}: degree must be 1 or more, got {degree}.")
