"""Verifiers combined: all of them, any of them, a weighted sum of their scores.

Choose `AllOf` for a draw that must satisfy several checks (cheap ones first: a draw that failed is
not checked on), `AnyOf` where several answers are right, `Weighted` where partial credit counts.

Undecided is a third truth value: Kleene 1952, "Introduction to Metamathematics", Section 64 (the
strong tables). Ours: the score of `AllOf` is the least and that of `AnyOf` the greatest of the
scores that were given (Zadeh 1965, doi:10.1016/S0019-9958(65)90241-X, equations 3 and 5).
"""

import math
from dataclasses import dataclass
from typing import Any

from genwright.core import Cost, InvalidArgument, Sample, Samples, Verdict, Verifier, method

ROUNDING = 1e-12
"""A weighted sum that misses the threshold by this much has reached it: 0.1 + 0.2 is 0.3."""


@method(paper="doi:10.1016/S0019-9958(65)90241-X")
@dataclass(frozen=True, kw_only=True)
class AllOf:
    """Fails where one part fails, else is undecided where one part is, else passes.

    Args:
        verifiers: the parts, cheap ones first; a draw that fails one is not given to the next.
    """

    verifiers: tuple[Verifier[Any], ...]

    def __post_init__(self) -> None:
        _some(self.verifiers)

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Check each draw with the parts in order, each part in one batch."""
        return _in_turn(self.verifiers, samples, ends_with=False)


@method(paper="doi:10.1016/S0019-9958(65)90241-X")
@dataclass(frozen=True, kw_only=True)
class AnyOf:
    """Passes where one part passes, else is undecided where one part is, else fails.

    Args:
        verifiers: the parts, cheap ones first; a draw that passes one is not given to the next.
    """

    verifiers: tuple[Verifier[Any], ...]

    def __post_init__(self) -> None:
        _some(self.verifiers)

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Check each draw with the parts in order, each part in one batch."""
        return _in_turn(self.verifiers, samples, ends_with=True)


@method(paper="")
@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Passes where the weighted mean of the parts' scores reaches a threshold.

    Every part checks every draw. An undecided part may have any score in [0, 1]: the verdict is
    undecided only where that matters. The score is the least that the mean can be.

    Args:
        verifiers: the parts.
        weights: one a part, 0 or more, not all 0; only their ratios matter.
        threshold: in (0, 1].
    """

    verifiers: tuple[Verifier[Any], ...]
    weights: tuple[float, ...]
    threshold: float = 0.5

    def __post_init__(self) -> None:
        _some(self.verifiers)
        if len(self.weights) != len(self.verifiers):
            raise InvalidArgument(
                f"Weighted: one weight a verifier: {len(self.verifiers)} verifiers, "
                f"{len(self.weights)} weights."
            )
        if not all(0 <= w < math.inf for w in self.weights) or not sum(self.weights) > 0:
            raise InvalidArgument(
                f"Weighted: weights must be 0 or more and not all 0, got {self.weights}."
            )
        if not 0 < self.threshold <= 1:
            raise InvalidArgument(f"Weighted: threshold must be in (0, 1], got {self.threshold}.")

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Check each draw with every part, each part in one batch."""
        columns = [verifier.check(samples) for verifier in self.verifiers]
        return [self._judge(list(row)) for row in zip(*columns, strict=True)]

    def _judge(self, parts: list[Verdict]) -> Verdict:
        pairs = list(zip(self.weights, parts, strict=True))
        total = math.fsum(self.weights)
        low = math.fsum(w * part.score for w, part in pairs if part.score is not None) / total
        high = low + math.fsum(w for w, part in pairs if part.score is None) / total
        reached = low >= self.threshold - ROUNDING
        decided = reached or high < self.threshold - ROUNDING
        return Verdict(
            passed=reached if decided else None,
            score=min(low, 1.0) if decided else None,
            evidence=_evidence(self.verifiers, parts) | {"from": low, "to": min(high, 1.0)},
            cost=sum((part.cost for part in parts), Cost()),
        )


def _in_turn(
    verifiers: tuple[Verifier[Any], ...], samples: Samples[Any], *, ends_with: bool
) -> list[Verdict]:
    """Run the parts in order; a draw whose part says `ends_with` is settled and left out."""
    parts: list[list[Verdict]] = [[] for _ in range(len(samples))]
    going = list(range(len(samples)))
    for verifier in verifiers:
        if not going:
            break
        rest: list[Sample[Any]] = [samples[i] for i in going]
        batch = samples if len(rest) == len(samples) else Samples[Any].of(rest)
        for i, verdict in zip(going, verifier.check(batch), strict=True):
            parts[i].append(verdict)
        going = [i for i in going if parts[i][-1].passed is not ends_with]
    return [_settled(verifiers, row, ends_with) for row in parts]


def _settled(
    verifiers: tuple[Verifier[Any], ...], parts: list[Verdict], ends_with: bool
) -> Verdict:
    """Join the parts' verdicts: `ends_with` wins, then undecided, then the rest."""
    said = [part.passed for part in parts]
    passed = ends_with if ends_with in said else None if None in said else not ends_with
    given = [part.score for part in parts if part.score is not None]
    score = None if passed is None else max(given) if ends_with else min(given)
    return Verdict(
        passed=passed,
        score=score,
        evidence=_evidence(verifiers, parts),
        cost=sum((part.cost for part in parts), Cost()),
    )


def _evidence(verifiers: tuple[Verifier[Any], ...], parts: list[Verdict]) -> dict[str, Any]:
    """Return what each part that was asked said."""
    return {
        "parts": [
            {"verifier": type(verifier).__name__, "passed": part.passed, "evidence": part.evidence}
            for verifier, part in zip(verifiers, parts, strict=False)
        ]
    }


def _some(verifiers: tuple[Verifier[Any], ...]) -> None:
    if not verifiers:
        raise InvalidArgument("a combination needs at least one verifier, got none.")
