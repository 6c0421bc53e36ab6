"""What the laws share: saying what is broken, and comparing before with after."""

import json
from math import isfinite
from typing import Any

from genwright.core import AMOUNTS, Cost, Sample, Samples


def law(holds: bool, sentence: str) -> None:
    """Raise AssertionError with the sentence unless the law holds (also under `python -O`)."""
    if not holds:
        raise AssertionError(sentence)


def law_of_costs(cost: Cost, whose: str) -> None:
    """Every amount is finite and not negative."""
    for name in AMOUNTS:
        amount = getattr(cost, name)
        law(
            isfinite(amount) and amount >= 0,
            f"{whose} costs {name}={amount}; an amount must be finite and 0 or more.",
        )


def is_json(value: Any) -> bool:
    """Tell whether the ledger can write a value down."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def same_draw(one: Sample[Any], other: Sample[Any]) -> bool:
    """Equal value and log-probability; works for arrays and tensors too."""
    return Samples.of([one]) == Samples.of([other])
