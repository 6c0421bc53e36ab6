"""Strict fakes, a scripted endpoint, and contract checks, for tests of methods in any package."""

from genwright.testing.contracts import (
    HOSTILE_TEXTS,
    ConstraintCase,
    DraftsCase,
    FilterCase,
    GeneratorCase,
    KeyCase,
    LearnerCase,
    LoaderCase,
    SelectorCase,
    ShaperCase,
    SourceCase,
    StrategyCase,
    VerifierCase,
    check_contract,
    contract_checks,
)
from genwright.testing.endpoint import Fault, ScriptedEndpoint
from genwright.testing.fakes import Flaky, Passes, Scripted, Uniform
from genwright.testing.protocol import Reply

__all__ = [
    "HOSTILE_TEXTS",
    "ConstraintCase",
    "DraftsCase",
    "Fault",
    "FilterCase",
    "Flaky",
    "GeneratorCase",
    "KeyCase",
    "LearnerCase",
    "LoaderCase",
    "Passes",
    "Reply",
    "Scripted",
    "ScriptedEndpoint",
    "SelectorCase",
    "ShaperCase",
    "SourceCase",
    "StrategyCase",
    "Uniform",
    "VerifierCase",
    "check_contract",
    "contract_checks",
]
