"""The decoding loop: the only one. Everything that draws from a token model draws through it.

One round of the loop hands the model one batch of chunks: for every running draw the tokens that
the network has not seen yet (the token just chosen, tokens a constraint forced after it, perhaps a
tree of drafted guesses), and for prompts that are being read the next piece. Then it chooses the
next token of every draw whose logits arrived. Draws that end leave; waiting ones take their place,
whatever call or thread they came from (continuous batching; Yu et al. 2022, "Orca", OSDI).

Draws of one prompt share its prefill and its keys and values. Prompts that were read recently are
kept, and a new prompt starts from a copy of the longest prefix it shares with one of them.

Position i of draw k of a request uses the number `uniform(child_seed(seed, k), i)` and nothing else
that is random, so a draw does not depend on what else is in the batch, beyond rounding: a batch of
another size may add up the same products in another order. In float32 that seldom
changes a token, oftenest where the odds are nearly flat over the vocabulary; in bfloat16 it does
now and then, so compare bfloat16 draws statistically.

Draws in the modes `asap` and `exact` (`walks.py`) go through the same rounds: where other draws
choose a token, they learn a row and are told which prefix to read next.

The order of steering at a position: shapers, then the mask of all constraints, then temperature,
top-k, top-p, min-p. Masks are computed in another thread while the network runs. Log-probabilities
are those of the model itself, before any of that.
"""

import atexit
import threading
import time
import weakref
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genwright.core import Chunk, Cost, InvalidArgument, Sample, TokenModel
from genwright.generators.language import walking
from genwright.generators.language.draw import WATTS_PER_THREAD, Draw, Spent
from genwright.generators.language.request import Request, Ticket
from genwright.generators.language.sampling import totals as _totals
from genwright.generators.language.steered import pick
from genwright.generators.language.walks import Step, Walk

KEPT_TOKENS = 16_384
"""Prompts are kept for reuse up to this many tokens together (46 kB each for a model of 135M)."""
IDLE = 10.0
"""Seconds without work after which the engine's thread ends; the next request starts another."""


@dataclass(eq=False)
class _Prompt:
    """A prompt that is being read, or was: `logits` is float32[1, V] once it is ready."""

    tokens: tuple[int, ...]
    cache: Any
    done: int
    logits: Tensor | None = None
    spent: Spent = field(default_factory=Spent)


