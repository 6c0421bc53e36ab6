"""The process that runs regular expressions over untrusted text; started by `match.py`, by path."""

import contextlib
import pickle
import re
import resource
import sys
from multiprocessing.connection import Connection

ADDRESS_BYTES = 1 << 30


def serve(channel: Connection) -> None:
    """Answer (pattern, whole, text) with whether the text matches, until the parent hangs up."""
    channel.send_bytes(b"ready")
    while True:
        try:
            pattern, whole, text = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        compiled: re.Pattern[str] = re.compile(pattern)
        found = compiled.fullmatch(text) if whole else compiled.search(text)
        channel.send_bytes(pickle.dumps(found is not None))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(Connection(int(sys.argv[1])))
