"""The door of the server: who may come in, how much they may bring, and what is counted.

It stands before everything else, so that a stranger's body is never read and a body over the limit
never parsed. It is plain ASGI: middleware that wraps requests would hide a client that goes away.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genwright.serving.attend import ENDED
from genwright.serving.faults import ApiError
from genwright.serving.metrics import Metrics
from genwright.serving.service import Limits

OPEN = ("/health",)
"""Paths that need no key: what a load balancer asks."""

DISCARD_SECONDS = 10.0
"""How long the rest of a refused body is still read, so that its sender gets to see the answer."""


class Gate:
    """Checks the key, reads the body within limits, and counts answers.

    Args:
        app: what comes after it.
        key: what `Authorization: Bearer` must hold; `""` lets everybody in.
        limits: of bodies.
        metrics: where answers are counted.
        paths: those that are counted by name.
    """

    def __init__(
        self, app: ASGIApp, *, key: str, limits: Limits, metrics: Metrics, paths: frozenset[str]
    ) -> None:
        self.app, self.limits, self.metrics, self.paths = app, limits, metrics, paths
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._enter(scope, receive, noted)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            status = scope.get(ENDED, status)
            self.metrics.answered(path, status, time.perf_counter() - began)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        try:
            if scope["path"] not in OPEN:
                self._check_key(headers.get(b"authorization", b""))
            body = await self._body(headers.get(b"content-length", b""), receive)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        except ConnectionError:
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, replay, send)

    def _check_key(self, header: bytes) -> None:
        if not self._key:
            return
        scheme, _, given = header.partition(b" ")
        # compared in constant time, so that an answer's delay tells nothing of the key
        if not hmac.compare_digest(given.strip(), self._key) or scheme.lower() != b"bearer":
            came = "a key that is not accepted" if given else "no key"
            raise ApiError(
                401,
                f"The request brought {came}; send the header Authorization: Bearer KEY.",
                code="invalid_api_key",
            )

    async def _body(self, length: bytes, receive: Receive) -> bytes:
        """Read the whole body.

        Raises:
            ApiError: it is too large, or takes too long to arrive.
            ConnectionError: the client went away before its end.
        """
        most, seconds = self.limits.body, self.limits.body_seconds
        kept = bytearray()
        parts = _parts(receive)
        too_large = length.isdigit() and int(length) > most
        try:
            async with asyncio.timeout(seconds):
                while not too_large and (part := await anext(parts, None)) is not None:
                    kept += part
                    too_large = len(kept) > most
        except TimeoutError:
            raise ApiError(408, f"The body took more than {seconds:g} s to arrive.") from None
        if not too_large:
            return bytes(kept)
        kept.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                async for _ in parts:
                    pass
        raise ApiError(
            413, f"The body is larger than {most:,} bytes, the most that is read.", code="too_large"
        )


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        yield message.get("body", b"")
        if not message.get("more_body"):
            return
