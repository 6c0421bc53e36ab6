"""Work for a client as long as the client is there.

A server learns that a client went away only by listening for it. Both kinds of answers are made
here with one ear on the connection: whole ones (`until_gone`) and streams (`EventStream`).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from genwright.serving.faults import ApiError

R = TypeVar("R")

GONE = 499
"""The status that stands for a client that did not wait, as nginx counts it; nobody sees it."""


async def until_gone(receive: Receive, work: Coroutine[Any, Any, R], seconds: float) -> R:
    """Return what `work` returns; end it when the client goes away or the time is up.

    Args:
        receive: of a request whose body has been read: the next message is its disconnection.
        work: is cancelled where it is not to finish.
        seconds: how long it may take.

    Raises:
        ApiError: the client went away, or the time is up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ApiError(GONE, "The client went away.")
        raise ApiError(
            504, f"The answer took more than {seconds:g} s; ask for fewer tokens.", code="timeout"
        )
    finally:
        for pending in (task, gone):
            pending.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await pending


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


ENDED = "genwright.ended"
"""Key of the ASGI scope: the status that a stream would have had, had it not begun as 200."""

LAST_WORDS = 1.0
"""Seconds for telling a client why its stream ends early; one that does not read hears nothing."""


class EventStream(Response):
    """Server-sent events.

    Args:
        lines: the data of the events.
        close: called at the end, however it comes.
        seconds: how long the stream may take, a slow reader's time included.
        headers: further headers.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        lines: AsyncIterator[str],
        close: Callable[[], None],
        seconds: float,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", **headers})
        del self.headers["content-length"]
        self._lines, self._close, self._seconds = lines, close, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, as long as somebody listens."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await until_gone(receive, self._send(start, send), self._seconds)
        except ApiError as error:  # the status is long sent, so the stream itself must say it
            scope[ENDED] = error.status
            if error.status != GONE:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS):
                        await self._event(json.dumps(error.body), send)
                        await self._end(send)
        finally:
            self._close()

    async def _send(self, start: dict[str, Any], send: Send) -> None:
        await send(start)
        async for line in self._lines:
            await self._event(line, send)
        await self._end(send)

    async def _event(self, line: str, send: Send) -> None:
        body = f"data: {line}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _end(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
