"""The loop of a process that answers questions; `processes.py` starts it, by path.

    python -P _process_loop.py SCRIPT SOCKET MEBIBYTES FILE_MEBIBYTES ARGUMENTS

SCRIPT defines `answer(*request)` and may define `prepare(*ARGUMENTS)`, called before the first
request, and `finish(*ARGUMENTS)`, called when whoever asked is gone. This file and the scripts
import the standard library alone at the top, so that a process starts in tens of milliseconds and
shares nothing with the program that asks.
"""

import contextlib
import pickle
import resource
import runpy
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def serve(answer: Callable[..., Any], channel: Connection) -> None:
    """Answer one request after another until the parent hangs up."""
    channel.send_bytes(b"ready")
    while True:
        try:
            request = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        channel.send_bytes(pickle.dumps(answer(*request)))


def limit(mebibytes: int, file_mebibytes: int) -> None:
    """Limit address space and files; a system without a limit of that kind goes without it."""
    for kind, amount in (
        (resource.RLIMIT_AS, mebibytes << 20),
        (resource.RLIMIT_FSIZE, file_mebibytes << 20),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (amount, amount))


if __name__ == "__main__":
    script, socket, mebibytes, file_mebibytes, *arguments = sys.argv[1:]
    limit(int(mebibytes), int(file_mebibytes))
    names = runpy.run_path(script)
    if "prepare" in names:
        names["prepare"](*arguments)
    with contextlib.suppress(OSError):  # a broken pipe: who asked is gone
        serve(names["answer"], Connection(int(socket)))
    if "finish" in names:
        names["finish"](*arguments)
