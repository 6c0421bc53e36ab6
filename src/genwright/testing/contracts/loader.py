"""The laws of loaders: what makes a file of `[data]` where it is absent."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from genwright.testing.contracts.sentences import law


@dataclass(frozen=True, kw_only=True)
class LoaderCase:
    """A loader of one file.

    Args:
        make: returns the loader, always for the same path.
    """

    make: Callable[[], Callable[[], str | Path]]


def the_file_is_there(case: LoaderCase) -> None:
    """It returns the path of a file that holds something."""
    path = Path(case.make()())
    law(path.is_file(), f"the loader returned {str(path)!r}, but there is no such file.")
    law(path.stat().st_size > 0, f"the loader returned {str(path)!r}, which is empty.")


def loading_again_changes_nothing(case: LoaderCase) -> None:
    """The same path, and the file is not written a second time."""
    first = Path(case.make()())
    the_file_is_there(case)
    before = _state(first)
    second = Path(case.make()())
    law(second == first, f"the loader returned {str(first)!r}, then {str(second)!r}.")
    law(_state(first) == before, f"the loader wrote {str(first)!r} again.")


def only_the_file_is_left(case: LoaderCase) -> None:
    """No unfinished copy, journal or lock stands beside it."""
    path = Path(case.make()())
    beside = sorted(p.name for p in path.parent.glob(f"{path.name}*") if p != path)
    law(not beside, f"the loader left {beside} beside {path.name!r}.")


def _state(path: Path) -> tuple[int, str]:
    digest = blake2b()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return path.stat().st_mtime_ns, digest.hexdigest()


LAWS: tuple[Callable[[Any], None], ...] = (
    the_file_is_there,
    loading_again_changes_nothing,
    only_the_file_is_left,
)
