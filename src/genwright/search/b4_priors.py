"""Priors of B4 fitted to a family of problems, by how well they explain its pass matrices.

Choose it where many matrices of one generator are at hand, no truth is known, and the model of
`b4.py` is thought to hold. Where wrong programs fail alike, as those of a language model do, it
does not, and the fitted priors choose worse than the published ones: look at a few problems with
known truth before you trust them.

Empirical Bayes: Robbins 1956, "An Empirical Bayes Approach to Statistics"; the evidence of a
matrix is the sum of B4's posterior over its consensus sets (Chen et al. 2024, arXiv:2409.08692,
Section 4), with the priors' own constants. Ours: fitting them at all (the paper sets them by hand).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike

from genwright.core import InvalidArgument
from genwright.search.b4 import B4, Weights

ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4)
BETAS = (1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e5, 1e6)

Problem = tuple[ArrayLike, Weights | None]
"""A pass matrix, and how often each program and test was drawn."""


@dataclass(frozen=True)
class Fitted:
    """The priors that explain the matrices best, and how well each pair does (log evidence)."""

    selector: B4
    evidence: dict[tuple[float, float], float]


def fit_priors(
    problems: Sequence[Problem],
    alphas: Sequence[float] = ALPHAS,
    betas: Sequence[float] = BETAS,
) -> Fitted:
    """Fit `alpha_xy` and `beta_0` to the matrices of many problems.

    Args:
        problems: at least two.
        alphas: values of `alpha_xy` to try.
        betas: values of `beta_0` to try.

    Raises:
        InvalidArgument: fewer than two problems, nothing to try, or a matrix B4 refuses.
    """
    if len(problems) < 2 or not alphas or not betas:
        raise InvalidArgument(
            f"fit_priors: needs two or more problems, and priors to try, got {len(problems)} "
            f"problems and {len(alphas) * len(betas)} priors."
        )
    found = {
        (alpha, beta): sum(evidence(B4(alpha_xy=alpha, beta_0=beta), p) for p in problems)
        for alpha in alphas
        for beta in betas
    }
    alpha, beta = max(found, key=found.__getitem__)
    return Fitted(B4(alpha_xy=alpha, beta_0=beta), found)


def evidence(selector: B4, problem: Problem) -> float:
    """Return the log probability of a matrix, summed over the states that B4 ranks."""
    matrix, counts = problem
    scores = [group.score for group in selector.select(matrix, counts)]
    # 1 / B(alpha, 1) = alpha, once for programs and once for tests, and 1 / B(1, beta) = beta.
    constants = 2 * log(selector.alpha_xy) + log(selector.beta_0)
    return float(np.logaddexp.reduce(scores)) + constants
