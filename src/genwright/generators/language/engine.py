"""The decoding loop: the only one. Everything that draws from a token model draws through it.

The loop runs in a thread of its own, round after round (`rounds.py`), for draws of whatever call or
thread they came from (continuous batching; Yu et al. 2022, "Orca", OSDI).

Draws of one prompt share its prefill and its keys and values (`prompts.py`).

Position i of draw k of a request uses the number `uniform(child_seed(seed, k), i)` and nothing else
that is random, so a draw does not depend on what else is in the batch, beyond rounding: a batch of
another size may add up the same products in another order. In float32 that seldom
changes a token, oftenest where the odds are nearly flat over the vocabulary; in bfloat16 it does
now and then, so compare bfloat16 draws statistically.

Guesses of what a draw will write may be evaluated ahead (`drafting.py`); they change no draw.

Draws in the modes `asap` and `exact` (`walks.py`) go through the same rounds: where other draws
choose a token, they learn a row and are told which prefix to read next (`walking.py`).

The order of steering at a position: shapers, then the mask of all constraints, then temperature,
top-k, top-p, min-p (`steered.py`). Masks are computed in another thread while the network runs.
Log-probabilities are those of the model itself, before any of that (`scoring.py`).
"""

import atexit
import threading
import weakref
from collections import deque

import torch

from genwright.core import InvalidArgument, TokenModel
from genwright.generators.language.prompts import Predictor
from genwright.generators.language.request import Request, Ticket
from genwright.generators.language.rounds import Rounds

IDLE = 10.0
"""Seconds without work after which the engine's thread ends; the next request starts another."""


class Engine:
    """Draws from one model for any number of callers.

    Args:
        model: the token model. Only the engine's own thread calls it.
        batch: the most draws that run together.
        prompts: how many prompts are kept for reuse.
        piece: the most prompt tokens a round reads, so that running draws are not held up.
        threads: of torch, in the engine's thread; None leaves torch's own choice.
        predictor: reads the prompts of requests with `prefill="predicted"`.
    """

    def __init__(
        self,
        model: TokenModel,
        *,
        batch: int = 64,
        prompts: int = 16,
        piece: int = 512,
        threads: int | None = None,
        predictor: Predictor | None = None,
    ) -> None:
        for name, value in (("batch", batch), ("prompts", prompts), ("piece", piece)):
            if value < 1:
                raise InvalidArgument(f"Engine: {name} must be 1 or more, got {value}.")
        self.model = model
        self._threads = threads
        self._rounds = Rounds(model, batch, prompts, piece, predictor)
        self._prefills = ("exact",) if predictor is None else ("exact", "predicted")
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._inbox: deque[Ticket] = deque()
        _engines.add(self)

    def submit(self, request: Request) -> Ticket:
        """Queue a request; any thread may. Returns at once.

        Raises:
            InvalidArgument: the prompt leaves no room for a token, or the engine is closed, or has
                no predictor where one is asked for.
        """
        if len(request.prompt) >= self.model.context:
            raise InvalidArgument(
                f"The prompt has {len(request.prompt)} tokens; the model reads at most "
                f"{self.model.context - 1} and needs room for one more. Shorten the prompt."
            )
        if request.prefill not in self._prefills:
            raise InvalidArgument(
                f"prefill must be one of {', '.join(self._prefills)}, got {request.prefill!r}; "
                "'predicted' needs a predictor, which FitKVPredictor makes."
            )
        ticket = Ticket(request, self._cancel)
        with self._changed:
            if self._closed:
                raise InvalidArgument("The engine is closed: make another.")
            self._inbox.append(ticket)
            self._changed.notify_all()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="genwright-engine", daemon=True
                )
                self._thread.start()
        return ticket

    def close(self) -> None:
        """End the thread after its round; unfinished requests are cancelled."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._rounds.close()

    def _cancel(self, ticket: Ticket) -> None:
        with self._changed:
            self._changed.notify_all()

    # The engine's own thread.

    @torch.inference_mode()
    def _run(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        while True:
            with self._changed:
                while not self._closed and not self._busy():
                    if not self._changed.wait(IDLE) and not self._busy():
                        self._thread = None
                        return
                arrived = list(self._inbox)
                self._inbox.clear()
                closed = self._closed
            try:
                for ticket in arrived:
                    self._rounds.admit(ticket)
                if closed:
                    self._abandon(None)
                    return
                self._rounds.drop_cancelled()
                self._rounds.run()
            except Exception as error:  # the callers must hear of it, and the next ones be served
                self._abandon(error)

    def _busy(self) -> bool:
        return bool(self._inbox) or self._rounds.busy

    def _abandon(self, error: Exception | None) -> None:
        """Hand everybody the error, or what they have when the engine closes; start afresh."""
        with self._changed:
            late = [] if error is not None else list(self._inbox)
        told = error or InvalidArgument("The engine was closed before the draw ended.")
        for ticket in [*self._rounds.abandon(), *late]:
            ticket.put(told)


_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_engines):
        engine.close()
