"""One process at a time works on a run: two would pay for the same draws.

The lock is a byte of a file beside the ledger, one byte a run. The system frees it when its process
ends, however it ends, so that a killed run can be resumed at once.
"""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b

from genwright.core.errors import InvalidArgument

try:
    import fcntl
except ImportError:  # Windows: runs are then not guarded
    fcntl = None

_guard = threading.Lock()
_open: dict[str, tuple[int, set[str]]] = {}
"""Path of a lock file -> its descriptor and the runs held. Closing any descriptor of a file would
free all of this process's locks on it, so there is one, closed with the last run."""


@contextmanager
def alone(path: str, run_id: str) -> Generator[None]:
    """Hold a run of the ledger at `path` while the block runs.

    Raises:
        InvalidArgument: somebody else holds it.
    """
    if fcntl is None or path == ":memory:":
        yield
        return
    name = f"{os.path.realpath(path)}-lock"
    place = int.from_bytes(blake2b(run_id.encode(), digest_size=7).digest(), "big")
    with _guard:
        if name not in _open:
            _open[name] = os.open(name, os.O_RDWR | os.O_CREAT, 0o666), set()
        file, runs = _open[name]
        try:
            if run_id in runs:
                raise BlockingIOError
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError) as error:
            _close_if_free(name)
            raise InvalidArgument(
                f"run {run_id!r} is being worked on; wait for it, or end that process and resume."
            ) from error
        runs.add(run_id)
    try:
        yield
    finally:
        with _guard:
            runs.discard(run_id)
            fcntl.lockf(file, fcntl.LOCK_UN, 1, place)
            _close_if_free(name)


def _close_if_free(name: str) -> None:
    file, runs = _open[name]
    if not runs:
        os.close(file)
        del _open[name]
