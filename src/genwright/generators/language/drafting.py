"""Drafts: guesses evaluated together with a draw's own tokens, and kept where it agrees.

A tree of guessed tokens follows the tokens that the network has not seen yet. All of it goes
through one step, each token seeing its own ancestors. The draw then chooses its tokens as it always
does, and as long as each of them is in the tree, the logits after it are there already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from genwright.core import DraftState, Guesses
from genwright.generators.language.draw import Draw
from genwright.generators.language.legal import legal
from genwright.generators.language.scoring import Rows
from genwright.generators.language.steered import Failed
from genwright.generators.language.step_cost import StepCost

MOST = 64
"""Guesses of one draw in one step, as in the paper of lookahead (`lookahead.py`)."""


@dataclass(frozen=True)
class Draft:
    """A tree of guesses after the pending tokens of a draw.

    Args:
        tokens: the guesses.
        parents: of the whole chunk, pending tokens first; None where there are no guesses.
    """

    tokens: list[int]
    parents: list[int] | None


NONE = Draft([], None)


def drafted(running: Sequence[Draw], cost: StepCost) -> tuple[dict[int, Draft], Failed]:
    """Draft for every draw the guesses by which the step brings more tokens a second.

    Args:
        running: all draws of the step.
        cost: of steps.

    Returns:
        (by the id of the draw, its draft; the draws whose source or constraint failed, and why)
    """
    asking = [(d, d.guesser) for d in running if d.guesser is not None and not d.finish]
    if not asking:
        return dict.fromkeys(map(id, running), NONE), []
    sure = sum(1.0 for draw in running if not draw.finish)
    size = sum(len(draw.pending) for draw in running)
    floor = cost.worth(size, sure)
    found: list[tuple[Draw, Guesses]] = []
    failed = Failed()
    for draw, guesser in asking:
        try:
            guesses = _guessed(draw, guesser, floor)
        except Exception as error:
            failed.append((draw, error))
        else:
            if guesses.tokens:
                found.append((draw, guesses))
    drafts = dict.fromkeys(map(id, running), NONE)
    if found:
        least = threshold([guesses for _, guesses in found], size, sure, cost)
        drafts |= {id(draw): _draft(draw, guesses, least) for draw, guesses in found}
    return drafts, failed


def _guessed(draw: Draw, guesser: DraftState, floor: float) -> Guesses:
    """Ask for guesses, and leave those that the constraints allow."""
    guesses = guesser.draft(draw.tokens, MOST, floor)
    return legal(guesses, draw) if guesses.tokens and draw.states else guesses


def threshold(found: Iterable[Guesses], size: int, sure: float, cost: StepCost) -> float:
    """Return the odds of the last guess that pays, over all draws."""
    least, tokens, best = 1.0 + 1e-9, sure, sure / cost(size)
    ranked = sorted((odds for guesses in found for odds in guesses.odds or ()), reverse=True)
    for n, odds in enumerate(ranked, 1):
        tokens += odds
        if tokens / cost(size + n) > best:
            least, best = odds, tokens / cost(size + n)
    return least


def _draft(draw: Draw, guesses: Guesses, least: float) -> Draft:
    """Keep the guesses with good enough odds that the draw has room for."""
    # the last node may add one token more, so the tree must leave room for it
    room = draw.limit - len(draw.tokens) - 1
    base = len(draw.pending)
    tokens: list[int] = []
    parents = list(range(-1, base - 1))
    at, depth = {-1: base - 1}, {-1: 0}
    for i, (token, parent) in enumerate(zip(guesses.tokens, guesses.parents, strict=True)):
        worth = guesses.odds is None or guesses.odds[i] >= least
        if worth and parent in at and depth[parent] < room:
            at[i], depth[i] = base + len(tokens), depth[parent] + 1
            tokens.append(token)
            parents.append(at[parent])
    return Draft(tokens, parents if tokens else None)


@dataclass
class Path:
    """The way of a draw through a draft that was evaluated.

    Args:
        row: the first row of logits.
        tokens: of the whole chunk, pending tokens first.
        parents: of these.
        nodes: accepted so far.
    """

    row: int
    tokens: list[int]
    parents: list[int]
    nodes: list[int]

    @classmethod
    def begin(cls, draw: Draw, draft: Draft, row: int) -> "Path":
        """Stand at the last pending token of a draw."""
        nodes = list(range(len(draw.pending)))
        return cls(row, [*draw.pending, *draft.tokens], draft.parents or [], nodes)

    @property
    def here(self) -> int:
        """The row of logits at the end of the path."""
        return self.row + self.nodes[-1]

    def follow(self, draw: Draw, rows: Rows) -> bool:
        """Go where the draw went; tell whether the logits there choose its next token."""
        while draw.pending:
            token = draw.pending[0]
            if len(draw.logprobs) <= len(draw.tokens) - len(draw.pending):  # it was forced
                rows.score(draw, token, self.here)
            node = self._child(token)
            if node is None:
                return False
            self.nodes.append(node)
            draw.pending.pop(0)
        return not draw.finish

    def _child(self, token: int) -> int | None:
        """Return the node below the end of the path that holds this token."""
        here = self.nodes[-1]
        for node in range(here + 1, len(self.tokens)):
            if self.parents[node] == here and self.tokens[node] == token:
                return node
        return None
