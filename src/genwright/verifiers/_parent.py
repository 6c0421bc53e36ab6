"""The near end of a warm parent: start it, ask it, end it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genwright.core import SandboxError

LONGEST_ANSWER = 64 << 20
START_SECONDS = 180.0
"""Time a warm parent may take to start, on a machine that is busy."""


class Parent:
    """One warm parent. Not thread-safe: who holds it has it alone.

    Raises:
        SandboxError: it does not start, or the system refuses what its level needs.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        program = str(Path(__file__).with_name("_zygote.py"))
        self._line = ours
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", program],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Without it, sets of strings would be ordered differently in each warm parent.
                env={"PYTHONHASHSEED": "0"},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SandboxError(f"a warm parent does not start: {error}") from error
        finally:
            theirs.close()
        hello = self.ask({**settings, "pid": self._process.pid}, START_SECONDS)
        if "refused" in hello:
            self.close()
            raise SandboxError(f"the system refuses it: {hello['refused']}")
        self.enforced = frozenset[str](hello["enforced"])

    @property
    def pid(self) -> int:
        """Process id, for those who watch or kill it."""
        return self._process.pid

    def ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a job and wait for the answer.

        Raises:
            SandboxError: it died, or did not answer in time. It is closed then.
        """
        try:
            self._line.settimeout(seconds)
            self._line.sendall(json.dumps(message).encode() + b"\n")
            return json.loads(self._answer(time.monotonic() + seconds))
        except (OSError, ValueError, RecursionError) as error:
            self.close()
            raise SandboxError(f"a warm parent failed: {error!r}") from error

    def _answer(self, deadline: float) -> bytes:
        text = bytearray()
        while not text.endswith(b"\n"):
            self._line.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self._line.recv(1 << 18)
            if not piece or len(text) > LONGEST_ANSWER:
                raise ConnectionError("it ended, or its answer has no end")
            text += piece
        return bytes(text)

    def close(self) -> None:
        """Kill it, and with it the check under way; two threads may do so at the same time."""
        self._process.kill()
        self._process.wait()
        self._line.close()
