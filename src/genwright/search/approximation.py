"""Judge a program by how near it comes to a function once its constants are fitted.

`Approximates` is the verifier of a search over functions: it fits a program's constants and
measures the largest relative error on points it was not fitted on.

Real et al. 2023, "AutoNumerics-Zero: Automated Discovery of State-of-the-Art Mathematical
Functions", arXiv:2312.08472: the two objectives, accuracy and 1 / operations, the latter of at
least two operations. Ours: accuracy in digits, to a hundredth, so that fits that differ by chance
alone count as equal; constants are fitted by `LevenbergMarquardt` unless `Cma` is asked for.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from math import inf, isfinite, log10
from time import perf_counter
from typing import Any

import numpy as np

from genwright.core import Cost, InvalidArgument, Samples, Verdict, child_seed, method
from genwright.search.constants import Fitter, find_fitter, worst
from genwright.search.mutations import read_start
from genwright.search.symbolic import Array, Program, evaluate, simplify
from genwright.search.targets import Target, exact, tabulate


@dataclass(frozen=True, kw_only=True)
class Approximation:
    """A program with its constants, and how far it is from the function.

    Args:
        program: in simplified form.
        constants: one a constant of the program.
        error: the largest relative error that was measured.
    """

    program: Program
    constants: tuple[float, ...]
    error: float

    @property
    def operations(self) -> int:
        """How many operations one value costs."""
        return len(self.program.operations)

    def values(self, x: Array) -> Array:
        """Return float64[P]: its values at P points."""
        return evaluate(self.program, x, np.array([self.constants]))[0]

    @classmethod
    def of(cls, evidence: Mapping[str, Any]) -> "Approximation":
        """Read it from the evidence of a verdict by `Approximates`."""
        program = Program.parse(evidence["program"])
        constants = tuple(float(c) for c in evidence["constants"])
        return cls(program=program, constants=constants, error=float(evidence["error"]))


@method(paper="arXiv:2312.08472")
@dataclass(frozen=True, kw_only=True)
class Approximates:
    """Fit a program's constants, and measure how far it then is from a function.

    A draw passes if the largest relative error is within the tolerance. Its evidence holds the
    simplified `program`, its `constants`, `operations`, `error`, and as `objectives` the digits of
    the error, to a hundredth, and 1 / operations (of 2 at least). A program that is not finite
    somewhere in the interval has an infinite error.

    Args:
        target: the function: a name of `search.targets.TARGETS` or a function of an mpmath number.
            It must be one that a process can import by name where `pool` is used.
        interval: where the program is used.
        tolerance: the largest relative error that passes. The default is half a unit in the last
            place of a float32 near 1.
        fitter: finds the constants: a fitter, or the name of one (`lm`, `quick` or the paper's
            `cma`); a text's `@ N` is its seed.
        validation: points to measure on, none of which is fitted on.
        max_operations: longer programs fail unfitted.
        pool: where programs are fitted side by side; in this process where left out.

    Raises:
        InvalidArgument: a tolerance outside (0, 1), or no points or operations.
    """

    target: Target = "exp2"
    interval: tuple[float, float] = (0.0, 1.0)
    tolerance: float = 2.0**-24
    fitter: str | Fitter = "lm"
    validation: int = 10_000
    max_operations: int = 100
    pool: Executor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise InvalidArgument(
                f"Approximates: tolerance must be in (0, 1), got {self.tolerance}."
            )
        for name in ("validation", "max_operations"):
            if getattr(self, name) < 2:
                raise InvalidArgument(
                    f"Approximates: {name} must be 2 or more, got {getattr(self, name)}."
                )

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Return one verdict a draw, in order.

        Raises:
            InvalidArgument: the target is unknown, or 0 or undefined in the interval.
            MissingExtra: mpmath, or cma where it is used, is not installed.
        """
        exact(self.target)
        find_fitter(self.fitter)
        settings = _without_pool(self)
        if self.pool is None:
            return [_judge(settings, text) for text in samples.values]
        return list(self.pool.map(_judge, [settings] * len(samples), samples.values))

    def polish(self, found: Approximation, *, seeds: Sequence[int] = range(20)) -> Approximation:
        """Return the best of several fits of a program, and of its constants so far."""
        best = found
        for seed in seeds:
            again = _fitted(self, found.program, seed)
            best = min(best, again, key=lambda a: a.error)
        return best


def front_of(verdicts: Sequence[Verdict]) -> dict[int, Approximation]:
    """Return the front of programs that `Approximates` judged, by number of operations."""
    least: dict[int, Mapping[str, Any]] = {}
    for verdict in verdicts:
        evidence = verdict.evidence
        if evidence and isfinite(evidence["error"]):
            known = least.get(evidence["operations"])
            if known is None or evidence["error"] < known["error"]:
                least[evidence["operations"]] = evidence
    front: dict[int, Approximation] = {}
    lowest = inf
    for operations in sorted(least):
        if least[operations]["error"] < lowest:
            lowest = least[operations]["error"]
            front[operations] = Approximation.of(least[operations])
    return front


def _judge(settings: Approximates, text: str) -> Verdict:
    began = perf_counter()
    try:
        program, seed = read_start(text)
        program = simplify(program)
        if len(program.operations) > settings.max_operations:
            raise InvalidArgument(f"{len(program.operations)} operations are too many.")
    except InvalidArgument as error:
        return Verdict.fail({"problem": str(error), "error": inf, "objectives": [-inf, 0.0]})
    found = _fitted(settings, program, seed)
    operations = max(2, found.operations)
    digits = -inf if found.error == inf else round(-log10(max(found.error, 1e-300)), 2)
    evidence = {
        "program": str(program),
        "constants": list(found.constants),
        "operations": found.operations,
        "error": found.error,
        "objectives": [digits, 1 / operations],
    }
    passed = found.error <= settings.tolerance
    share = min(max(-digits / log10(settings.tolerance), 0.0), 1.0)
    return Verdict(
        passed=passed,
        score=0.5 + 0.5 / operations if passed else 0.5 * share,
        evidence=evidence,
        cost=Cost(verifier_calls=1, seconds=perf_counter() - began),
    )


def _fitted(settings: Approximates, program: Program, seed: int) -> Approximation:
    """Fit a simplified program and measure its error."""
    constants = find_fitter(settings.fitter).fit(
        program, settings.target, settings.interval, child_seed(seed, str(program))
    )
    table = tabulate(settings.target, settings.interval, settings.validation, "between")
    error = float(worst(program, table, constants[None])[0])
    return Approximation(program=program, constants=tuple(constants.tolist()), error=error)


def _without_pool(settings: Approximates) -> Approximates:
    return settings if settings.pool is None else replace(settings, pool=None)
