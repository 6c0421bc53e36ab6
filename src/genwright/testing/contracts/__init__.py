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
from genwright.testing.contracts import (
    constraint,
    drafts,
    filter,
    generator,
    key,
    learner,
    loader,
    selector,
    shaper,
    source,
    strategy,
    verifier,
)
from genwright.testing.contracts.constraint import ConstraintCase
from genwright.testing.contracts.drafts import DraftsCase
from genwright.testing.contracts.filter import FilterCase
from genwright.testing.contracts.generator import GeneratorCase
from genwright.testing.contracts.key import KeyCase
from genwright.testing.contracts.learner import LearnerCase
from genwright.testing.contracts.loader import LoaderCase
from genwright.testing.contracts.selector import SelectorCase
from genwright.testing.contracts.shaper import ShaperCase
from genwright.testing.contracts.source import SourceCase
from genwright.testing.contracts.strategy import StrategyCase
from genwright.testing.contracts.verifier import HOSTILE_TEXTS, VerifierCase

Case = (
    GeneratorCase
    | VerifierCase
    | StrategyCase
    | ConstraintCase
    | LearnerCase
    | SourceCase
    | KeyCase
    | LoaderCase
    | SelectorCase
    | FilterCase
    | ShaperCase
    | DraftsCase
)

_SLOTS: dict[str, tuple[type, tuple[Callable[[Any], None], ...]]] = {
    "generator": (GeneratorCase, generator.LAWS),
    "verifier": (VerifierCase, verifier.LAWS),
    "strategy": (StrategyCase, strategy.LAWS),
    "constraint": (ConstraintCase, constraint.LAWS),
    "learner": (LearnerCase, learner.LAWS),
    "source": (SourceCase, source.LAWS),
    "key": (KeyCase, key.LAWS),
    "loader": (LoaderCase, loader.LAWS),
    "selector": (SelectorCase, selector.LAWS),
    "drafts": (DraftsCase, drafts.LAWS),
    "filter": (FilterCase, filter.LAWS),
    "shaper": (ShaperCase, shaper.LAWS),
}


def contract_checks(slot: str) -> list[Callable[[Any], None]]:
    """Return the laws of a slot; each takes a case of that slot and is named for what it says.

    Raises:
        InvalidArgument: a slot without laws.
    """
    if slot not in _SLOTS:
        raise InvalidArgument(f"contract_checks: no laws for {slot!r}; there are: {list(_SLOTS)}.")
    return list(_SLOTS[slot][1])


def check_contract(case: Case) -> None:
    """Check every law of the slot that the case belongs to.

    Raises:
        AssertionError: a law is broken; the sentence names the method and the law, and says what
            was seen.
    """
    for slot, (kind, laws) in _SLOTS.items():
        if isinstance(case, kind):
            for law in laws:
                try:
                    law(case)
                except AssertionError as error:
                    method = type(case.make()).__name__
                    said = law.__name__.replace("_", " ")
                    raise AssertionError(
                        f"{slot} {method} breaks the law '{said}': {error}"
                    ) from error


__all__ = [
    "HOSTILE_TEXTS",
    "Case",
    "ConstraintCase",
    "DraftsCase",
    "FilterCase",
    "GeneratorCase",
    "KeyCase",
    "LearnerCase",
    "LoaderCase",
    "SelectorCase",
    "ShaperCase",
    "SourceCase",
    "StrategyCase",
    "VerifierCase",
    "check_contract",
    "contract_checks",
]
