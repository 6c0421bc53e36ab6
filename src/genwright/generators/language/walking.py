"""A draw that walks through a trie, seen from the engine: where it goes, what it learns there.

A walk asks about one prefix at a time, which need not continue the one before: the draw then starts
afresh from its prompt, and reads the tokens of the prefix in one piece. Tokens that a constraint
forces after it are read in the same piece, each a prefix with one allowed token. All of it goes
into the trie, and the walk goes on with what the trie knows.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import TokenModel
from genwright.generators.language.draw import Draw
from genwright.generators.language.trie import Node, Row
from genwright.generators.language.walks import Step, Walk


def proceed(draw: Draw, walk: Walk, model: TokenModel, active: Iterable[Draw]) -> None:
    """Go on until the network must be asked, or the draw has ended.

    Args:
        draw: walks.
        walk: its walk.
        model: branches and frees caches.
        active: all running draws; nobody asks what another of them is asking already.
    """
    while (step := walk.proceed()) is Step.ASK:
        asking = (d.walk.node for d in active if d.walk is not None and d.pending)
        if any(node is walk.node for node in asking):
            return
        if must_go_back(draw, walk):
            read, draw.cache = draw.cache, model.branch(draw.prompt.cache)
            model.release(read)
            go_back(draw)
        go_on(draw, walk)
        if walk.node.parent is None:  # the prompt's own logits say what comes first
            learn(draw, walk, draw.prompt.logits, 0)
        if draw.pending:
            return
    finish(draw, walk, step)


def must_go_back(draw: Draw, walk: Walk) -> bool:
    """Whether the prefix that is asked about does not continue what the network has read."""
    path, here = walk.node.path(), draw.tokens
    return bool(here) and (len(path) <= len(here) or path[: len(here)] != here)


def go_back(draw: Draw) -> None:
    """Take back everything that the draw has written."""
    draw.states = [constraint.start() for constraint in draw.ticket.request.constraints]
    draw.tokens.clear()
    draw.pending.clear()
    draw.data.clear()
    draw.mask = None


def go_on(draw: Draw, walk: Walk) -> None:
    """Write the prefix that is asked about, and what is forced after it."""
    for token in walk.node.path()[len(draw.tokens) :]:
        draw.append(token)
    while len(draw.tokens) < draw.limit:
        run = next((run for state in draw.states if (run := state.forced())), [])
        for token in run[: draw.limit - len(draw.tokens)]:
            if not draw.allowed()[token]:  # by another constraint: the mask says so
                return
            draw.append(token)
        if not run:
            return


def rows(draw: Draw, walk: Walk) -> int:
    """Return how many rows of logits are wanted: one, unless forced tokens stand at the end.

    A prefix that is read again would else bring a row of the whole vocabulary for every token.
    """
    forced = len(draw.tokens) - len(walk.node.path())
    return len(draw.pending) if forced else 1


def learn(draw: Draw, walk: Walk, logits_TV: Tensor, first: int) -> None:
    """Note what the network said.

    Args:
        draw: has written the prefix that was asked about, and perhaps forced tokens after it.
        walk: asked.
        logits_TV: float32, one row after each of T tokens on end.
        first: how many tokens of the draw come before the first row.
    """
    trie, asked, eos = draw.ticket.request.trie, len(walk.node.path()), draw.vocabulary.eos
    found: list[tuple[Node, Row]] = []
    node: Node | None = walk.node
    for length in range(asked, first + len(logits_TV)):
        if node is None:
            break  # the model gives a forced token no chance
        forced = draw.tokens[length : length + 1]
        if length >= first:
            allowed = np.array(forced) if forced else _allowed(draw)
            row = _row(logits_TV[length - first], allowed, draw.sampling.temperature, eos)
            found.append((node, row))
            if forced and len(row.tokens):
                trie.child(node, forced[0], float(row.p[0]))
        node = node.children.get(forced[0]) if forced else None
    for node, row in reversed(found):  # what was asked about last, so that it is there for sure
        trie.learn(node, row)


def finish(draw: Draw, walk: Walk, step: Step) -> None:
    """Write down what the walk chose, or why it chose nothing."""
    go_back(draw)
    draw.finish = step.value
    if step is not Step.END:
        return
    *choices, end = walk.choices
    draw.tokens = [choice.token for choice in choices]
    draw.logprobs = [choice.logprob for choice in choices]
    draw.end_logprob = end.logprob
    draw.masked_mass = -sum(min(0.0, float(np.log(c.mass))) for c in walk.choices)
    draw.forced = sum(choice.only for choice in choices)
    draw.data += draw.vocabulary.decode(draw.tokens)


def _allowed(draw: Draw) -> NDArray[np.intp]:
    """Return what may follow all that is written; at the token limit only an end may."""
    allowed = np.flatnonzero(draw.allowed())
    if len(draw.tokens) >= draw.limit:
        allowed = np.array([token for token in allowed if int(token) in draw.vocabulary.eos], int)
    return allowed


def _row(
    logits_V: Tensor,
    allowed: NDArray[np.intp],
    temperature: float,
    eos: frozenset[int],
) -> Row:
    """Return the allowed tokens' share of the whole distribution, in float64."""
    logits = logits_V.double()
    logprobs = (logits[allowed] - logits.logsumexp(0)).numpy()
    p = np.exp(logprobs)
    if temperature != 1:
        tempered = logits / temperature
        p = (tempered[allowed] - tempered.logsumexp(0)).exp().numpy()
    possible = p > 0
    tokens = allowed[possible].astype(np.int64)
    return Row(tokens, p[possible], logprobs[possible], np.isin(tokens, sorted(eos)))
