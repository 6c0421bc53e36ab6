"""What is wanted (`Task`), why a strategy ended (`Stop`), and what it brings back (`Outcome`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic

from genwright.core.cost import Cost
from genwright.core.samples import Sample, Samples, T
from genwright.core.verdict import Verdict

if TYPE_CHECKING:
    from genwright.core.protocols import Constraint, LogitShaper, Verifier


@dataclass(frozen=True)
class Task(Generic[T]):
    """One thing that is wanted, and how a draw for it is checked.

    Args:
        prompt: what the generator is given: a text, chat messages, a class label; JSON-like.
        verifier: checks a draw for this prompt; None where nothing can check it.
        key: names the task within a run: seeds and the ledger use it. The prompt itself where it
            is left empty.
        data: the row the task was made from (question, known answer, where it came from).
        steering: what every draw for this prompt must obey, beside what the generator obeys
            already. The runner steers with it; a strategy does not see it.
        metrics: further checks of the chosen draw, by name. The runner puts their scores into
            `info["metrics"]` of the outcome; they decide nothing and are not in its cost.
    """

    prompt: Any
    verifier: "Verifier[T] | None" = None
    key: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    steering: "Sequence[Constraint | LogitShaper]" = ()
    metrics: "Mapping[str, Verifier[T]]" = field(default_factory=dict[str, Any])


class Stop(Enum):
    """Why a strategy ended; the value is the sentence a user reads."""

    COMPLETE = "every planned draw was made"
    DECIDED = "no further draw could change the answer"
    PASSED = "a draw passed the check"
    BUDGET = "the budget was spent"
    GAVE_UP = "the chance of passing no longer justified another draw"
    INTERRUPTED = "the run was interrupted"


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a strategy brings back for one task.

    Args:
        chosen: the draw it stands by, or None.
        samples: every draw it made, in order.
        stop: why it ended.
        info: what the strategy reports (votes, tree statistics, ...), JSON-like.
        verdict: what the verifier says of `chosen`. The runner checks the chosen draw itself and
            fills this in; a strategy need not.
        cost: everything spent on the task, checks included. The runner fills this in.
    """

    chosen: Sample[T] | None
    samples: Samples[T]
    stop: Stop
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    verdict: Verdict | None = None
    cost: Cost = Cost()

    @property
    def passed(self) -> bool | None:
        """Whether the chosen draw passed; None when it was not or could not be checked."""
        if self.chosen is None:
            return False
        return None if self.verdict is None else self.verdict.passed
