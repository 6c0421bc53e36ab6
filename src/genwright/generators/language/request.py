"""What the engine is asked for (`Request`), and where its answers arrive (`Ticket`)."""

import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from genwright.core import CompiledConstraint, DraftSource, InvalidArgument, LogitShaper, Sample
from genwright.generators.language.hypotheses import Search
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.trie import Trie

Prefill = Literal["exact", "predicted"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """n draws that continue one prompt.

    Args:
        prompt: token ids, at least one.
        n: how many draws.
        seed: draw k uses `child_seed(seed, k)`.
        first: index of the first draw.
        sampling: how tokens are chosen.
        constraints: a draw satisfies all of them.
        shapers: change the odds before the constraints mask them, in this order.
        drafts: guesses tokens ahead, so that one step can check many; changes no draw, and has no
            part in the modes that learn.
        scripts: instead of sampling, follow these tokens, one list a draw, to learn their
            log-probabilities.
        search: instead of sampling, keep hypotheses and choose among them together; draw k is the
            k-th best it found. It has its own way with constraints, and takes neither those of
            the request, nor shapers, drafts and scripts; of `sampling` only the token limit counts.
        watch: whether the ticket reports every token as it is chosen (in the modes `asap` and
            `exact`, where tokens are taken back, once the draw has ended).
        trie: what is known of these constraints under this prompt, model and temperature, for the
            modes that learn; a new one where it is left out.
        prefill: "exact", or "predicted": the prompt is read by the engine's predictor, with some
            loss. Not in the modes that learn.
    """

    prompt: Sequence[int]
    n: int = 1
    seed: int = 0
    first: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    constraints: tuple[CompiledConstraint, ...] = ()
    shapers: tuple[LogitShaper, ...] = ()
    drafts: DraftSource | None = None
    scripts: Sequence[Sequence[int]] | None = None
    search: Search | None = None
    watch: bool = False
    trie: Trie = field(default_factory=Trie)
    prefill: Prefill = "exact"

    def __post_init__(self) -> None:
        if not len(self.prompt):
            raise InvalidArgument("Request: the prompt must hold at least one token, got none.")
        if self.n < 0 or self.first < 0:
            raise InvalidArgument(
                f"Request: n and first must be 0 or more, got {self.n} and {self.first}."
            )
        if self.scripts is not None and len(self.scripts) != self.n:
            raise InvalidArgument(f"Request: {self.n} draws but {len(self.scripts)} scripts.")
        if self.search is not None and (
            self.constraints or self.shapers or self.drafts is not None or self.scripts is not None
        ):
            raise InvalidArgument(
                "Request: a search chooses by itself; give it no constraints, shapers, drafts or "
                "scripts."
            )
        if self.shapers and self.sampling.mode != "mask":
            raise InvalidArgument(
                f"mode {self.sampling.mode!r} conditions the model as it is, and shapers change "
                "its odds: leave them out, or use mode='mask'."
            )
        if self.prefill != "exact" and self.sampling.mode != "mask":
            raise InvalidArgument(
                f"mode {self.sampling.mode!r} conditions the model as it is, and a predicted "
                "prompt changes its odds: use prefill='exact', or mode='mask'."
            )


@dataclass(frozen=True)
class Token:
    """One token of one draw, as it is chosen.

    Args:
        index: of the draw.
        token: its id; None when only held-back text is released at the end of the draw.
        text: what became certain: bytes of an unfinished character, and text that may yet turn out
            to begin a stop string, are held back.
    """

    index: int
    token: int | None
    text: str


Event = Token | tuple[int, Sample[str]]


class Ticket:
    """The answers to one request, as they come. Safe to read from any one thread.

    Iterating yields (index, draw) in the order of finishing. `events` yields tokens too, where the
    request asked to watch. Leaving the loop early cancels what is unfinished.
    """

    def __init__(self, request: Request, on_cancel: Callable[["Ticket"], None]) -> None:
        self.request = request
        self.cancelled = False
        self._left = request.n
        self._events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self._on_cancel = on_cancel
        self._wake: Callable[[], None] = _nobody

    @property
    def left(self) -> int:
        """How many draws have not been read to their end."""
        return self._left

    def put(self, event: Event | BaseException) -> None:
        """Hand over an event; the engine calls it."""
        self._events.put(event)
        self._wake()

    def on_event(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after every event, and once now: for readers that must not wait.

        The engine's thread calls it, so it must return at once and raise nothing.
        """
        self._wake = wake
        wake()

    def arrived(self) -> Iterator[Event]:
        """Yield the events that are there; unlike `events`, wait for none and cancel nothing."""
        while self._left:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            yield self._read(event)

    def cancel(self) -> None:
        """Give up the unfinished draws: they are handed over as they stand."""
        if not self.cancelled:
            self.cancelled = True
            self._on_cancel(self)

    def events(self) -> Iterator[Event]:
        """Yield tokens and finished draws until every draw is finished."""
        try:
            while self._left:
                yield self._read(self._events.get())
        finally:
            if self._left:
                self.cancel()

    def __iter__(self) -> Iterator[tuple[int, Sample[str]]]:
        return (event for event in self.events() if isinstance(event, tuple))

    def _read(self, event: Event | BaseException) -> Event:
        if isinstance(event, BaseException):
            self._left = 0
            raise event
        self._left -= isinstance(event, tuple)
        return event


def _nobody() -> None:
    """Nobody waits to be woken."""
