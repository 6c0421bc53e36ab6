"""An endpoint on loopback that speaks the real OpenAI protocol with scripted answers and faults.

For tests of clients: real sockets, real HTTP, real server-sent events, and every fault that a
network or a busy server shows. It records what it was sent.

    with ScriptedEndpoint(["Paris"], faults={0: Fault("status", status=429)}) as url:
        ...  # the first request is refused, the second is answered
"""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

from genwright.testing import protocol
from genwright.testing.protocol import Reply

Script = Sequence[str | Reply] | Callable[[Mapping[str, Any]], str | Reply]
JSON = "application/json"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Args:
        kind: `"status"` answers with an error status; `"hang"` never answers; `"slow"` waits, then
            answers; `"malformed"` answers with broken JSON; `"truncated"` ends in mid-body (or in
            mid-stream); `"wrong_schema"` answers with JSON of another kind; `"reset"` drops the
            connection.
        status: of `"status"`.
        retry_after: value of the header `Retry-After`, as it is sent.
        seconds: how long `"slow"` waits.
        message: what the error body says.
    """

    kind: Literal["status", "hang", "slow", "malformed", "truncated", "wrong_schema", "reset"]
    status: int = 500
    retry_after: str = ""
    seconds: float = 0.0
    message: str = "a scripted fault"


@dataclass(frozen=True)
class Request:
    """One request as it arrived.

    Args:
        path: such as `/v1/chat/completions`.
        headers: by lower-case name.
        body: parsed JSON, or None.
        at: `time.monotonic()` when it arrived.
    """

    path: str
    headers: Mapping[str, str]
    body: Any
    at: float


@dataclass
class ScriptedEndpoint:
    """A server that lives as long as its `with` block, which gives its base URL.

    Args:
        replies: a function of the request's body, asked for each choice; or a list that is served
            in the order of arrival. A request past the end of a list is answered 500, and leaving
            the block raises.
        faults: by number of the completion request, from 0, or a function of that number.
        models: what it serves; others are answered 404.
        api_key: refuses requests without it (401) where it is given.
        requests: every request that arrived, in order.
        most_at_once: the most completion requests that were in progress together.
    """

    replies: Script
    faults: Mapping[int, Fault] | Callable[[int], Fault | None] = field(default_factory=dict)
    models: Sequence[str] = ("scripted",)
    api_key: str = field(default="", repr=False)
    requests: list[Request] = field(default_factory=list[Request], init=False)
    most_at_once: int = field(default=0, init=False)

    def __enter__(self) -> str:
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._now = self._arrived = self._served = self._missing = 0
        endpoint = self

        class Handler(_Handler):
            script = endpoint

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.01,), daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server.

        Raises:
            AssertionError: more replies were asked for than the script holds.
        """
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self._missing and kind is None:
            raise AssertionError(
                f"ScriptedEndpoint: {self._missing} replies were asked for beyond the "
                f"{self._served} of the script."
            )

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the completion requests, in the order of arrival."""
        return [request.body for request in self.requests if request.body is not None]

    @property
    def closed(self) -> bool:
        """Whether the `with` block was left."""
        return self._closing.is_set()

    def arrive(self) -> Fault | None:
        """Count a completion request in; return what goes wrong with it."""
        with self._lock:
            number, self._arrived = self._arrived, self._arrived + 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        return self.faults(number) if callable(self.faults) else self.faults.get(number)

    def leave(self) -> None:
        """Count a completion request out."""
        with self._lock:
            self._now -= 1

    def take(self, body: Mapping[str, Any]) -> list[Reply] | None:
        """Return the replies of one request, or None past the end of the script."""
        n = int(body.get("n") or 1)
        if callable(self.replies):
            taken = [self.replies(body) for _ in range(n)]
        else:
            with self._lock:
                taken = self.replies[self._served : self._served + n]
                self._missing += n - len(taken)
                self._served += len(taken)
        if len(taken) < n:
            return None
        return [reply if isinstance(reply, Reply) else Reply(reply) for reply in taken]

    def wait(self, seconds: float | None = None) -> None:
        """Wait, but no longer than the server lives."""
        self._closing.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    """One connection. `script` is the endpoint it belongs to."""

    script: ScriptedEndpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; tests read `requests`."""

    def do_GET(self) -> None:
        self._record(None)
        if self._refused():
            return
        if self.path == "/v1/models":
            self._json(200, protocol.models(self.script.models))
        else:
            self._json(404, protocol.error(f"no such path: {self.path}", None))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if self.script.closed:  # a connection that was kept open outlives the server
            self.close_connection = True
            return
        self._record(body)
        fault = self.script.arrive()
        try:
            self._complete(body, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client went away
        finally:
            self.script.leave()

    def _complete(self, body: Any, fault: Fault | None) -> None:
        if fault is not None and self._went_wrong(fault):
            return
        if self._refused():
            return
        cut = fault is not None and fault.kind == "truncated"
        chat = self.path == "/v1/chat/completions"
        if not chat and self.path != "/v1/completions":
            self._json(404, protocol.error(f"no such path: {self.path}", None))
        elif wrong := protocol.complaint(body, chat):
            self._json(400, protocol.error(wrong, None))
        elif body["model"] not in self.script.models:
            message = f"The model {body['model']!r} does not exist."
            self._json(404, protocol.error(message, "model_not_found"))
        elif (replies := self.script.take(body)) is None:
            self._json(500, protocol.error("the script is at its end", None, "server_error"))
        elif body.get("stream"):
            self._stream(list(protocol.events(body, replies, chat)), cut=cut)
        else:
            text = json.dumps(protocol.answer(body, replies, chat)).encode()
            self._send(200, text, cut=cut)

    def _went_wrong(self, fault: Fault) -> bool:
        """Play a fault; return whether the request is done with."""
        if fault.kind == "status":
            code = "insufficient_quota" if "quota" in fault.message else None
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            body = json.dumps(protocol.error(fault.message, code, "server_error")).encode()
            self._send(fault.status, body, headers=headers)
        elif fault.kind == "malformed":
            self._send(200, b'{"id": "scripted-1", "choices": [{"mess')
        elif fault.kind == "wrong_schema":
            self._json(200, {"result": "ok"})
        elif fault.kind == "reset":
            # Linger of 0 seconds: closing then sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            os.close(self.connection.detach())  # at once: a plain close would first send FIN
        elif fault.kind == "hang":
            self.script.wait()
            self.close_connection = True
        else:
            self.script.wait(fault.seconds)
            return False
        return True

    def _refused(self) -> bool:
        """Answer 401 where a key is wanted and another, or none, came."""
        key = self.script.api_key
        if not key or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        self._json(401, protocol.error("Incorrect API key provided.", "invalid_api_key"))
        return True

    def _record(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.requests.append(Request(self.path, headers, body, time.monotonic()))

    def _json(self, status: int, body: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(
        self,
        status: int,
        content: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        """Send one answer; `cut` ends the connection half way through the body."""
        self.send_response(status)
        for name, value in {"Content-Type": JSON, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    def _stream(self, events: Iterable[Any], *, cut: bool) -> None:
        """Send server-sent events; `cut` ends the connection after half of them, without [DONE]."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        lines = [json.dumps(event) for event in events]
        for line in lines[: len(lines) // 2] if cut else [*lines, "[DONE]"]:
            self.wfile.write(f"data: {line}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True
