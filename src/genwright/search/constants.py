"""Find the constants with which a program comes nearest to a function.

Both fitters lower the largest relative error over points of an interval. `Cma` is the paper's:
an evolution strategy that asks for values only, and takes seconds for a program. Choose
`LevenbergMarquardt`, which uses derivatives and takes milliseconds: a search then tries hundreds of
programs in the time of one. It fits many random starts at once by least squares, then weighs the
points of the best until the largest error falls no more.

Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772, with the settings of Real
et al. 2023, "AutoNumerics-Zero", arXiv:2312.08472. Marquardt 1963, "An Algorithm for Least-Squares
Estimation of Nonlinear Parameters", SIAM Journal 11. Lawson 1961, "Contributions to the Theory of
Linear Least Maximum Approximation", UCLA: multiply weights by errors until the weighted squares
give the least maximum. Ours: Lawson's weights around Levenberg and Marquardt's steps, since
programs are not linear in their constants, with errors to a power below 1 for calm.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from genwright.core import InvalidArgument, nearest, require
from genwright.search.symbolic import Array, Program, evaluate, jacobian
from genwright.search.targets import Table, Target, tabulate


@dataclass(frozen=True, kw_only=True)
class Cma:
    """Fit by CMA-ES, as the paper does.

    Args:
        population: constant vectors per generation.
        step: the first step size.
        generations: the most. The search ends earlier once half of the generations made, and at
            least `patience` of them, brought no gain.
        patience: see there.
        scale: constants start at plus or minus 10^u with u uniform between these two.
        points: equally spaced points to fit on.
    """

    population: int = 128
    step: float = 0.1
    generations: int = 10_000
    patience: int = 100
    scale: tuple[float, float] = (-8.0, 0.0)
    points: int = 1024

    def fit(
        self, program: Program, target: Target, interval: tuple[float, float], seed: int
    ) -> Array:
        """Return float64[C]; the start where nothing better is found.

        Raises:
            MissingExtra: cma or mpmath is not installed.
        """
        cma: Any = require("cma", extra="search", needed_by="search.constants.Cma")
        table = tabulate(target, interval, self.points, "equal")
        rng = np.random.default_rng(seed)
        start = random_starts(rng, 1, program.constants, self.scale)
        if program.constants == 0:
            return start[0]
        if program.constants == 1:  # the library wants two dimensions; the second one is idle
            start = np.hstack([start, np.zeros((1, 1))])
        options = {"popsize": self.population, "seed": seed % 2**31 + 1, "verbose": -9}
        search = cma.CMAEvolutionStrategy(start[0], self.step, options)
        best, least, since = start[0], np.inf, 0
        for generation in range(self.generations):
            asked = search.ask()
            errors = worst(program, table, np.array(asked)[:, : program.constants])
            errors = np.where(np.isfinite(errors), errors, 1e300)
            search.tell(asked, errors.tolist())
            lowest = int(errors.argmin())
            if errors[lowest] < least:
                best, least, since = np.array(asked[lowest]), float(errors[lowest]), generation
            if generation - since >= max(self.patience, generation / 2):
                break
        return best[: program.constants]


@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt:
    """Fit by least squares from many starts, then by reweighted squares to the least maximum.

    Args:
        starts: constant vectors that are fitted side by side.
        steps: of least squares that all of them take.
        kept: the best of them, which go on.
        more: steps of least squares that these take.
        reweightings: of the best one in the end; 0 leaves it at least squares.
        scale: constants start at plus or minus 10^u with u uniform between these two.
        points: Chebyshev points to fit on. Between them a smooth error with m extremes rises by
            about (m pi / 2 points)^2 / 2 of itself.

    Raises:
        InvalidArgument: counts below 1.
    """

    starts: int = 16
    steps: int = 15
    kept: int = 2
    more: int = 40
    reweightings: int = 15
    scale: tuple[float, float] = (-2.0, 2.0)
    points: int = 64

    def __post_init__(self) -> None:
        for name in ("starts", "steps", "kept", "points"):
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"LevenbergMarquardt: {name} must be 1 or more, got {getattr(self, name)}."
                )

    def fit(
        self, program: Program, target: Target, interval: tuple[float, float], seed: int
    ) -> Array:
        """Return float64[C]; the best start where no step could be made.

        Raises:
            MissingExtra: mpmath is not installed.
        """
        table = tabulate(target, interval, self.points, "chebyshev")
        rng = np.random.default_rng(seed)
        starts = random_starts(rng, self.starts, program.constants, self.scale)
        if program.constants == 0:
            return starts[0]
        fitted = _least_squares(program, table, starts, self.steps)
        order = worst(program, table, fitted).argsort(kind="stable")[: self.kept]
        fitted = _least_squares(program, table, fitted[order], self.more)
        best = int(worst(program, table, fitted).argmin())
        return refine(program, table, fitted[best], self.reweightings)


Fitter = Cma | LevenbergMarquardt

FITTERS: dict[str, Fitter] = {
    "lm": LevenbergMarquardt(),
    "quick": LevenbergMarquardt(starts=8, steps=10, more=10, reweightings=10),
    "cma": Cma(),
}
"""Fitters by the name that a task file gives them."""


def find_fitter(fitter: str | Fitter) -> Fitter:
    """Return the fitter of a name, or the fitter itself.

    Raises:
        InvalidArgument: an unknown name.
    """
    if not isinstance(fitter, str):
        return fitter
    if fitter not in FITTERS:
        raise InvalidArgument(
            f"fitter must be one of {', '.join(FITTERS)}, or a fitter, got {fitter!r}."
            f"{nearest(fitter, list(FITTERS))}"
        )
    return FITTERS[fitter]


def random_starts(
    rng: np.random.Generator, n: int, constants: int, scale: tuple[float, float]
) -> Array:
    """Return float64[n, constants]: plus or minus 10^u, u uniform on `scale`."""
    size = 10.0 ** rng.uniform(*scale, (n, constants))
    return size * rng.choice([-1.0, 1.0], (n, constants))


def worst(program: Program, table: Table, constants: Array) -> Array:
    """Return float64[B]: the largest relative error of each vector; infinite where undefined."""
    errors = np.abs(_errors(table, evaluate(program, table.x, constants))).max(axis=1)
    return np.where(np.isnan(errors), np.inf, errors)


def refine(program: Program, table: Table, constants: Array, reweightings: int) -> Array:
    """Lower the largest error further, from constants that fit well already.

    Args:
        program: with C constants.
        table: the points.
        constants: float64[C].
        reweightings: steps.

    Returns:
        float64[C]: the best constants met on the way.
    """
    current, weights = constants[None], np.ones(len(table.x))
    best, least = current, float(worst(program, table, current)[0])
    damping = 1e-8
    for _ in range(reweightings):
        values, slopes = jacobian(program, table.x, current)
        errors = _errors(table, values)[0]
        largest = float(np.abs(errors).max())
        if not np.isfinite(largest) or not np.isfinite(slopes).all() or largest == 0:
            break
        weights = weights * (np.abs(errors) / largest) + 1e-9
        weights /= weights.max()
        root = np.sqrt(weights)
        step = _step(
            (slopes / table.high[None, :, None]) * root[:, None], errors[None] * root, damping
        )
        trial = current - step
        reached = float(worst(program, table, trial)[0])
        if reached < least:
            best, least = trial, reached
        if reached < 4 * least:
            current = trial
        else:  # too far from where the program is nearly linear
            current, damping = best, damping * 100
    return best[0]


def _least_squares(program: Program, table: Table, constants: Array, steps: int) -> Array:
    """Take Levenberg-Marquardt steps for every vector at once: float64[B, C] to the same."""
    damping = np.full(len(constants), 1e-2)
    values, slopes = jacobian(program, table.x, constants)
    errors = _errors(table, values)
    cost = _squares(errors)
    for _ in range(steps):
        trial = constants - _step(slopes / table.high[None, :, None], errors, damping)
        values, trial_slopes = jacobian(program, table.x, trial)
        trial_errors = _errors(table, values)
        trial_cost = _squares(trial_errors)
        better = trial_cost < cost
        damping = np.where(better, damping * 0.2, damping * 5)
        constants = np.where(better[:, None], trial, constants)
        errors = np.where(better[:, None], trial_errors, errors)
        slopes = np.where(better[:, None, None], trial_slopes, slopes)
        cost = np.where(better, trial_cost, cost)
    return constants


def _step(slopes: Array, errors: Array, damping: "Array | float") -> Array:
    """Solve the damped normal equations of each row, in columns of unit length: float64[B, C]."""
    with np.errstate(all="ignore"):
        slopes = np.nan_to_num(slopes, nan=0.0, posinf=0.0, neginf=0.0)
        errors = np.nan_to_num(errors, nan=0.0, posinf=0.0, neginf=0.0)
        length = np.sqrt((slopes * slopes).sum(axis=1)) + 1e-150
        scaled = slopes / length[:, None, :]
        products = scaled.transpose(0, 2, 1) @ scaled
        diagonal = list(range(products.shape[1]))
        products[:, diagonal, diagonal] += np.broadcast_to(damping, len(slopes))[:, None] + 1e-14
        right = scaled.transpose(0, 2, 1) @ errors[:, :, None]
        step = cast("Array", np.linalg.solve(products, right))[:, :, 0] / length
        return np.where(np.isfinite(step), step, 0.0)


def _errors(table: Table, values: Array) -> Array:
    """Return the relative errors [B, P]; the target is the sum of two float64s, so none is lost."""
    with np.errstate(all="ignore"):
        return ((values - table.high) - table.low) / table.high


def _squares(errors: Array) -> Array:
    with np.errstate(all="ignore"):
        cost = (errors * errors).sum(axis=1)
    return np.where(np.isnan(cost), np.inf, cost)
