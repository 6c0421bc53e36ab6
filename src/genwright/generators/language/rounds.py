"""The rounds of the decoding loop: draws that wait, draws that run, and one step for all of them.

One round hands the model one batch of chunks: for every running draw the tokens that the network
has not seen yet (the token just chosen, tokens a constraint forced after it, perhaps a draft), and
for prompts that are being read the next piece. Then it chooses the next token of every draw whose
logits arrived. Draws that end leave; waiting ones take their place.
"""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import torch
from torch import Tensor

from genwright.core import Chunk, Cost, Sample, TokenModel
from genwright.core.cost import WATTS_PER_THREAD
from genwright.generators.language import walking
from genwright.generators.language.beams import Beam, ranks, searches, taken
from genwright.generators.language.drafting import Draft, Path, drafted
from genwright.generators.language.draw import Draw, Spent, charge, find_masks
from genwright.generators.language.prompts import Predictor, Prompts, ReadPrompt, predicted, unread
from genwright.generators.language.request import Ticket
from genwright.generators.language.scoring import Rows, wants_scores
from genwright.generators.language.steered import choose
from genwright.generators.language.step_cost import StepCost


class Rounds:
    """Everything that waits or runs on one model; one thread at a time may call it.

    Args:
        model: the token model.
        batch: the most draws that run together.
        prompts: how many prompts are kept for reuse.
        piece: the most prompt tokens a round reads.
        predictor: reads the prompts of requests that ask for it.
    """

    def __init__(
        self,
        model: TokenModel,
        batch: int,
        prompts: int,
        piece: int,
        predictor: Predictor | None = None,
    ) -> None:
        self._model, self._batch, self._piece = model, batch, piece
        self._waiting: deque[tuple[Ticket, int, ReadPrompt]] = deque()
        self._active: list[Draw] = []
        self._prompts = {"exact": Prompts(model, prompts)}
        self._predictor = predictor
        if predictor is not None:
            self._prompts["predicted"] = Prompts(model, prompts, predictor)
        self._cost = StepCost()
        self._masks = ThreadPoolExecutor(1, thread_name_prefix="genwright-masks")

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._waiting or self._active)

    def admit(self, ticket: Ticket) -> None:
        """Let the draws of a request wait for their turn."""
        request = ticket.request
        if request.n:
            prompt = self._prompts[request.prefill].find(tuple(request.prompt))
            spots = ranks(request) if request.search is None else [request.first]
            self._waiting.extend((ticket, index, prompt) for index in spots)

    def drop_cancelled(self) -> None:
        """Hand over the draws of cancelled requests as they stand."""
        for draw in [d for d in self._active if d.ticket.cancelled and d.beam is None]:
            draw.finish = "cancelled"
            self._leave(draw)
        for beam in [b for b in searches(self._active) if b.ticket.cancelled]:
            self._active = [draw for draw in self._active if draw.beam is not beam]
            beam.cancel(self._model)
        if any(ticket.cancelled for ticket, _, _ in self._waiting):
            kept = deque(spot for spot in self._waiting if not spot[0].cancelled)
            for ticket, index, _ in (spot for spot in self._waiting if spot[0].cancelled):
                info = {"tokens": [], "finish_reason": "cancelled", "complete": False}
                searched = ticket.request.search is not None
                for k in ranks(ticket.request) if searched else [index]:
                    ticket.put((k, Sample("", None, Cost(), info)))
            self._waiting = kept

    def abandon(self) -> list[Ticket]:
        """Forget everything; return the tickets that still waited for something."""
        tickets = {id(t): t for t, _, _ in self._waiting}
        tickets |= {id(d.ticket): d.ticket for d in self._active}
        caches = [draw.cache for draw in self._active]
        self._waiting.clear()
        self._active.clear()
        for prompts in self._prompts.values():
            prompts.clear()
        for cache in caches:
            with suppress(Exception):  # a model that failed may fail again; its callers know
                self._model.release(cache)
        return list(tickets.values())

    def close(self) -> None:
        """End the thread that finds masks."""
        self._masks.shutdown()

    def run(self) -> None:
        """Run the network once over all chunks, then choose tokens for all that can go on."""
        reading = unread((prompt for _, _, prompt in self._waiting), self._piece)
        if self._predictor is not None:
            reading = predicted(reading, self._predictor)
        running = [draw for draw in self._active if draw.pending]
        found, failed = drafted(running, self._cost)
        for draw, error in failed:
            self._fail(draw.ticket, error)
        running = [draw for draw in running if draw in self._active] if failed else running
        drafts = [found[id(draw)] for draw in running]
        chunks = [
            Chunk(
                d.cache,
                [*d.pending, *draft.tokens],
                draft.parents,
                every=_wanted(d) + len(draft.tokens) > 1,
            )
            for d, draft in zip(running, drafts, strict=True)
        ]
        chunks += [Chunk(p.cache, p.tokens[p.done : p.done + size]) for p, size in reading]
        masked = [d for d in running if d.states and not d.finish]
        masks = self._masks.submit(find_masks, masked) if masked else None
        began = time.perf_counter()
        logits = torch.from_numpy(self._model.step(chunks)) if chunks else None
        seconds = time.perf_counter() - began
        charge(chunks, [*running, *(p for p, _ in reading)], seconds)
        if running and not reading:
            self._cost.learn(sum(len(chunk.tokens) for chunk in chunks), seconds)
        if masks is not None:
            masks.result()
        if logits is not None:
            first = len(logits) - len(reading)
            for i, (prompt, size) in enumerate(reading, first):
                prompt.note(size, logits[i : i + 1])
            self._advance(running, drafts, Rows(logits))
        self._wake()
        self._join()

    def _advance(self, running: Sequence[Draw], drafts: Sequence[Draft], rows: Rows) -> None:
        """Score what was pending and choose what follows; follow drafts while they fit."""
        row = 0
        ready: list[tuple[Draw, int]] = []
        paths: dict[int, Path] = {}
        hypotheses: dict[int, int] = {}
        for draw, draft in zip(running, drafts, strict=True):
            size = len(draw.pending)
            if draw.walk is not None:
                wanted = _wanted(draw)
                self._walk(draw, rows.logits[row : row + wanted])
                row += wanted
                continue
            if draw.beam is not None:
                hypotheses[id(draw)] = row
                draw.pending.clear()
                row += 1
                continue
            rows.score_forced(draw, row)
            last = row + size - 1
            if draft.tokens:
                paths[id(draw)] = Path.begin(draw, draft, row)
            draw.pending.clear()
            if draw.finish:
                if draw.sampling.logprobs is not None and draw.finish == "stop":
                    rows.score_end(draw, last)
                self._leave(draw)
            else:
                ready.append((draw, last))
            row += size + len(draft.tokens)
        for beam in searches(self._active) if hypotheses else ():
            at = [hypotheses[id(draw)] for draw in beam.draws]
            self._grow(beam, rows.logits[at], rows.totals[at])
        while ready:
            self._choose(ready, rows)
            going = [(d, paths[id(d)]) for d, _ in ready if id(d) in paths]
            ready = [(draw, path.here) for draw, path in going if path.follow(draw, rows)]
        for draw in list(self._active):
            if (path := paths.get(id(draw))) is not None:
                self._model.keep(draw.cache, path.nodes)
        self._settle()

    def _choose(self, ready: Sequence[tuple[Draw, int]], rows: Rows) -> None:
        for draw, error in choose(ready, rows):
            self._fail(draw.ticket, error)

    def _join(self) -> None:
        """Start waiting draws whose prompt is read, as far as there is room."""
        joined: list[tuple[Draw, Tensor]] = []
        held: deque[tuple[Ticket, int, ReadPrompt]] = deque()
        while self._waiting and taken(self._active) < self._batch:
            ticket, index, prompt = self._waiting.popleft()
            if prompt.logits is None:
                held.append((ticket, index, prompt))
                continue
            try:
                draw = self._start(ticket, index, prompt, prompt.logits)
            except Exception as error:  # a constraint or shaper that fails ends its own request
                self._fail(ticket, error)
                continue
            self._active.append(draw)
            if draw.beam is not None:
                rows = Rows(prompt.logits)
                self._grow(draw.beam, rows.logits, rows.totals)
                continue
            joined.append((draw, prompt.logits))
        self._waiting.extendleft(reversed(held))
        waiting_for = [
            (d, logits) for d, logits in joined if not d.finish and not d.pending and d.walk is None
        ]
        if waiting_for:
            find_masks([d for d, _ in waiting_for if d.states])
            rows = Rows(torch.cat([logits for _, logits in waiting_for]))
            self._choose([(d, i) for i, (d, _) in enumerate(waiting_for)], rows)
        self._settle()

    def _start(self, ticket: Ticket, index: int, prompt: ReadPrompt, logits: Tensor) -> Draw:
        request, vocabulary = ticket.request, self._model.vocabulary
        states = [constraint.start() for constraint in request.constraints]
        shapers = [shaper.start(vocabulary, request.prompt) for shaper in request.shapers]
        limit = min(request.sampling.max_new_tokens, self._model.context - len(request.prompt))
        search = request.search
        front = None if search is None else search.begin(vocabulary, limit)
        draw = Draw(ticket, index, vocabulary, states, shapers, limit)
        if prompt.spent.network_evaluations:  # the first draw pays for reading
            draw.spent, prompt.spent = prompt.spent, Spent()
        draw.cache, draw.prompt = self._model.branch(prompt.cache), prompt
        if search is not None and front is not None:
            draw.beam = Beam(ticket, front, search.width, [draw], draw.spent)
            return draw
        if draw.walk is not None:
            walking.proceed(draw, draw.walk, self._model, self._active)
            return draw
        if request.scripts is not None:
            draw.tokens = list(request.scripts[index - request.first])
            draw.pending = list(draw.tokens)
            draw.data += vocabulary.decode(draw.tokens)
            draw.finish = "length"
        else:
            if request.drafts is not None:
                draw.guesser = request.drafts.begin(vocabulary, request.prompt)
            draw.append_forced()
        if draw.pending:  # the prompt's own logits score the first token
            Rows(logits).score(draw, draw.pending[0], 0)
        return draw

    def _walk(self, draw: Draw, logits: Tensor) -> None:
        """Let a draw learn what it asked for, and go on."""
        try:
            if draw.walk is not None and not draw.finish:
                walking.learn(draw, draw.walk, logits, len(draw.tokens) - len(logits) + 1)
                draw.pending.clear()
                walking.proceed(draw, draw.walk, self._model, self._active)
        except Exception as error:
            self._fail(draw.ticket, error)

    def _grow(self, beam: Beam, logits_BV: Tensor, totals_B: Tensor) -> None:
        """Let a search choose its next hypotheses; one without any has ended."""
        try:
            beam.grow(logits_BV, totals_B, self._model)
        except Exception as error:
            self._fail(beam.ticket, error)
            return
        self._active = [draw for draw in self._active if draw.beam is not beam] + beam.draws
        if not beam.draws:
            beam.hand_over()

    def _wake(self) -> None:
        """Let draws go on that waited for what another draw was asking about."""
        for draw in list(self._active):
            if draw.walk is not None and not draw.pending and not draw.finish:
                try:
                    walking.proceed(draw, draw.walk, self._model, self._active)
                except Exception as error:
                    self._fail(draw.ticket, error)
        self._settle()

    def _settle(self) -> None:
        """Let finished draws leave, except those whose last tokens are still to be scored."""
        for draw in [d for d in self._active if d.finish]:
            if not wants_scores(draw):
                self._leave(draw)

    def _leave(self, draw: Draw) -> None:
        self._active.remove(draw)
        self._model.release(draw.cache)
        if draw.guesser is not None:
            draw.guesser.end(draw.tokens)
        draw.ticket.put((draw.index, draw.result(WATTS_PER_THREAD * torch.get_num_threads())))

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        """End one request with an error; the others go on."""
        for draw in [d for d in self._active if d.ticket is ticket]:
            self._active.remove(draw)
            self._model.release(draw.cache)
        self._waiting = deque(spot for spot in self._waiting if spot[0] is not ticket)
        ticket.put(error)


def _wanted(draw: Draw) -> int:
    """Return how many rows of logits are wanted of what is pending."""
    return len(draw.pending) if draw.walk is None else walking.rows(draw, draw.walk)
