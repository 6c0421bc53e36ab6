"""How the warm parent watches a check: its output, its report, its deadline, its end.

Imported by `_zygote.py`, so standard library only.
"""

import json
import os
import select
import signal
import time
from typing import Any

OUTPUT_BYTES = 1 << 16
REPORT_BYTES = 1 << 22


class Watch:
    """The children of one check, the last of which reports, and our ends of their pipes."""

    def __init__(self, children: list[int], ends: dict[str, Any], orders: bytes) -> None:
        self.children = children
        self.ends = ends
        self.orders = orders
        self.text = {name: bytearray() for name in ("report", "stdout", "stderr")}
        self.codes: dict[int, int] = {}
        self.cpu = 0.0
        self.held: list[Any] = []
        if hasattr(os, "pidfd_open"):
            try:
                self.held = [os.pidfd_open(children[-1])]
            except OSError:  # a kernel without them: look every few milliseconds instead
                self.held = []

    def until(self, deadline: float) -> bool:
        """Serve the pipes until the reporting child ends; return False when time ran out."""
        poll = select.poll()
        names = {self.ends[name]: name for name in self.text}
        for end in [*names, *self.held]:
            poll.register(end, select.POLLIN)
        poll.register(0, 0)  # only tells us when who asked for the check has gone
        while self._running():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for end, event in poll.poll(left * 1000 if self.held else min(left * 1000, 5)):
                if end == 0:
                    self.kill()
                    os._exit(0)
                if end in names and not self._read(names[end]):
                    poll.unregister(end)
                if end == self.ends["orders"]:
                    self._give_orders(poll, event)
            if self.orders and self.text["report"].startswith(b"loaded\n"):
                poll.register(self.ends["orders"], select.POLLOUT)
                del self.text["report"][:7]
        return True

    def kill(self) -> None:
        """Kill and collect the children that still run."""
        for child in self.children:
            if child not in self.codes:
                os.kill(child, signal.SIGKILL)
                self._collect(child, 0)

    def finish(self) -> None:
        """Read what is left in the pipes, and close them. Nothing writes to them any more."""
        for name in self.text:
            while self._read(name):
                pass
        for end in [*self.ends.values(), *self.held]:
            os.close(end)

    def reply(self, token: str, *, in_time: bool) -> dict[str, Any]:
        """Say how the check ended. Only a report with the token can say that all went well."""
        code = self.codes[self.children[-1]]
        answer: dict[str, Any] = {}
        try:
            answer = json.loads(bytes(self.text["report"]))
            problem = answer["problem"]
            kind = problem and str(problem["type"])
            trusted = answer.get("token") == token
        except (ValueError, KeyError, TypeError, RecursionError):
            problem, kind, trusted = None, None, False
        if not in_time or code == -signal.SIGXCPU:
            status, problem = "timeout", None
        elif problem:
            status = "memory" if kind == "MemoryError" else "error"
        elif trusted:
            status = "ok"
        elif code < 0:
            status, problem = "killed", {"type": signal.Signals(-code).name, "message": ""}
        elif code == 70:
            status, problem = "memory", {"type": "MemoryError", "message": "out of memory"}
        else:
            status = "error"
            problem = {"type": "EarlyExit", "message": f"it exited with {code} before its end"}
        reply = {"status": status, "problem": problem, "cpu": self.cpu}
        if trusted:
            reply |= {name: answer[name] for name in ("value", "tests") if name in answer}
        for name in ("stdout", "stderr"):
            reply[name] = bytes(self.text[name]).decode("utf-8", "replace")
        return reply

    def _running(self) -> bool:
        child = self.children[-1]
        return child not in self.codes and not self._collect(child, os.WNOHANG)

    def _collect(self, child: int, options: int) -> bool:
        """Reap one child if it has ended, and add its processor time."""
        done, status, usage = os.wait4(child, options)
        if done:
            self.codes[child] = os.waitstatus_to_exitcode(status)
            self.cpu += usage.ru_utime + usage.ru_stime
        return bool(done)

    def _read(self, name: str) -> bool:
        """Read what is there; return False at the end of it. Of output the last part is kept."""
        try:
            piece = os.read(self.ends[name], 1 << 16)
        except BlockingIOError:
            return False
        held = self.text[name]
        if name == "report":
            held += piece if len(held) < REPORT_BYTES else b""
        else:
            held += piece
            del held[: max(0, len(held) - OUTPUT_BYTES)]
        return bool(piece)

    def _give_orders(self, poll: select.poll, event: int) -> None:
        """Send the next part of tests and token; stop when all is sent or nobody listens."""
        try:
            sent = os.write(self.ends["orders"], self.orders[: 1 << 16])
        except BlockingIOError:
            return
        except OSError:
            sent = len(self.orders)
        self.orders = self.orders[sent:]
        if not self.orders:
            poll.unregister(self.ends["orders"])
