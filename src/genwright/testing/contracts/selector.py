"""The laws of selectors: what ranks programs by the tests they pass.

They are tried on every matrix of a fixed random set: 2 to 5 programs, 1 to 4 tests, each cell a
fair coin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genwright.core import uniform
from genwright.testing.contracts.sentences import law

MATRICES = 30
TOLERANCE = 1e-9


class _Group(Protocol):
    """Programs that a selector cannot tell apart."""

    programs: tuple[int, ...]
    score: float


class _Selector(Protocol):
    def select(self, matrix: Any, counts: Any = None) -> Sequence[_Group]: ...


@dataclass(frozen=True, kw_only=True)
class SelectorCase:
    """A selector.

    Args:
        make: returns the selector.
    """

    make: Callable[[], _Selector]


def every_program_stands_in_one_group(case: SelectorCase) -> None:
    """None is lost, none ranked twice."""
    for matrix in _matrices():
        named = sorted(p for group in case.make().select(matrix) for p in group.programs)
        law(
            named == list(range(len(matrix))),
            f"the groups of {matrix.tolist()} must hold each program once, got {named}.",
        )


def scores_fall(case: SelectorCase) -> None:
    """And are finite, so that the ledger can hold them."""
    for matrix in _matrices():
        scores = [float(group.score) for group in case.make().select(matrix)]
        law(
            all(map(isfinite, scores)) and scores == sorted(scores, reverse=True),
            f"scores must be finite and fall, got {scores} for {matrix.tolist()}.",
        )


def equal_rows_stand_together(case: SelectorCase) -> None:
    """Two programs that pass the same tests cannot be told apart."""
    for matrix in _matrices():
        for group in case.make().select(matrix):
            alike = {
                q
                for p in group.programs
                for q in range(len(matrix))
                if (matrix[p] == matrix[q]).all()
            }
            law(
                alike <= set(group.programs),
                f"programs {sorted(alike)} of {matrix.tolist()} pass the same tests, but were "
                "told apart.",
            )


def the_order_of_programs_and_tests_is_irrelevant(case: SelectorCase) -> None:
    """Turned upside down and left to right, the same programs get the same scores."""
    for matrix in _matrices():
        last = len(matrix) - 1
        turned = {last - p: s for p, s in _scores(case, matrix[::-1, ::-1]).items()}
        _law_of_scores(_scores(case, matrix), turned, matrix, "in another order")


def counts_equal_repeating(case: SelectorCase) -> None:
    """A program drawn twice weighs as two equal rows, a test drawn twice as two equal columns."""
    for number, matrix in enumerate(_matrices()):
        rows, columns = matrix.shape
        programs = [1 + int(2 * uniform(number, "row", i)) for i in range(rows)]
        tests = [1 + int(2 * uniform(number, "column", j)) for j in range(columns)]
        weighted = _scores(case, matrix, (programs, tests))
        long = np.repeat(np.repeat(matrix, programs, axis=0), tests, axis=1)
        firsts = np.cumsum([0, *programs[:-1]])
        repeated = _scores(case, long)
        again = {p: repeated[int(f)] for p, f in enumerate(firsts) if int(f) in repeated}
        _law_of_scores(weighted, again, matrix, f"repeated {programs} by {tests} times")


def the_matrix_is_left_as_it_was(case: SelectorCase) -> None:
    """Also the second ranking is the first."""
    for matrix in _matrices():
        given, selector = matrix.copy(), case.make()
        first = _scores(case, given, selector=selector)
        law(bool((given == matrix).all()), f"select changed {matrix.tolist()} to {given.tolist()}.")
        second = _scores(case, given, selector=selector)
        _law_of_scores(first, second, matrix, "the second time")


def _matrices() -> list[NDArray[np.int64]]:
    def cell(m: int, i: int, j: int) -> int:
        return int(uniform(m, "cell", i, j) < 0.5)

    sizes = [(2 + m % 4, 1 + m // 4 % 4) for m in range(MATRICES)]
    return [
        np.array([[cell(m, i, j) for j in range(columns)] for i in range(rows)])
        for m, (rows, columns) in enumerate(sizes)
    ]


def _scores(
    case: SelectorCase, matrix: Any, counts: Any = None, selector: Any = None
) -> dict[int, float]:
    groups = (selector or case.make()).select(matrix, counts)
    return {p: float(group.score) for group in groups for p in group.programs}


def _law_of_scores(
    one: dict[int, float], other: dict[int, float], matrix: NDArray[np.int64], when: str
) -> None:
    same = one.keys() == other.keys() and all(
        isclose(one[p], other[p], rel_tol=TOLERANCE, abs_tol=TOLERANCE) for p in one
    )
    law(same, f"{matrix.tolist()} gave programs the scores {one}, {when} {other}.")


LAWS: tuple[Callable[[Any], None], ...] = (
    every_program_stands_in_one_group,
    scores_fall,
    equal_rows_stand_together,
    the_order_of_programs_and_tests_is_irrelevant,
    counts_equal_repeating,
    the_matrix_is_left_as_it_was,
)