class Engine:
    """Draws from one model for any number of callers.

    Args:
        model: the token model. Only the engine's own thread calls it.
        batch: the most draws that run together.
        prompts: how many prompts are kept for reuse.
        piece: the most prompt tokens a round reads, so that running draws are not held up.
        threads: of torch, in the engine's thread; None leaves torch's own choice.
    """

    def __init__(
        self,
        model: TokenModel,
        *,
        batch: int = 64,
        prompts: int = 16,
        piece: int = 512,
        threads: int | None = None,
    ) -> None:
        for name, value in (("batch", batch), ("prompts", prompts), ("piece", piece)):
            if value < 1:
                raise InvalidArgument(f"Engine: {name} must be 1 or more, got {value}.")
        self.model = model
        self._batch, self._keep, self._piece, self._threads = batch, prompts, piece, threads
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._inbox: deque[Ticket] = deque()
        self._waiting: deque[tuple[Ticket, int, _Prompt]] = deque()
        self._active: list[Draw] = []
        self._prompts: OrderedDict[tuple[int, ...], _Prompt] = OrderedDict()
        self._masks = ThreadPoolExecutor(1, thread_name_prefix="genwright-masks")
        _engines.add(self)

    def submit(self, request: Request) -> Ticket:
        """Queue a request; any thread may. Returns at once.

        Raises:
            InvalidArgument: the prompt leaves no room for a token, or the engine is closed.
        """
        if len(request.prompt) >= self.model.context:
            raise InvalidArgument(
                f"The prompt has {len(request.prompt)} tokens; the model reads at most "
                f"{self.model.context - 1} and needs room for one more. Shorten the prompt."
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
        self._masks.shutdown()

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
                    self._admit(ticket)
                if closed:
                    self._abandon(None)
                    return
                self._drop_cancelled()
                self._round()
            except Exception as error:  # the callers must hear of it, and the next ones be served
                self._abandon(error)

    def _busy(self) -> bool:
        return bool(self._inbox or self._waiting or self._active)

    def _admit(self, ticket: Ticket) -> None:
        request = ticket.request
        prompt = self._prompt(tuple(request.prompt)) if request.n else None
        if prompt is not None:
            spots = range(request.first, request.first + request.n)
            self._waiting.extend((ticket, index, prompt) for index in spots)

    def _prompt(self, tokens: tuple[int, ...]) -> _Prompt:
        """Return the prompt, begun from what an earlier one has in common with it."""
        found = self._prompts.get(tokens)
        if found is None:
            best, length = None, 0
            for other in self._prompts.values():
                shared = min(_shared(tokens, other.tokens), other.done, len(tokens) - 1)
                if shared > length:
                    best, length = other, shared
            cache = self.model.new_cache(None if best is None else best.cache, length)
            found = self._prompts[tokens] = _Prompt(tokens, cache, length)
        self._prompts.move_to_end(tokens)
        held = sum(map(len, self._prompts))
        for key in list(self._prompts)[:-1]:
            if len(self._prompts) <= self._keep and held <= KEPT_TOKENS:
                break
            if self._prompts[key].logits is not None:  # those who draw from it hold it themselves
                self.model.release(self._prompts.pop(key).cache)
                held -= len(key)
        return found

    def _abandon(self, error: Exception | None) -> None:
        """Hand everybody the error, or what they have when the engine closes; start afresh."""
        tickets = {id(t): t for t, _, _ in self._waiting} | {
            id(d.ticket): d.ticket for d in self._active
        }
        with self._changed:
            late = [] if error is not None else list(self._inbox)
        for ticket in [*tickets.values(), *late]:
            ticket.put(error or InvalidArgument("The engine was closed before the draw ended."))
        caches = [draw.cache for draw in self._active]
        self._waiting.clear()
        self._active.clear()
        self._prompts.clear()
        for cache in caches:
            with suppress(Exception):  # a model that failed may fail again; its callers know
                self.model.release(cache)

    def _drop_cancelled(self) -> None:
        for draw in [d for d in self._active if d.ticket.cancelled]:
            draw.finish = "cancelled"
            self._leave(draw)
        if any(ticket.cancelled for ticket, _, _ in self._waiting):
            kept = deque(spot for spot in self._waiting if not spot[0].cancelled)
            for ticket, index, _ in (spot for spot in self._waiting if spot[0].cancelled):
                info = {"tokens": [], "finish_reason": "cancelled", "complete": False}
                ticket.put((index, Sample("", None, Cost(), info)))
            self._waiting = kept

    def _round(self) -> None:
        """Run the network once over all chunks, then choose tokens for all that can go on."""
        reading = self._unread()
        running = [draw for draw in self._active if draw.pending]
        drafts = [self._drafted(draw) for draw in running]
        chunks = [
            Chunk(d.cache, [*d.pending, *tree[0]], tree[1], every=_wanted(d) + len(tree[0]) > 1)
            for d, tree in zip(running, drafts, strict=True)
        ]
        chunks += [Chunk(p.cache, p.tokens[p.done : p.done + size]) for p, size in reading]
        masked = [d for d in running if d.states and not d.finish]
        masks = self._masks.submit(_find_masks, masked) if masked else None
        began = time.perf_counter()
        logits = torch.from_numpy(self.model.step(chunks)) if chunks else None
        self._charge(chunks, [*running, *(p for p, _ in reading)], time.perf_counter() - began)
        if masks is not None:
            masks.result()
        if logits is not None:
            self._read(reading, logits)
            self._advance(running, drafts, logits)
        self._wake()
        self._join()

    def _unread(self) -> list[tuple[_Prompt, int]]:
        """Return which prompts to read on, and how many tokens of each."""
        found: dict[int, tuple[_Prompt, int]] = {}
        room = self._piece
        for _, _, prompt in self._waiting:
            if prompt.logits is None and id(prompt) not in found:
                size = min(len(prompt.tokens) - prompt.done, room)
                if size:
                    found[id(prompt)] = prompt, size
                    room -= size
        return list(found.values())

    def _charge(self, chunks: list[Chunk], owners: list[Any], seconds: float) -> None:
        """Share the time of a step by tokens."""
        total = sum(len(chunk.tokens) for chunk in chunks)
        for chunk, owner in zip(chunks, owners, strict=True):
            owner.spent.network_evaluations += 1
            owner.spent.seconds += seconds * len(chunk.tokens) / total

    def _read(self, reading: list[tuple[_Prompt, int]], logits: Tensor) -> None:
        start = len(logits) - len(reading)
        for i, (prompt, size) in enumerate(reading, start):
            prompt.done += size
            prompt.spent.prompt_tokens += size
            if prompt.done == len(prompt.tokens):
                prompt.logits = logits[i : i + 1].clone()

    def _drafted(self, draw: Draw) -> tuple[list[int], list[int] | None]:
        """Return a draft tree after the pending tokens: (tokens, parents of the whole chunk)."""
        source = draw.ticket.request.drafts
        if source is None or draw.finish or draw.walk is not None:
            return [], None
        # the last node may add one token more, so the tree must leave room for it
        room = draw.limit - len(draw.tokens) - 1
        context = [*draw.ticket.request.prompt, *draw.tokens]
        tokens, parents = source.draft(context, room) if room > 0 else ([], [])
        if not tokens:
            return [], None
        base = len(draw.pending)
        run = list(range(-1, base - 1))
        return tokens, run + [base - 1 if p < 0 else base + p for p in parents]

    def _advance(
        self,
        running: list[Draw],
        drafts: list[tuple[list[int], list[int] | None]],
        logits: Tensor,
    ) -> None:
        """Score what was pending and choose what follows; walk down draft trees while they fit."""
        row = 0
        ready: list[tuple[Draw, int]] = []
        trees: dict[int, _Walk] = {}
        totals = _totals(logits)
        for draw, (guesses, parents) in zip(running, drafts, strict=True):
            size = len(draw.pending)
            if draw.walk is not None:
                wanted = _wanted(draw)
                self._walk(draw, logits[row : row + wanted])
                row += wanted
                continue
            self._score_pending(draw, logits, totals, row)
            if guesses:
                tokens = [*draw.pending, *guesses]
                trees[id(draw)] = _Walk(row, tokens, parents or [], list(range(size)))
            draw.pending.clear()
            if draw.finish:
                if draw.sampling.logprobs is not None and draw.finish == "stop":
                    self._score_end(draw, logits, totals, row + size - 1)
                self._leave(draw)
            else:
                ready.append((draw, row + size - 1))
            row += size + len(guesses)
        while ready:
            self._choose(ready, logits, totals)
            following: list[tuple[Draw, int]] = []
            for draw, _ in ready:
                walk = trees.get(id(draw))
                if walk is not None and self._accept(draw, walk, logits, totals):
                    following.append((draw, walk.row + walk.path[-1]))
            ready = following
        for draw in list(self._active):
            walk = trees.get(id(draw))
            if walk is not None:
                self.model.keep(draw.cache, walk.path)
        self._settle()

    def _accept(self, draw: Draw, walk: "_Walk", logits: Tensor, totals: Tensor) -> bool:
        """Follow the draw into its draft tree; tell whether the logits there choose the next."""
        while draw.pending:
            token = draw.pending[0]
            if len(draw.logprobs) <= len(draw.tokens) - len(draw.pending):  # it was forced
                self._score(draw, token, logits, totals, walk.row + walk.path[-1])
            node = walk.child(token)
            if node is None:
                return False
            walk.path.append(node)
            draw.pending.pop(0)
        return not draw.finish

    def _score_pending(self, draw: Draw, logits: Tensor, totals: Tensor, row: int) -> None:
        """Give forced tokens, which were chosen without logits, their log-probabilities."""
        for j, token in enumerate(draw.pending[1:]):
            if len(draw.logprobs) < len(draw.tokens):
                self._score(draw, token, logits, totals, row + j)

    def _score(self, draw: Draw, token: int, logits: Tensor, totals: Tensor, row: int) -> None:
        draw.logprobs.append(float(logits[row, token] - totals[row]))
        if draw.sampling.logprobs:
            self._note_top(draw, logits, totals, row)

    def _score_end(self, draw: Draw, logits: Tensor, totals: Tensor, row: int) -> None:
        """Score the end of a draw that ended because nothing but an end was allowed."""
        if draw.end_logprob is None and draw.states and draw.cut is None:
            ends = sorted(draw.vocabulary.eos)
            draw.end_logprob = float(logits[row, ends].logsumexp(0) - totals[row])

    def _note_top(self, draw: Draw, logits: Tensor, totals: Tensor, row: int) -> None:
        values, ids = (logits[row] - totals[row]).topk(draw.sampling.logprobs or 0)
        draw.tops.append(list(zip(ids.tolist(), values.tolist(), strict=True)))

    def _join(self) -> None:
        """Start waiting draws whose prompt is read, as far as there is room."""
        joined: list[tuple[Draw, Tensor]] = []
        held: deque[tuple[Ticket, int, _Prompt]] = deque()
        while self._waiting and len(self._active) < self._batch:
            ticket, index, prompt = self._waiting.popleft()
            if prompt.logits is None:
                held.append((ticket, index, prompt))
                continue
            try:
                draw = self._start(ticket, index, prompt)
            except Exception as error:  # a constraint or shaper that fails ends its own request
                self._fail(ticket, error)
                continue
            self._active.append(draw)
            joined.append((draw, prompt.logits))
        self._waiting.extendleft(reversed(held))
        waiting_for = [
            (d, logits) for d, logits in joined if not d.finish and not d.pending and d.walk is None
        ]
        if waiting_for:
            _find_masks([d for d, _ in waiting_for if d.states])
            table = torch.cat([logits for _, logits in waiting_for])
            ready = [(d, i) for i, (d, _) in enumerate(waiting_for)]
            self._choose(ready, table, _totals(table))
        self._settle()

    def _start(self, ticket: Ticket, index: int, prompt: _Prompt) -> Draw:
        request = ticket.request
        vocabulary = self.model.vocabulary
        states = [constraint.start() for constraint in request.constraints]
        shapers = [shaper.start(vocabulary, request.prompt) for shaper in request.shapers]
        limit = min(request.sampling.max_new_tokens, self.model.context - len(request.prompt))
        draw = Draw(ticket, index, vocabulary, states, shapers, limit)
        if prompt.spent.network_evaluations:  # the first draw pays for reading
            draw.spent, prompt.spent = prompt.spent, Spent()
        draw.cache, draw.prompt = self.model.branch(prompt.cache), prompt
        logits = prompt.logits
        assert logits is not None
        if draw.walk is not None:
            self._walk_on(draw, draw.walk)
            return draw
        if request.scripts is not None:
            draw.tokens = list(request.scripts[index - request.first])
            draw.pending = list(draw.tokens)
            draw.data += vocabulary.decode(draw.tokens)
            draw.finish = "length"
        else:
            draw.append_forced()
        if draw.pending:  # the prompt's own logits score the first token
            self._score(draw, draw.pending[0], logits, _totals(logits), 0)
        return draw

    def _choose(self, ready: list[tuple[Draw, int]], logits: Tensor, totals: Tensor) -> None:
        """Choose the next token of every ready draw from its row of logits."""
        tokens, errors = pick(ready, logits, totals)
        for draw, error in errors:
            self._fail(draw.ticket, error)
        chosen = [(d, row, t) for (d, row), t in zip(ready, tokens, strict=True) if t is not None]
        if not chosen:
            return
        _, index, picked = zip(*chosen, strict=True)
        index = torch.tensor(index)
        scores = (logits[index, torch.tensor(picked)] - totals[index]).tolist()
        for (draw, row, token), score in zip(chosen, scores, strict=True):
            try:
                self._take(draw, token, score)
                if draw.sampling.logprobs and draw.end_logprob is None:
                    self._note_top(draw, logits, totals, row)
            except Exception as error:
                self._fail(draw.ticket, error)

    def _take(self, draw: Draw, token: int, score: float) -> None:
        if token in draw.vocabulary.eos:
            draw.end_logprob = score
            draw.finish = "stop"
            return
        draw.logprobs.append(score)
        draw.append(token)
        draw.append_forced()

    def _walk(self, draw: Draw, logits: Tensor) -> None:
        """Let a draw learn what it asked for, and go on."""
        try:
            if draw.walk is not None and not draw.finish:
                walking.learn(draw, draw.walk, logits, len(draw.tokens) - len(logits) + 1)
                draw.pending.clear()
                self._walk_on(draw, draw.walk)
        except Exception as error:
            self._fail(draw.ticket, error)

    def _wake(self) -> None:
        """Let draws go on that waited for what another draw was asking about."""
        for draw in list(self._active):
            if draw.walk is not None and not draw.pending and not draw.finish:
                try:
                    self._walk_on(draw, draw.walk)
                except Exception as error:
                    self._fail(draw.ticket, error)
        self._settle()

    def _walk_on(self, draw: Draw, walk: Walk) -> None:
        """Go on until the network must be asked, or the draw has ended."""
        while (step := walk.proceed()) is Step.ASK:
            asking = (d.walk.node for d in self._active if d.walk is not None and d.pending)
            if any(node is walk.node for node in asking):
                return  # nobody asks what is being asked already
            if walking.must_go_back(draw, walk):
                read, draw.cache = draw.cache, self.model.branch(draw.prompt.cache)
                self.model.release(read)
                walking.go_back(draw)
            walking.go_on(draw, walk)
            if walk.node.parent is None:  # the prompt's own logits say what comes first
                walking.learn(draw, walk, draw.prompt.logits, 0)
            if draw.pending:
                return
        walking.finish(draw, walk, step)

    def _settle(self) -> None:
        """Let finished draws leave, except those whose last tokens are still to be scored."""
        for draw in [d for d in self._active if d.finish]:
            wanted = draw.scored_only or draw.sampling.logprobs is not None
            unscored = len(draw.logprobs) < len(draw.tokens)
            if draw.pending and wanted and (unscored or _wants_end(draw)):
                continue
            self._leave(draw)

    def _leave(self, draw: Draw) -> None:
        self._active.remove(draw)
        self.model.release(draw.cache)
        threads = self._threads or torch.get_num_threads()
        draw.ticket.put((draw.index, draw.result(WATTS_PER_THREAD * threads)))

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        """End one request with an error; the others go on."""
        for draw in [d for d in self._active if d.ticket is ticket]:
            self._active.remove(draw)
            self.model.release(draw.cache)
        self._waiting = deque(spot for spot in self._waiting if spot[0] is not ticket)
        ticket.put(error)


@dataclass
class _Walk:
    """A draft tree that was evaluated: its first row of logits and the path accepted so far."""

    row: int
    tokens: list[int]
    parents: list[int]
    path: list[int]

    def child(self, token: int) -> int | None:
        """Return the node below the end of the path that holds this token."""
        here = self.path[-1]
        for node in range(here + 1, len(self.tokens)):
            if self.parents[node] == here and self.tokens[node] == token:
                return node
        return None


def _wanted(draw: Draw) -> int:
    """Return how many rows of logits are wanted of what is pending."""
    return len(draw.pending) if draw.walk is None else walking.rows(draw, draw.walk)


def _wants_end(draw: Draw) -> bool:
    return draw.finish == "stop" and draw.end_logprob is None and bool(draw.states)


def _find_masks(draws: list[Draw]) -> None:
    for draw in draws:
        with suppress(Exception):  # raised again, in the draw's own request, when it is asked for
            draw.allowed()


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Return the length of the longest common prefix."""
    size = min(len(a), len(b))
    if a[:size] == b[:size]:
        return size
    return next(i for i in range(size) if a[i] != b[i])


_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_engines):
        engine.close()
