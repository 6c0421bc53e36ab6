"""Requests on their way through the engine: admission, preparation, events on the event loop.

The engine decodes in a thread of its own and calls back after every event; nothing here waits in a
thread for a draw, so a thousand open requests cost no thread. Reading a prompt happens in one
thread (tokenizers are not made for many), compiling a constraint in a thread of its own with a time
limit, because a schema can be made that takes minutes.

A request is taken on only if its draws fit the slots and the queue; otherwise it is told when to
come again. A draw counts until the engine has handed it back, also when its client is long gone.
"""

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from genwright.core import ConstraintError, InvalidArgument
from genwright.generators.language.local import LocalLM, Prompt
from genwright.generators.language.request import Ticket
from genwright.serving.faults import ApiError
from genwright.serving.jobs import Job
from genwright.serving.metrics import Clock, Metrics

R = TypeVar("R")

COMPILING = 4
"""Constraints that are compiled at once; one that never ends keeps its place."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes on.

    Args:
        queue: draws that may wait for a slot.
        seconds: the longest that one request may take, its answer's delivery included.
        body: bytes of a request.
        body_seconds: the longest that a request may take to arrive.
        compile_seconds: the longest that a constraint may take to compile.
    """

    queue: int = 256
    seconds: float = 600.0
    body: int = 10_000_000
    body_seconds: float = 60.0
    compile_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("queue", "seconds", "body", "body_seconds", "compile_seconds"):
            least = 0 if name == "queue" else 1e-3
            if not least <= getattr(self, name) < math.inf:
                raise InvalidArgument(
                    f"serve: {name} must be {least:g} or more, got {getattr(self, name)}."
                )


