"""B4 for pass matrices whose cells err, or are not known.

Choose it over `B4` where running a program against a test is flaky, or where some runs ended
undecided (time-outs): an unknown cell then says nothing, where `B4` needs its row or column left
out. With cells that never err and are all known it ranks as `B4` does.

Chen et al. 2024, arXiv:2409.08692, Section 4, is the model (`b4.py`). Ours: the errors. A cell of a
right program and a right test fails with the rate of false rejects, one of a right program and a
wrong test passes with that of false accepts. A right program's row then need not equal the truth of
the tests. So every row is tried as that truth, and so is what it becomes when each test is set to
what the programs near it and the others make likelier, twice over; for every truth the programs
within each distance of it are tried as the right ones; and a program's score is the logarithm of
the sum over all states tried in which it is right. Unknown cells are left out of every product,
which marginalises them; for unknown entries of a truth the likelier value is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln  # pyright: ignore

from genwright.core import InvalidArgument, method
from genwright.search.b4 import Group, Weights, weights_of
from genwright.verifiers.reliability import LEAST, rates_of

Array = NDArray[np.float64]
ROUNDS = 2
"""How often a row is set to what the programs make likelier."""


@method(paper="arXiv:2409.08692")
@dataclass(frozen=True, kw_only=True)
class SoftB4:
    """Rank programs by the posterior of the states in which they are right.

    Args:
        alpha_xy: as in `B4`.
        beta_0: as in `B4`.
        reliability: how often a cell of a right program errs: false accepts, false rejects.

    Raises:
        InvalidArgument: a prior that is not above 0, or rates out of range.
    """

    alpha_xy: float = 1e3
    beta_0: float = 1e5
    reliability: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name, value in (("alpha_xy", self.alpha_xy), ("beta_0", self.beta_0)):
            if not 0 < value < inf:
                raise InvalidArgument(f"SoftB4: {name} must be above 0 and finite, got {value}.")
        rates_of("SoftB4", self.reliability)

    def select(self, matrix: ArrayLike, counts: Weights | None = None) -> list[Group]:
        """See `Selector.select`; an entry may also be NaN, which is unknown."""
        grid = _Grid.of(matrix, counts)
        rows: dict[bytes, list[int]] = {}
        for i, row in enumerate(grid.passes_NM):
            rows.setdefault(row.tobytes(), []).append(i)
        total_N = np.full(len(grid.weight_N), -inf)
        for truth_M in self._truths(grid, [found[0] for found in rows.values()]):
            for right_N, score in self._states(grid, truth_M):
                total_N[right_N] = np.logaddexp(total_N[right_N], score)
        groups = [Group(tuple(found), float(total_N[found[0]])) for found in rows.values()]
        return sorted(groups, key=lambda g: (-g.score, g.programs))

    def _truths(self, grid: "_Grid", rows: Sequence[int]) -> list[Array]:
        """Return what the tests may truly be: every row, and what it becomes; no NaN is left."""
        exact = self.reliability == (0.0, 0.0)
        found: dict[bytes, Array] = {}
        for i in rows:
            truth_M = grid.passes_NM[i]
            known_M = ~np.isnan(truth_M)
            if known_M.all():
                found.setdefault(truth_M.tobytes(), truth_M)
            for _ in range(ROUNDS):
                likelier_M = self._likelier(grid, truth_M)
                truth_M = np.where(known_M, grid.passes_NM[i], likelier_M) if exact else likelier_M
                found.setdefault(truth_M.tobytes(), truth_M)
        return list(found.values())

    def _likelier(self, grid: "_Grid", truth_M: Array) -> Array:
        """Return for each test the likelier truth, the other rates at their posterior means."""
        states = list(self._states(grid, truth_M))
        right_N, _ = max(states, key=lambda state: state[1])
        w_N = grid.weight_N
        e_1, m_1, e_0, m_0 = grid.others(truth_M, right_N)
        one, zero = (e_1 + 1) / (m_1 + 2), (e_0 + 1) / (m_0 + 1 + self.beta_0)
        n_y = float(np.nansum(truth_M * grid.weight_M))
        share = (n_y + self.alpha_xy) / (float(grid.weight_M.sum()) + self.alpha_xy + 1)
        passed_M, failed_M = self._cells()
        p_NM, known_NM = np.nan_to_num(grid.passes_NM), ~np.isnan(grid.passes_NM)
        w_right, w_other = w_N * right_N, w_N * ~right_N
        said_M = w_right @ (known_NM * np.where(p_NM == 1, passed_M, failed_M))
        other = np.where(p_NM == 1, log(one / zero), log((1 - one) / (1 - zero)))
        said_M = said_M + w_other @ (known_NM * other)
        return (said_M + log(share / (1 - share)) > 0).astype(np.float64)

    def _cells(self) -> tuple[float, float]:
        """Return what a right program's pass, and its failure, say for a test being right."""
        accept, reject = (max(rate, LEAST) for rate in self.reliability)
        return log((1 - reject) / accept), log(reject / (1 - accept))

    def _states(self, grid: "_Grid", truth_M: Array) -> Iterator[tuple[NDArray[np.bool_], float]]:
        """Yield (the programs that are right, log posterior) for every distance from a truth."""
        accept, reject = (max(rate, LEAST) for rate in self.reliability)
        n_y, M = float(np.nansum(truth_M * grid.weight_M)), float(grid.weight_M.sum())
        N = float(grid.weight_N.sum())
        off_N = grid.mismatches(truth_M)
        distances = np.unique(off_N)
        if self.reliability == (0.0, 0.0):
            distances = distances[:1] if distances[0] == 0 else distances[:0]
        for distance in distances:
            right_N = off_N <= distance
            n_x = float(grid.weight_N @ right_N)
            e_1, m_1, e_0, m_0 = grid.others(truth_M, right_N)
            r_1, k_1, r_0, k_0 = grid.others(truth_M, ~right_N)
            score = betaln(n_y + self.alpha_xy, M - n_y + 1)
            score += betaln(n_x + self.alpha_xy, N - n_x + 1)
            score += betaln(e_1 + 1, m_1 - e_1 + 1) + betaln(e_0 + 1, m_0 - e_0 + self.beta_0)
            score += r_1 * log(1 - reject) + (k_1 - r_1) * log(reject)
            score += r_0 * log(accept) + (k_0 - r_0) * log(1 - accept)
            yield right_N, float(score)


