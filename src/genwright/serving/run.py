"""Run the server until it is told to end.

SIGTERM and SIGINT end it gracefully: no connection is taken any more, requests in flight are
finished within the time that one request may take, then the process ends with 0.
"""

import resource
import signal
import socket
import sys
from typing import Any

import uvicorn

from genwright.core import InvalidArgument, UserError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound; port 0 takes a free one.

    Raises:
        UserError: the port is in use or not allowed, or the host is none of this machine's.
    """
    if not 0 <= port < 65536:
        raise InvalidArgument(f"serve: port must be 0 to 65535, got {port}.")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, proto)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(2048)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another with "
            "--port (0 takes a free one), or end what holds it."
        ) from error
    return made


def run(app: Any, made: socket.socket, *, drain: float) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        app: of `create_app`.
        made: of `listen`.
        drain: seconds that requests in flight are given to finish.
    """
    _allow_connections()
    config = uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=int(drain) or 1, server_header=False
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal again once it has drained: it has then done its work
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    server.run(sockets=[made])
    if not server.started:
        sys.exit(1)


def _allow_connections() -> None:
    """Have as many connections open as the system allows; idle ones would soon use up the rest."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
