"""Tiny claims of real systems: one that holds, one that fails, one that lacks its data."""

import pytest

from genwright.core import Cost, UserError
from genwright.core.claim import Claim, ClaimResult


def simulate(scale, seed, ledger=None):
    """The seed is the metric, so that a test decides whether the claim holds."""
    notes = (f"at {scale} scale",)
    return ClaimResult(
        metrics={"seed": seed, "other": 0.123456789}, bounds=("seed >= 5",), notes=notes,
        cost=Cost(draws=3),
    )  # fmt: skip


def lacks_an_extra(scale, seed, ledger=None):
    raise UserError("needs torch: pip install it")


def claim(run=simulate, **fields):
    return Claim(slug="b4", reference="A 2020", statement="It is 5.", run=run, **fields)


@pytest.fixture
def tiny():
    return claim()


@pytest.fixture
def dataless():
    return claim(needs={"smoke": ("code/nowhere.jsonl",)})


@pytest.fixture
def broken():
    return claim(lacks_an_extra)
