"""Prompts read in one process, answers written in another; keys and values cross shared memory.

Choose it to see on one machine what `cluster` simulates for many: prompts that are read elsewhere
no longer hold up the answers that are being written. Where cores share one memory, as on a laptop,
it also shows what that costs.

Patel et al. 2023, "Splitwise: Efficient Generative LLM Inference Using Phase Splitting",
arXiv:2311.18677, Section 4.1. Ours: two processes of one machine; how the cache travels is in
`delivery`. The first token is chosen by the process that writes, after the transfer.
"""

import multiprocessing
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from genwright.core import Chunk, GenwrightError, InvalidArgument, TokenModel
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request, Token
from genwright.generators.language.sampling import Sampling
from genwright.serving.delivery import Delivered, pack


@dataclass(frozen=True, kw_only=True)
class Order:
    """One request.

    Args:
        at: seconds after the beginning.
        tokens: of the prompt.
        new: tokens to write.
    """

    at: float
    tokens: tuple[int, ...]
    new: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one request.

    Args:
        tokens: written ones.
        times: seconds after its arrival, one a token.
    """

    tokens: tuple[int, ...]
    times: tuple[float, ...]


def replay(
    lm: LocalLM, orders: Sequence[Order], roles: Literal["split", "mixed"], seed: int = 0
) -> list[Answer]:
    """Answer requests in real time with two worker processes of one thread each.

    Args:
        lm: the model and how it samples; read anew by every worker, in float32.
        orders: in the order of time.
        roles: `"split"`: one worker reads prompts, the other writes. `"mixed"`: both do both, and a
            request goes to the one with fewer tokens left to read and write.
        seed: of the draws; request i uses `child_seed`'s draw 0 of seed + i.

    Returns:
        One answer a request, in the same order.
    """
    if not orders:
        raise InvalidArgument("replay: needs at least one order.")
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    inboxes = [context.Queue(), context.Queue()]
    results, ready = context.Queue(), context.Queue()
    settings = (lm.model, lm.temperature, seed)
    jobs: list[Any] = [(_write, (settings, inbox, results, ready)) for inbox in inboxes]
    if roles == "split":
        jobs[0] = (_read, (settings, *inboxes, ready))
    workers = [context.Process(target=work, args=given, daemon=True) for work, given in jobs]
    for worker in workers:
        worker.start()
    try:
        for _ in workers:
            ready.get(timeout=300)
        return _play(orders, roles, inboxes, results, workers)
    finally:
        for inbox in inboxes:
            inbox.put(None)
        for worker in workers:
            worker.join(10)
            worker.kill()


def _play(
    orders: Sequence[Order], roles: str, inboxes: Sequence[Any], results: Any, workers: Any
) -> list[Answer]:
    """Send every request when its time has come, and gather the answers."""
    load, place = [0, 0], dict[int, int]()
    found: dict[int, Answer] = {}
    began = time.monotonic()
    sent = 0
    while len(found) < len(orders):
        now = time.monotonic() - began
        while sent < len(orders) and orders[sent].at <= now:
            order = orders[sent]
            where = 0 if roles == "split" else load.index(min(load))
            load[where] += len(order.tokens) + order.new
            place[sent] = where
            inboxes[where].put((sent, order, None))
            sent += 1
        wait = 1.0 if sent == len(orders) else max(0.0, orders[sent].at - now)
        try:
            i, tokens, times = results.get(timeout=min(wait, 1.0))
        except queue.Empty:
            dead = [worker for worker in workers if worker.exitcode is not None]
            if dead:
                raise GenwrightError(f"replay: a worker ended with {dead[0].exitcode}") from None
            continue
        load[place[i]] -= len(orders[i].tokens) + orders[i].new
        times = tuple(at - began - orders[i].at for at in times)
        found[i] = Answer(tokens=tuple(tokens), times=times)
    return [found[i] for i in range(len(orders))]


def _model(settings: tuple[str, float, int]) -> TokenModel:
    torch.set_num_threads(1)
    return LocalLM(model=settings[0], dtype="float32", threads=1).token_model


def _read(settings: tuple[str, float, int], inbox: Any, writer: Any, ready: Any) -> None:
    """The process that reads prompts."""
    model = _model(settings)
    ready.put("reader")
    while (item := inbox.get()) is not None:
        i, order, _ = item
        cache = model.new_cache()
        logits = model.step([Chunk(cache, order.tokens)])
        writer.put((i, order, pack(order.tokens, cache, logits)))
        model.release(cache)


def _write(settings: tuple[str, float, int], inbox: Any, results: Any, ready: Any) -> None:
    """The process that writes answers, and reads the prompts that come without a parcel."""
    _, temperature, seed = settings
    model = Delivered(_model(settings))
    # a prompt must be read in one piece, or the first of several would be computed here
    engine = Engine(model, piece=model.context, threads=1)
    ready.put("writer")
    while (item := inbox.get()) is not None:
        i, order, parcel = item
        if parcel is not None:
            model.deliver(parcel)
        sampling = Sampling(temperature=temperature, max_new_tokens=order.new)
        request = Request(prompt=order.tokens, seed=seed + i, sampling=sampling, watch=True)
        _Following(i, engine.submit(request), results)
    engine.close()


class _Following:
    """Notes on the engine's own thread when each token of one request comes."""

    def __init__(self, i: int, ticket: Any, results: Any) -> None:
        self.i, self.ticket, self.results = i, ticket, results
        self.times: list[float] = []
        ticket.on_event(self.look)

    def look(self) -> None:
        """Read what has arrived; the end hands everything over."""
        for event in self.ticket.arrived():
            if isinstance(event, Token):
                if event.token is not None:
                    self.times.append(time.monotonic())
            else:
                tokens = event[1].info["tokens"]
                self.results.put((self.i, tokens, self.times[: len(tokens)]))
