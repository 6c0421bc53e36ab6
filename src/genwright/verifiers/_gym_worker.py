"""An answer scored by reasoning-gym; runs in a process of its own (`core/_process_loop.py`).

Some of its checks evaluate what the answer says, which may take for ever or run what it should not:
the parent kills this process at its limit.
"""

import json
from functools import cache
from importlib import import_module
from typing import Any


@cache
def dataset(spec: str) -> Any:
    """Return the data set that a row came from."""
    told = json.loads(spec)
    library: Any = import_module("reasoning_gym")
    return library.create_dataset(
        told["dataset"], size=told["size"], seed=told["seed"], **told["config"]
    )


def prepare() -> None:
    """Load the library before the clock of a first check runs."""
    import_module("reasoning_gym")


def answer(spec: str, index: int, text: str) -> tuple[float | None, str]:
    """Return (score, "") or (None, what went wrong)."""
    try:
        entries = dataset(spec)
        return float(entries.score_answer(text, entries[index])), ""
    except Exception as error:  # the library raises anything on nonsense
        return None, f"{type(error).__name__}: {error}"[:300]
