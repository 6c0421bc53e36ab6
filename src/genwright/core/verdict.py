"""What a verifier says of a draw."""

from dataclasses import dataclass
from typing import Any

from genwright.core.cost import Cost
from genwright.core.errors import InvalidArgument


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Passed, failed, or undecided; made by `Verdict.ok`, `Verdict.fail`, `Verdict.undecided`.

    Args:
        passed: None when the verifier could not decide (a timeout, a crash of its own). That is
            not a failure: statistics leave undecided draws out and count them apart.
        score: in [0, 1]; None exactly when undecided.
        evidence: what shows it, JSON-like: the failing test, the solver's message, the two results
            that differ.
        cost: what the check took. `Cost(verifier_calls=1)` where nobody measured.
    """

    passed: bool | None
    score: float | None
    evidence: Any = None
    cost: Cost = Cost(verifier_calls=1)

    def __post_init__(self) -> None:
        if (self.passed is None) != (self.score is None):
            raise InvalidArgument("Verdict: passed and score must be None together (undecided).")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise InvalidArgument(f"Verdict: score must be in [0, 1], got {self.score}.")

    @classmethod
    def ok(cls, evidence: Any = None, *, score: float = 1.0) -> "Verdict":
        """The draw passed."""
        return cls(passed=True, score=score, evidence=evidence)

    @classmethod
    def fail(cls, evidence: Any = None, *, score: float = 0.0) -> "Verdict":
        """The draw failed; `score` may give partial credit."""
        return cls(passed=False, score=score, evidence=evidence)

    @classmethod
    def undecided(cls, evidence: Any = None) -> "Verdict":
        """The verifier could not tell."""
        return cls(passed=None, score=None, evidence=evidence)

    @property
    def decided(self) -> bool:
        """Whether the verifier could tell."""
        return self.passed is not None
