"""Which program is right, when the tests are as doubtful as the programs?

N programs and M tests, all of them drawn from a generator, give a pass matrix: 1 where program i
passes test j. Each selector here groups the programs into candidates and ranks them. Choose `B4`
where many tests may be wrong or few programs right; `CodeT`, `MaxPass` and `MBRExec` are the simple
rules it is compared with.

Chen et al. 2024, "B4: Towards Optimal Assessment of Plausible Code Solutions with Plausible Tests",
arXiv:2409.08692, Section 4. Its model: a right program passes right tests and fails wrong ones; a
wrong program passes a right test with probability theta_1 and a wrong one with theta_0. Then the
only states of nature that need ranking are: the tests that some program i passes are right, and the
programs whose row equals row i are right. With Beta priors integrated out, such a state has

    ln B(n_y + alpha_xy, M - n_y + 1) + ln B(n_x + alpha_xy, N - n_x + 1)
        + ln B(e_1 + 1, m_1 - e_1 + 1) + ln B(e_0 + 1, m_0 - e_0 + beta_0)

as its log posterior but for a constant: n_x programs and n_y tests are right; the other programs
meet the right tests in m_1 cells and pass in e_1 of them, the wrong ones in m_0 and e_0.
Ours: weights for programs and tests that occur several times, which equal repeating them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln  # pyright: ignore

from genwright.core import InvalidArgument, method

Weights = tuple[Sequence[float], Sequence[float]]
"""How often each of the N programs and each of the M tests was drawn."""


@dataclass(frozen=True)
class Group:
    """Programs that a selector cannot tell apart, and what it gives them.

    Args:
        programs: row numbers, ascending.
        score: higher is better; comparable within one matrix only.
    """

    programs: tuple[int, ...]
    score: float


class Selector(Protocol):
    """A way to rank programs by a pass matrix."""

    def select(self, matrix: ArrayLike, counts: Weights | None = None) -> list[Group]:
        """Rank the programs.

        Args:
            matrix: [N, M] of 0 and 1: whether program i passes test j.
            counts: weights of programs and tests; 1 each where left out.

        Returns:
            Groups by falling score. Groups of equal score are equally good; they stand in the order
            of their first program.

        Raises:
            InvalidArgument: an empty matrix, an entry other than 0 and 1, or weights that are not
                above 0, one a program and one a test.
        """
        ...


@method(paper="arXiv:2409.08692")
@dataclass(frozen=True, kw_only=True)
class B4:
    """Rank sets of programs that pass the same tests by their posterior probability.

    Args:
        alpha_xy: Beta(alpha_xy, 1) is the prior of the share of right programs and of right tests.
            The default is the paper's for generated code.
        beta_0: Beta(1, beta_0) is the prior of theta_0. Large says that a wrong program seldom
            passes a wrong test. The paper takes 1e4 to 1e6 for generated code.

    Raises:
        InvalidArgument: a prior that is not above 0.
    """

    alpha_xy: float = 1e3
    beta_0: float = 1e5

    def __post_init__(self) -> None:
        for name, value in (("alpha_xy", self.alpha_xy), ("beta_0", self.beta_0)):
            if not 0 < value < inf:
                raise InvalidArgument(f"B4: {name} must be above 0 and finite, got {value}.")

    def select(self, matrix: ArrayLike, counts: Weights | None = None) -> list[Group]:
        """See `Selector.select`."""
        sets = _consensus(matrix, counts)
        n_x, n_y, N, M = sets.n_x, sets.n_y, sets.n_x.sum(), sets.weight_M.sum()
        shared_SS = (sets.rows_SM * sets.weight_M) @ sets.rows_SM.T  # tests both sets pass
        e_1 = shared_SS @ n_x - n_x * n_y
        e_0 = (n_y[None, :] - shared_SS) @ n_x
        m_1, m_0 = (N - n_x) * n_y, (N - n_x) * (M - n_y)
        score_S = (
            betaln(n_y + self.alpha_xy, M - n_y + 1)
            + betaln(n_x + self.alpha_xy, N - n_x + 1)
            + betaln(e_1 + 1, m_1 - e_1 + 1)
            + betaln(e_0 + 1, m_0 - e_0 + self.beta_0)
        )
        return _ranked(sets.programs, score_S)


@method(paper="arXiv:2207.10397")
@dataclass(frozen=True, kw_only=True)
class CodeT:
    """Rank sets of programs that pass the same tests by their tests times the root of their size.

    Chen et al. 2022, "CodeT: Code Generation with Generated Tests", Section 2 (dual execution
    agreement), with the square root of their code.
    """

    def select(self, matrix: ArrayLike, counts: Weights | None = None) -> list[Group]:
        """See `Selector.select`."""
        sets = _consensus(matrix, counts)
        return _ranked(sets.programs, sets.n_y * np.sqrt(sets.n_x))


@method(paper="arXiv:2204.11454")
@dataclass(frozen=True, kw_only=True)
class MBRExec:
    """Rank sets of programs that behave alike by their size alone.

    Shi et al. 2022, "Natural Language to Code Translation with Execution". Ours: agreement on the
    outcome of every test stands for agreement on outputs.
    """

    def select(self, matrix: ArrayLike, counts: Weights | None = None) -> list[Group]:
        """See `Selector.select`."""
        sets = _consensus(matrix, counts)
        return _ranked(sets.programs, sets.n_x)


@method()
@dataclass(frozen=True, kw_only=True)
class MaxPass:
    """Rank programs by how many tests they pass."""

    def select(self, matrix: ArrayLike, counts: Weights | None = None) -> list[Group]:
        """See `Selector.select`."""
        sets = _consensus(matrix, counts)
        by_passes: dict[float, list[int]] = {}
        for programs, passes in zip(sets.programs, sets.n_y.tolist(), strict=True):
            by_passes.setdefault(passes, []).extend(programs)
        groups = [tuple(sorted(programs)) for programs in by_passes.values()]
        return _ranked(groups, np.array(list(by_passes)))


def top(groups: Sequence[Group]) -> list[int]:
    """Return the programs of every group that shares the highest score, ascending."""
    return sorted(p for g in groups if g.score == groups[0].score for p in g.programs)


class _Sets(NamedTuple):
    """Consensus sets: S sets of programs with equal rows. Dimensions: S sets, M tests."""

    programs: list[tuple[int, ...]]
    rows_SM: NDArray[np.float64]
    n_x: NDArray[np.float64]
    n_y: NDArray[np.float64]
    weight_M: NDArray[np.float64]


def _consensus(matrix: ArrayLike, counts: Weights | None) -> _Sets:
    passes_NM = np.asarray(matrix, dtype=np.float64)
    if passes_NM.ndim != 2 or 0 in passes_NM.shape:
        raise InvalidArgument(
            f"select: matrix must be [programs, tests], one of each at least, got shape "
            f"{passes_NM.shape}."
        )
    if not np.isin(passes_NM, (0.0, 1.0)).all():
        raise InvalidArgument(
            "select: every entry of matrix must be 0 or 1; leave out the programs or tests that "
            "could not be judged."
        )
    weight_N, weight_M = weights_of(counts, passes_NM.shape)
    members: dict[bytes, list[int]] = {}
    for i, row in enumerate(passes_NM):
        members.setdefault(row.tobytes(), []).append(i)
    programs = [tuple(found) for found in members.values()]
    rows_SM = passes_NM[[found[0] for found in programs]]
    n_x = np.array([weight_N[list(found)].sum() for found in programs])
    return _Sets(programs, rows_SM, n_x, rows_SM @ weight_M, weight_M)


def weights_of(
    counts: Weights | None, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of programs and tests, 1 each where none are given.

    Raises:
        InvalidArgument: not one above 0 for each.
    """
    weight_N, weight_M = (
        _weights(what, None if counts is None else counts[axis], shape[axis])
        for axis, what in enumerate(("program", "test"))
    )
    return weight_N, weight_M


def _weights(what: str, given: Sequence[float] | None, n: int) -> NDArray[np.float64]:
    weights = np.ones(n) if given is None else np.asarray(given, dtype=np.float64)
    if weights.shape != (n,) or not ((weights > 0) & (weights < inf)).all():
        raise InvalidArgument(
            f"select: counts needs one weight above 0 for each {what} ({n}), got {given!r}."
        )
    return weights


def _ranked(programs: Sequence[tuple[int, ...]], score_S: ArrayLike) -> list[Group]:
    scores = cast("list[Any]", np.asarray(score_S, dtype=np.float64).tolist())
    groups = [Group(p, s) for p, s in zip(programs, scores, strict=True)]
    return sorted(groups, key=lambda g: (-g.score, g.programs))
