"""The model of doubtful programs and doubtful tests that `B4` is optimal for.

Choose it to simulate pass matrices with known truth, and to rank programs exactly where the four
rates are known.

Chen et al. 2024, arXiv:2409.08692, Section 3. Ours: the exact posterior of each single program. The
programs are independent given which tests are right, so that a sum over the 2^M states of the tests
is enough.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genwright.core import InvalidArgument, child_seed

MOST_TESTS = 16
"""The most tests whose states `posterior` sums over: 65,536, about a second."""


class PassMatrix(NamedTuple):
    """A simulated matrix and the truth behind it."""

    passes: NDArray[np.int64]
    """[N, M] of 0 and 1."""
    right_programs: NDArray[np.bool_]
    right_tests: NDArray[np.bool_]


class Theta(NamedTuple):
    """The rates of the model; the defaults are those of the paper's simulation.

    Args:
        x: chance that a program is right.
        y: chance that a test is right.
        zero: chance that a wrong program passes a wrong test.
        one: chance that a wrong program passes a right test.
    """

    x: float = 0.2
    y: float = 0.3
    zero: float = 0.1
    one: float = 0.4

    def simulate(self, n: int, m: int, *, seed: int) -> PassMatrix:
        """Draw the truth and the matrix of n programs and m tests."""
        rng = np.random.default_rng(child_seed(seed, "pass matrix"))
        right_N, right_M = rng.random(n) < self.x, rng.random(m) < self.y
        luck_NM = rng.random((n, m)) < np.where(right_M, self.one, self.zero)
        passes_NM = np.where(right_N[:, None], right_M, luck_NM).astype(np.int64)
        return PassMatrix(passes_NM, right_N, right_M)


def posterior(matrix: ArrayLike, theta: Theta) -> NDArray[np.float64]:
    """Return for each program the probability that it is right, given the matrix and the rates.

    Args:
        matrix: [N, M] of 0 and 1; M at most 16.
        theta: the rates, each in (0, 1).

    Returns:
        float64[N].

    Raises:
        InvalidArgument: too many tests, an entry other than 0 and 1, or rates out of range.
    """
    passes_NM = np.asarray(matrix)
    if passes_NM.ndim != 2 or passes_NM.shape[1] > MOST_TESTS:
        raise InvalidArgument(
            f"posterior: matrix must be [programs, tests] with at most {MOST_TESTS} tests, "
            f"got shape {passes_NM.shape}; rank larger ones with B4."
        )
    if not np.isin(passes_NM, (0, 1)).all() or not all(0 < rate < 1 for rate in theta):
        raise InvalidArgument(
            f"posterior: entries must be 0 or 1 and rates in (0, 1), got {theta}."
        )
    total, right_N = 0.0, np.zeros(len(passes_NM))
    for right_M in product((0, 1), repeat=passes_NM.shape[1]):
        y_M = np.array(right_M)
        chance_M = np.where(y_M == 1, theta.one, theta.zero)
        if_wrong_N = (1 - theta.x) * np.where(passes_NM == 1, chance_M, 1 - chance_M).prod(axis=1)
        if_right_N = theta.x * (passes_NM == y_M).all(axis=1)
        either_N = if_wrong_N + if_right_N
        weight = np.where(y_M == 1, theta.y, 1 - theta.y).prod() * either_N.prod()
        total += weight
        right_N += weight * if_right_N / either_N
    return right_N / total
