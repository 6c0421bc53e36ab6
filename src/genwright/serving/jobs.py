"""The draws of one request, as events on the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from genwright.core import Sample
from genwright.generators.language.request import Ticket, Token
from genwright.serving.metrics import Clock

Event = tuple[int, Token | Sample[str]]
"""(index of the choice, a token of it or the finished draw)."""


class Job:
    """The draws of one request: n for each of its prompts.

    Args:
        tickets: one a prompt, each with n draws.
        n: draws of a prompt. Draw k of prompt i is choice i * n + k.
        clock: told of every token.
        done: called with the number of draws that the engine has handed back, and the seconds that
            took. It is called for every draw sooner or later, also after `cancel`.
    """

    def __init__(
        self,
        tickets: Sequence[Ticket],
        n: int,
        clock: Clock,
        done: Callable[[int, float], None],
    ) -> None:
        self._tickets, self._n, self._clock, self._done = tickets, n, clock, done
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._began = time.perf_counter()
        self._called = [False] * len(tickets)
        self._left = [n] * len(tickets)
        for i, ticket in enumerate(tickets):
            ticket.on_event(lambda i=i: self._wake(i))

    async def events(self) -> AsyncIterator[Event]:
        """Yield tokens and finished draws, in the order of happening, until all are finished.

        Raises:
            Exception: what a constraint, a shaper or the network raised.
        """
        left = self._n * len(self._tickets)
        while left:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            left -= isinstance(event[1], Sample)
            yield event

    def cancel(self) -> None:
        """Give up unfinished draws, so that their slots are freed."""
        for ticket in self._tickets:
            if ticket.left:
                ticket.cancel()

    def _wake(self, i: int) -> None:
        """Have the loop read what arrived; called by the engine's thread."""
        if not self._called[i]:
            self._called[i] = True
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._read, i)

    def _read(self, i: int) -> None:
        self._called[i] = False  # first: an event that comes from now on calls again
        ticket = self._tickets[i]
        try:
            for event in ticket.arrived():
                if isinstance(event, Token):
                    index, what = event.index, event
                    if event.token is not None:
                        self._clock.token(i * self._n + index)
                else:
                    index, what = event
                self._events.put_nowait((i * self._n + index, what))
        except Exception as error:
            self._events.put_nowait(error)
        finished = self._left[i] - ticket.left
        if finished:
            self._left[i] = ticket.left
            self._done(finished, time.perf_counter() - self._began)
