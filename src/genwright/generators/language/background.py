"""Run asynchronous work behind an ordinary iterator.

Many requests wait best in one event loop, but callers of genwright write plain loops (and may
have an event loop of their own, as notebooks do). So the loop runs in a thread; results cross over
as they come; closing the iterator cancels what still runs, at once and to the end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class _End:
    """The last item of the queue: why the work ended."""

    error: BaseException | None


def results(work: Callable[[Callable[[R], None]], Awaitable[None]]) -> Iterator[R]:
    """Yield what `work` emits, in that order; then raise what it raised, if it did.

    Args:
        work: an asynchronous function that is given `emit` and calls it once a result. It starts
            when the first result is asked for.
    """
    queue: SimpleQueue[R | _End] = SimpleQueue()
    started: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = SimpleQueue()

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        started.put((asyncio.get_running_loop(), task))
        await work(queue.put)

    def run() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(main())
        except BaseException as raised:  # also a cancellation: the reader must never wait in vain
            error = raised
        queue.put(_End(error))

    thread = Thread(target=run, name="genwright-requests", daemon=True)
    thread.start()
    loop, task = started.get()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
