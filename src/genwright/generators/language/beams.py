"""A search's hypotheses as draws of the engine: each has a cache of its own and runs in every step.

A round hands the search the rows of all its hypotheses. Where one lives on in several
continuations, its cache is copied; where in none, it is freed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genwright.core import Cost, Sample, TokenModel
from genwright.core.cost import WATTS_PER_THREAD
from genwright.generators.language.draw import Draw, Spent
from genwright.generators.language.hypotheses import Found, Front
from genwright.generators.language.request import Request, Ticket

EXHAUSTED = Found((), "", float("-inf"), "exhausted", False)
"""What a search brings for a rank that it has no hypothesis for."""


@dataclass(eq=False)
class Beam:
    """One search under way.

    Args:
        ticket: what asked for it.
        front: chooses.
        width: the most draws it needs.
        draws: that stand for the live hypotheses, in the front's order.
        spent: of all of them.
    """

    ticket: Ticket
    front: Front
    width: int
    draws: list[Draw]
    spent: Spent = field(default_factory=Spent)

    def grow(self, logits_BV: Tensor, totals_B: Tensor, model: TokenModel) -> None:
        """Replace the draws by those of the next hypotheses; no draw is left once it has ended.

        Args:
            logits_BV: a row for each draw, in their order.
            totals_B: the logsumexp of each row.
            model: copies and frees caches.
        """
        moves = self.front.expand(logits_BV, totals_B)
        unused = dict(enumerate(self.draws))
        grown: list[Draw] = []
        for parent, token in moves:
            draw = unused.pop(parent, None)
            if draw is None:  # it lives on already, in the continuation before
                first = self.draws[parent]
                draw = Draw(first.ticket, first.index, first.vocabulary, [], [], first.limit)
                draw.cache, draw.prompt = model.fork(first.cache), first.prompt
                draw.beam, draw.spent = self, self.spent
            draw.pending = [token]
            grown.append(draw)
        for draw in unused.values():
            model.release(draw.cache)
        self.draws = grown

    def cancel(self, model: TokenModel) -> None:
        """Free the caches, and hand over what was found so far."""
        for draw in self.draws:
            model.release(draw.cache)
        self.hand_over(cancelled=True)

    def hand_over(self, *, cancelled: bool = False) -> None:
        """Put the draws that were asked for into the ticket, best hypotheses first."""
        request, found = self.ticket.request, self.front.found()
        spent = Cost(
            prompt_tokens=self.spent.prompt_tokens,
            new_tokens=0,
            network_evaluations=self.spent.network_evaluations,
            seconds=self.spent.seconds,
            joules=self.spent.seconds * WATTS_PER_THREAD * torch.get_num_threads(),
            joules_by="estimated" if self.spent.seconds else "",
        )
        for k, cost in zip(ranks(request), spent.split(request.n), strict=True):
            one = found[k] if k < len(found) else EXHAUSTED
            told = {
                "tokens": list(one.tokens),
                "finish_reason": "cancelled" if cancelled else one.finish,
                "complete": one.complete and not cancelled,
                **one.info,
            }
            whole = cost + Cost(draws=1, new_tokens=len(one.tokens))
            self.ticket.put((k, Sample(one.text, one.logprob, whole, told)))


def searches(active: Iterable[Draw]) -> list[Beam]:
    """Return the searches that draws are hypotheses of."""
    return list({id(draw.beam): draw.beam for draw in active if draw.beam is not None}.values())


def taken(active: Sequence[Draw]) -> int:
    """Return how many draws run, counting all that a search may come to."""
    return sum(draw.beam is None for draw in active) + sum(b.width for b in searches(active))


def ranks(request: Request) -> Sequence[int]:
    """Return the ranks of the hypotheses that are asked for, 0 for the best."""
    return range(request.first, request.first + request.n)
