"""Drafts: guesses evaluated together with a draw's own tokens, and kept where it agrees.

A tree of guessed tokens follows the tokens that the network has not seen yet. All of it goes
through one step, each token seeing its own ancestors. The draw then chooses its tokens as it always
does, and as long as each of them is in the tree, the logits after it are there already.
"""

from dataclasses import dataclass

from genwright.generators.language.draw import Draw
from genwright.generators.language.scoring import Rows


@dataclass(frozen=True)
class Draft:
    """A tree of guesses after the pending tokens of a draw.

    Args:
        tokens: the guesses.
        parents: of the whole chunk, pending tokens first; None where there are no guesses.
    """

    tokens: list[int]
    parents: list[int] | None


def drafted(draw: Draw) -> Draft:
    """Ask a draw's source for guesses."""
    source = draw.ticket.request.drafts
    if source is None or draw.finish or draw.walk is not None:
        return Draft([], None)
    # the last node may add one token more, so the tree must leave room for it
    room = draw.limit - len(draw.tokens) - 1
    context = [*draw.ticket.request.prompt, *draw.tokens]
    tokens, parents = source.draft(context, room) if room > 0 else ([], [])
    if not tokens:
        return Draft([], None)
    base = len(draw.pending)
    run = list(range(-1, base - 1))
    return Draft(tokens, run + [base - 1 if p < 0 else base + p for p in parents])


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
