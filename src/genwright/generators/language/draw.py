"""One draw on its way through the engine: what it has written, what it costs, when it ends."""

import codecs
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import (
    Chunk,
    ConstraintState,
    Cost,
    DraftState,
    Sample,
    ShaperState,
    Vocabulary,
    child_seed,
)
from genwright.generators.language.request import Ticket, Token
from genwright.generators.language.walks import WALKS, Walk


@dataclass
class Spent:
    """A cost under way."""

    prompt_tokens: int = 0
    network_evaluations: int = 0
    seconds: float = 0.0


@dataclass(eq=False)
class Draw:
    """The state of one draw. `pending` are chosen tokens that the network has not seen yet."""

    ticket: Ticket
    index: int
    vocabulary: Vocabulary
    states: list[ConstraintState]
    shapers: list[ShaperState]
    limit: int
    cache: Any = None
    prompt: Any = None
    pending: list[int] = field(default_factory=list[int])
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    tops: list[list[tuple[int, float]]] = field(default_factory=list[list[tuple[int, float]]])
    end_logprob: float | None = None
    masked_mass: float = 0.0
    forced: int = 0
    finish: str = ""
    mask: NDArray[np.bool_] | None = None
    spent: Spent = field(default_factory=Spent)
    data: bytearray = field(default_factory=bytearray)
    cut: int | None = None
    guesser: DraftState | None = None
    beam: Any = None
    """The search that this draw is a hypothesis of."""
    shown: int = 0

    def __post_init__(self) -> None:
        request = self.ticket.request
        self.sampling = request.sampling
        self.seed = child_seed(request.seed, self.index)
        self.stops = [text.encode() for text in self.sampling.stop]
        self.utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self.scored_only = request.scripts is not None
        self.walk: Walk | None = None
        if self.sampling.mode != "mask" and self.states and not self.scored_only:
            self.walk = WALKS[self.sampling.mode](request.trie, self.seed)

    @property
    def accepting(self) -> bool:
        """Whether every constraint lets the draw end here."""
        return all(state.accepting for state in self.states)

    def allowed(self) -> NDArray[np.bool_]:
        """Return bool[V]: what all constraints allow next. Not to be written to."""
        if self.mask is None:
            self.mask = self.states[0].mask()
            for state in self.states[1:]:
                self.mask = self.mask & state.mask()
        return self.mask

    def take(self, token: int, score: float) -> None:
        """Write a token that was chosen, with its log-probability; an end token ends the draw."""
        if token in self.vocabulary.eos:
            self.end_logprob = score
            self.finish = "stop"
            return
        self.logprobs.append(score)
        self.append(token)
        self.append_forced()

    def append(self, token: int) -> None:
        """Write one token, chosen or forced, and look whether the draw ends with it."""
        self.mask = None
        for state in self.states:
            state.advance(token)
        for shaper in self.shapers:
            shaper.advance(token)
        self.tokens.append(token)
        self.pending.append(token)
        piece = self.vocabulary.tokens[token]
        self.data += piece
        if self.stops and piece:
            self._look_for_stop(len(piece))
        if self.walk is not None:  # what it writes may be taken back
            return
        if not self.finish and len(self.tokens) >= self.limit:
            self.finish = "length"
        if self.ticket.request.watch:
            self._show(token)

    def append_forced(self) -> None:
        """Write the tokens that the constraints leave no choice about; end where only ends fit."""
        while self.states and not self.finish:
            run = next((run for state in self.states if (run := state.forced())), [])
            if not run:
                break
            for token in run:
                if len(self.states) > 1 and not self.allowed()[token]:
                    self.finish = "constraint"
                if self.finish:
                    break
                self.append(token)
                self.forced += 1
        if self.states and not self.finish and self.accepting:
            ends = list(self.vocabulary.eos)
            allowed = self.allowed()
            if allowed[ends].any() and allowed.sum() == allowed[ends].sum():
                self.finish = "stop"

    def _look_for_stop(self, fresh: int) -> None:
        """Cut the text before the earliest stop string that the fresh bytes complete."""
        for stop in self.stops:
            at = self.data.find(stop, max(0, len(self.data) - fresh - len(stop) + 1))
            if at >= 0 and (self.cut is None or at < self.cut):
                self.cut, self.finish = at, "stop"

    def _show(self, token: int | None) -> None:
        end = len(self.data) if self.cut is None else self.cut
        if not self.finish:
            end -= _held_back(self.data, self.stops)
        text = self.utf8.decode(bytes(self.data[self.shown : end]), final=bool(self.finish))
        self.shown = max(self.shown, end)
        if text or token is not None:
            self.ticket.put(Token(self.index, token, text))

    def result(self, seconds_to_joules: float) -> Sample[str]:
        """Return the finished draw."""
        if self.walk is not None and self.finish != "stop":  # where it stood was not what it drew
            self.tokens.clear()
            self.data.clear()
        if self.ticket.request.watch:
            for token in self.tokens if self.walk is not None else ():
                self._show(token)
            self._show(None)
        scored = len(self.logprobs) == len(self.tokens)
        info: dict[str, Any] = {
            "tokens": list(self.tokens),
            "finish_reason": self.finish,
            "complete": self._complete(),
            "forced_tokens": self.forced,
            "masked_mass": self.masked_mass,
            "seed": self.seed,
        }
        if self.walk is not None:
            info |= self.walk.info()
        if self.end_logprob is not None:
            info["end_logprob"] = self.end_logprob
        if self.sampling.logprobs is not None or self.scored_only:
            info["token_logprobs"] = list(self.logprobs)
        if self.sampling.logprobs:
            info["top_logprobs"] = [dict(top) for top in self.tops]
        cost = Cost(
            draws=1,
            prompt_tokens=self.spent.prompt_tokens,
            new_tokens=len(self.tokens),
            network_evaluations=self.spent.network_evaluations,
            seconds=self.spent.seconds,
            joules=self.spent.seconds * seconds_to_joules,
            joules_by="estimated" if self.spent.seconds else "",
        )
        text = bytes(self.data[: self.cut]).decode("utf-8", "replace")
        if self.walk is not None:
            scored = self.finish == "stop"
        logprob = sum(self.logprobs) + (self.end_logprob or 0.0) if scored else None
        return Sample(text, logprob, cost, info)

    def _complete(self) -> bool:
        if self.walk is not None:
            return self.finish == "stop"
        if self.finish in ("constraint", "cancelled"):
            return False
        if self.finish == "length":
            return bool(self.states) and self.accepting
        return self.accepting


def _held_back(data: bytearray, stops: Sequence[bytes]) -> int:
    """Return the length of the longest ending of `data` that could begin a stop string."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    for size in range(min(longest, len(data)), 0, -1):
        tail = bytes(data[-size:])
        if any(stop.startswith(tail) for stop in stops):
            return size
    return 0


def charge(chunks: Sequence[Chunk], owners: Sequence[Any], seconds: float) -> None:
    """Share the time of a step by tokens."""
    total = sum(len(chunk.tokens) for chunk in chunks)
    for chunk, owner in zip(chunks, owners, strict=True):
        owner.spent.network_evaluations += 1
        owner.spent.seconds += seconds * len(chunk.tokens) / total


def find_masks(draws: Sequence[Draw]) -> None:
    """Find the masks of draws, where that can be done beside other work."""
    for draw in draws:
        with suppress(Exception):  # raised again, in the draw's own request, when it is asked for
            draw.allowed()