class Service:
    """One model for all requests.

    Args:
        lm: what is served; its settings are those of a request that does not say.
        limits: what is taken on.
    """

    def __init__(self, lm: LocalLM, limits: Limits) -> None:
        self.lm, self.limits = lm, limits
        vocabulary = lm.vocabulary  # reads the weights now, not in the first request
        self.size = len(vocabulary)
        self.context = lm.context
        self._longest = max(32, *map(len, vocabulary.tokens))
        self._most = lm.batch + limits.queue
        self._open = 0
        self._seconds = 1.0
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="genwright-prompts")
        self._places = asyncio.Semaphore(COMPILING)
        self.metrics = Metrics(
            slots=lm.batch, running=lambda: self.running, waiting=lambda: self.waiting
        )

    @property
    def running(self) -> int:
        """Draws that hold a slot."""
        return min(self._open, self.lm.batch)

    @property
    def waiting(self) -> int:
        """Draws that wait for a slot."""
        return max(0, self._open - self.lm.batch)

    async def read(
        self, lm: LocalLM, prompts: Sequence[Prompt], most: int | None
    ) -> list[list[int]]:
        """Return the token ids of the prompts.

        Args:
            lm: how they are to be read.
            prompts: texts, messages or token ids.
            most: the new tokens that were asked for; None where the request does not say.

        Raises:
            ApiError: one that leaves no room for an answer of that length.
        """
        found: list[list[int]] = []
        for prompt in prompts:
            least = len(_text(prompt).encode()) // self._longest
            if least >= self.context:  # a text this long is not worth the time to read it
                raise self._too_long(f"at least {least}", most)
            ids = await self.apart(lambda prompt=prompt: _encode(lm, prompt))
            if len(ids) + (most or 1) > self.context:
                raise self._too_long(str(len(ids)), most)
            if not all(0 <= token < self.size for token in ids):
                raise ApiError(
                    400, f"prompt: token ids must be 0 to {self.size - 1}.", param="prompt"
                )
            found.append(ids)
        return found

    async def apart(self, work: Callable[[], R]) -> R:
        """Return what `work` returns, done in the one thread that may use the tokenizer."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    async def begin(
        self,
        lm: LocalLM,
        prompts: Sequence[Sequence[int]],
        n: int,
        seed: int,
        clock: Clock,
        param: str,
    ) -> "Job":
        """Hand the draws to the engine.

        Args:
            lm: the settings and constraints.
            prompts: token ids.
            n: draws for each.
            seed: the same for each.
            clock: of the request.
            param: the field that the constraints come from.

        Raises:
            ApiError: the queue is full, or a constraint cannot be compiled in time.
        """
        self._admit(len(prompts) * n)
        taken = len(prompts) * n
        try:
            tickets = await self._submit(lm, prompts, n, seed, param)
            taken = 0
        finally:
            self._open -= taken
        return Job(tickets, n, clock, self.done)

    def done(self, draws: int, seconds: float = 0.0) -> None:
        """Note draws that the engine has handed back, after how many seconds."""
        self._open -= draws
        if seconds:
            self._seconds += 0.1 * (seconds - self._seconds)

    def close(self) -> None:
        """End the thread that reads prompts."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def check_size(self, draws: int) -> None:
        """Look whether one request may make so many draws at all.

        Raises:
            ApiError: more than slots and queue hold, however long it waits.
        """
        if draws > self._most:
            raise ApiError(
                400,
                f"n: one request may make {self._most} draws in all on this server, got {draws}.",
                param="n",
            )

    def _admit(self, draws: int) -> None:
        if self._open + draws > self._most:
            wait = math.ceil(self._seconds * (1 + self.waiting / self.lm.batch))
            wait = min(max(wait, 1), 120)
            raise ApiError(
                429,
                f"The queue is full: {self.waiting} draws wait and at most {self.limits.queue} "
                f"may. Try again in {wait} s.",
                code="queue_full",
                retry_after=wait,
            )
        self._open += draws

    async def _submit(
        self, lm: LocalLM, prompts: Sequence[Sequence[int]], n: int, seed: int, param: str
    ) -> list[Ticket]:
        def submit() -> list[Ticket]:
            return [lm.submit(ids, n, seed=seed, watch=True) for ids in prompts]

        if not lm.constraints:
            return submit()
        limit = self.limits.compile_seconds
        try:
            async with asyncio.timeout(limit):
                await self._places.acquire()
        except TimeoutError:
            raise ApiError(
                429, "Too many constraints are being compiled. Try again soon.", retry_after=5
            ) from None
        loop = asyncio.get_running_loop()

        def release(_: Future[list[Ticket]]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._places.release)

        answer: Future[list[Ticket]] = Future()
        answer.add_done_callback(release)
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled
        threading.Thread(
            target=_finish, args=(answer, submit), name="genwright-compile", daemon=True
        ).start()
        try:
            async with asyncio.timeout(limit):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            answer.add_done_callback(_drop)
            raise ApiError(
                400,
                f"{param}: compiling it took more than {limit:g} s; make it smaller.",
                param=param,
                code="invalid_constraint",
            ) from None
        except asyncio.CancelledError:
            answer.add_done_callback(_drop)
            raise
        except (ConstraintError, ValueError, RecursionError) as error:
            raise ApiError(
                400, f"{param}: {error}", param=param, code="invalid_constraint"
            ) from error

    def _too_long(self, size: str, most: int | None) -> ApiError:
        wanted = "" if most is None else f" and max_tokens asks for {most} more"
        return ApiError(
            400,
            f"This model's context length is {self.context} tokens, but the prompt has {size}"
            f"{wanted}. Shorten the prompt or lower max_tokens.",
            param="prompt" if most is None else "max_tokens",
            code="context_length_exceeded",
        )


def _encode(lm: LocalLM, prompt: Prompt) -> list[int]:
    """Read one prompt.

    Raises:
        ApiError: the chat template refuses the messages, or there is none.
    """
    try:
        return lm.encode(prompt)
    except InvalidArgument as error:
        raise ApiError(400, str(error), param="messages") from error
    except Exception as error:
        if type(error).__module__.startswith("jinja2"):
            said = f"messages: the model's chat template refuses them: {error}."
            raise ApiError(400, said, param="messages") from error
        raise


def _text(prompt: Prompt) -> str:
    """Return the text of a prompt; token ids have none."""
    if isinstance(prompt, str):
        return prompt
    return "".join(part["content"] for part in prompt if isinstance(part, Mapping))


def _finish(answer: Future[list[Ticket]], submit: Callable[[], list[Ticket]]) -> None:
    """Compile and submit; whatever happens is the answer."""
    try:
        tickets = submit()
    except BaseException as error:
        answer.set_exception(error)
    else:
        answer.set_result(tickets)


def _drop(answer: Future[list[Ticket]]) -> None:
    """Cancel what was submitted too late for anybody to read it."""
    if answer.exception() is None:
        for ticket in answer.result():
            ticket.cancel()
