"""Guesses under constraints: what they forbid is dropped, and what they force joins the tree.

A forced token is as sure as the guess that it follows: as a part of the tree it costs no step.
"""

from collections.abc import Sequence

from genwright.core import ConstraintState, Guesses
from genwright.generators.language.draw import Draw

LONGEST = 64
"""Tokens of one forced run that join the tree."""


def legal(guesses: Guesses, draw: Draw) -> Guesses:
    """Return the guesses that a draw may follow, with what is forced after them."""
    tree = _Tree(guesses, draw.vocabulary.eos)
    allowed = draw.allowed()
    for i in tree.below.get(-1, ()):
        if allowed[guesses.tokens[i]]:
            tree.visit(i, -1, draw.states)
    odds = None if guesses.odds is None else [guesses.odds[i] for i in tree.sources]
    return Guesses(tree.tokens, tree.parents, odds)


class _Tree:
    """The tree that is left. `sources` holds for each token the guess that its odds come from."""

    def __init__(self, guesses: Guesses, eos: frozenset[int]) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.sources: list[int] = []
        self.below: dict[int, list[int]] = {}
        self._guesses, self._eos = guesses, eos
        for i, parent in enumerate(guesses.parents):
            self.below.setdefault(parent, []).append(i)

    def visit(self, guess: int, parent: int, before: Sequence[ConstraintState]) -> None:
        """Add an allowed guess, what is forced after it, and the guesses after that."""
        token = self._guesses.tokens[guess]
        if token in self._eos:
            return
        states = [state.fork() for state in before]
        for state in states:
            state.advance(token)
        here = self._add(token, parent, guess)
        after = self.below.get(guess, [])
        for forced in _forced(states):
            here = self._add(forced, here, guess)
            same = [i for i in after if self._guesses.tokens[i] == forced]
            after = [i for old in same for i in self.below.get(old, ())]
        if after:
            masks = [state.mask() for state in states]
            for i in after:
                if all(mask[self._guesses.tokens[i]] for mask in masks):
                    self.visit(i, here, states)

    def _add(self, token: int, parent: int, source: int) -> int:
        self.tokens.append(token)
        self.parents.append(parent)
        self.sources.append(source)
        return len(self.tokens) - 1


def _forced(states: Sequence[ConstraintState]) -> list[int]:
    """Advance the states by what they force; return it."""
    tokens: list[int] = []
    while run := next((run for state in states if (run := state.forced())), []):
        for token in run:
            allowed = len(states) == 1 or all(state.mask()[token] for state in states)
            if not allowed or len(tokens) == LONGEST:
                return tokens
            for state in states:
                state.advance(token)
            tokens.append(token)
    return tokens
