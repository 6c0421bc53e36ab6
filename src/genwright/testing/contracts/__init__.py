"""The laws of each slot as checks that run on any method, ours or another package's.

A case says how to make the method and what to try it on; `check_contract(case)` raises
`AssertionError` with one clear sentence at the first law that is broken. A test that runs over the
registry takes the laws one by one:

    for law in contract_checks(info.slot):
        law(CASES[info.name])
"""

from collections.abc import Callable
from typing import Any

from genwright.core import InvalidArgument
from genwright.testing.contracts import constraint, generator, learner, strategy, verifier
from genwright.testing.contracts.constraint import ConstraintCase
from genwright.testing.contracts.generator import GeneratorCase
from genwright.testing.contracts.learner import LearnerCase
from genwright.testing.contracts.strategy import StrategyCase
from genwright.testing.contracts.verifier import HOSTILE_TEXTS, VerifierCase

_SLOTS: dict[str, tuple[type, tuple[Callable[[Any], None], ...]]] = {
    "generator": (GeneratorCase, generator.LAWS),
    "verifier": (VerifierCase, verifier.LAWS),
    "strategy": (StrategyCase, strategy.LAWS),
    "constraint": (ConstraintCase, constraint.LAWS),
    "learner": (LearnerCase, learner.LAWS),
}


def contract_checks(slot: str) -> list[Callable[[Any], None]]:
    """Return the laws of a slot; each takes a case of that slot and is named for what it says.

    Raises:
        InvalidArgument: a slot without laws.
    """
    if slot not in _SLOTS:
        raise InvalidArgument(f"contract_checks: no laws for {slot!r}; there are: {list(_SLOTS)}.")
    return list(_SLOTS[slot][1])


def check_contract(
    case: GeneratorCase | VerifierCase | StrategyCase | ConstraintCase | LearnerCase,
) -> None:
    """Check every law of the slot that the case belongs to.

    Raises:
        AssertionError: a law is broken; the sentence says which, and what was seen.
    """
    for kind, laws in _SLOTS.values():
        if isinstance(case, kind):
            for law in laws:
                law(case)


__all__ = [
    "HOSTILE_TEXTS",
    "ConstraintCase",
    "GeneratorCase",
    "LearnerCase",
    "StrategyCase",
    "VerifierCase",
    "check_contract",
    "contract_checks",
]
