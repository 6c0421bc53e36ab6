"""Processes that answer questions and are killed when they take too long.

Work that is done inside a library (a database engine, a computer algebra system, a regular
expression) can neither be interrupted nor have its memory limited from within. `Processes` keeps
such work in processes of their own: started on demand, one for each thread that asks at the same
time, used again, ended with this process. `Process` is one of them, for who must know which one
answers. What runs in them is `_process_loop.py`.
"""

import atexit
import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from genwright.core.errors import SandboxError

A = TypeVar("A")
B = TypeVar("B")

START_SECONDS = 180
"""Time a process may take to start, on a machine that is busy."""

KEPT = ("PATH", "PYTHONPATH", "HOME", "LD_LIBRARY_PATH")
"""What a process sees of the environment: where libraries are, and no secrets."""


class NoAnswer(Exception):
    """The process was killed at its limit, or died; the message says which."""


class Processes:
    """A pool of processes that run one script.

    Args:
        script: the script.
        mebibytes: address space of one process.
    """

    def __init__(self, script: Path, mebibytes: int) -> None:
        self.script = script
        self.mebibytes = mebibytes
        self.idle: list[Process] = []
        self.lock = threading.Lock()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def ask(self, request: Any, seconds: float) -> Any:
        """Return the answer to one request.

        Raises:
            NoAnswer: none within `seconds`, or the process died.
            SandboxError: the process cannot be started.
        """
        with self._process() as process:
            return process.ask(request, seconds)

    @contextlib.contextmanager
    def _process(self) -> "Generator[Process, None, None]":
        with self.lock:
            process = self.idle.pop() if self.idle else None
        if process is not None and process.popen.poll() is not None:  # it died while it was idle
            process.close()
            process = None
        process = process or Process(self.script, self.mebibytes)
        try:
            yield process
        except BaseException:  # an interrupt too leaves an answer in the channel: never reuse it
            process.close()
            raise
        with self.lock:
            self.idle.append(process)

    def close(self) -> None:
        """End every idle process."""
        while self.idle:
            self.idle.pop().close()

    def _forget(self) -> None:
        """Leave the processes to the parent that started them; a fork starts its own."""
        for process in self.idle:
            process.popen.returncode = 0  # not ours to wait for
        self.idle, self.lock = [], threading.Lock()


class Process:
    """One process and the channel to it; one thread may ask at a time.

    Args:
        script: what it runs.
        mebibytes: its address space.
        arguments: handed to the script's `prepare` and `finish`.
        file_mebibytes: the most it may write to one file.

    Raises:
        SandboxError: it cannot be started.
    """

    def __init__(
        self, script: Path, mebibytes: int, *arguments: str, file_mebibytes: int = 1
    ) -> None:
        loop = Path(__file__).with_name("_process_loop.py")
        ours, theirs = socket.socketpair()
        words = (script, theirs.fileno(), mebibytes, file_mebibytes, *arguments)
        try:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", loop, *map(str, words)],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt at the keyboard is for the program alone
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in KEPT if name in os.environ},
            )
        except OSError as error:
            ours.close()
            raise SandboxError(f"{script.name} cannot be started: {error}.") from error
        finally:
            theirs.close()
        self.channel = Connection(ours.detach())
        try:
            ready = self.channel.poll(START_SECONDS) and self.channel.recv_bytes() == b"ready"
        except (EOFError, OSError):
            ready = False
        if not ready:
            self.close()
            raise SandboxError(f"{script.name} did not start; run it by hand to see why.")

    def ask(self, request: Any, seconds: float) -> Any:
        """Return the answer to one request; after a `NoAnswer` only `close` is left.

        Raises:
            NoAnswer: none within `seconds`, or the process died.
        """
        try:
            self.channel.send_bytes(pickle.dumps(request))
            if self.channel.poll(seconds):
                return pickle.loads(self.channel.recv_bytes())
        except (EOFError, OSError) as error:
            raise NoAnswer("the process that ran the check died") from error
        raise NoAnswer(f"no answer within {seconds:g} s")

    def close(self) -> None:
        """End the process now, before it can notice that nobody listens, and `finish`."""
        self.popen.kill()
        self.popen.wait()
        self.channel.close()


def side_by_side(function: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """Map over items with one thread a processor; the work itself happens in processes."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1)) as threads:
        return list(threads.map(function, items))