@dataclass(frozen=True)
class _Grid:
    """Programs, tests and their weights. NaN in a truth or a matrix is unknown."""

    passes_NM: Array
    weight_N: Array
    weight_M: Array

    @classmethod
    def of(cls, matrix: ArrayLike, counts: Weights | None) -> "_Grid":
        passes_NM = np.asarray(matrix, dtype=np.float64)
        if passes_NM.ndim != 2 or 0 in passes_NM.shape:
            raise InvalidArgument(
                f"select: matrix must be [programs, tests], one of each at least, got shape "
                f"{passes_NM.shape}."
            )
        if not (np.isin(passes_NM, (0.0, 1.0)) | np.isnan(passes_NM)).all():
            raise InvalidArgument("select: every entry of matrix must be 0, 1, or NaN (unknown).")
        weight_N, weight_M = weights_of(counts, passes_NM.shape)
        return cls(passes_NM, weight_N, weight_M)

    def mismatches(self, truth_M: Array) -> Array:
        """Return for each program the weight of the tests where it differs from a truth."""
        differs_NM = np.abs(self.passes_NM - truth_M)
        return np.nan_to_num(differs_NM) @ self.weight_M

    def others(self, truth_M: Array, right_N: NDArray[np.bool_]) -> tuple[float, ...]:
        """Return passes and known cells of the programs outside a set, on right and wrong tests."""
        w_N = self.weight_N * ~right_N
        found: list[float] = []
        for value in (1.0, 0.0):
            w_M = self.weight_M * (truth_M == value)
            known_NM = ~np.isnan(self.passes_NM)
            found.append(float(w_N @ (np.nan_to_num(self.passes_NM) @ w_M)))
            found.append(float(w_N @ (known_NM @ w_M)))
        return tuple(found)
