"""The loop of a process that answers questions; `_process.py` starts it, by path.

    python -P _worker.py SCRIPT SOCKET MEBIBYTES

SCRIPT defines `answer(*request)` and, where its libraries are slow to load, `prepare()`. This file
and the scripts import the standard library alone at the top, so that a process starts in tens of
milliseconds and shares nothing with the program that asks.
"""

import contextlib
import pickle
import resource
import runpy
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

FILE_BYTES = 1 << 20
"""A process may write this much to one file: SQLite's shared-memory index, and nothing of use."""


def serve(answer: Callable[..., Any], channel: Connection) -> None:
    """Answer one request after another until the parent hangs up."""
    channel.send_bytes(b"ready")
    while True:
        try:
            request = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        channel.send_bytes(pickle.dumps(answer(*request)))


def limit(mebibytes: int) -> None:
    """Limit address space and files; a system without a limit of that kind goes without it."""
    for kind, amount in (
        (resource.RLIMIT_AS, mebibytes << 20),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (amount, amount))


if __name__ == "__main__":
    script, socket, mebibytes = sys.argv[1:]
    limit(int(mebibytes))
    names = runpy.run_path(script)
    names.get("prepare", lambda: None)()
    with contextlib.suppress(BrokenPipeError):
        serve(names["answer"], Connection(int(socket)))
