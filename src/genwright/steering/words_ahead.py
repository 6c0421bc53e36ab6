"""A formula of words seen from tokens: what a token does to it, and which tokens lead on.

The search asks the same of the same tokens again and again, so answers are kept.
"""

from genwright.core import Vocabulary
from genwright.steering.logic import Logic, State


class WordsAhead:
    """A formula for one vocabulary.

    Args:
        logic: of the formula.
        vocabulary: of the model that writes.
    """

    def __init__(self, logic: Logic, vocabulary: Vocabulary) -> None:
        self.logic, self._vocabulary = logic, vocabulary
        self._after: dict[tuple[State, int], State] = {}
        self._firsts: dict[bytes, frozenset[int]] = {}

    def advance(self, state: State, token: int) -> State:
        """Return the state after one more token."""
        key = state, token
        if key not in self._after:
            if len(self._after) >= KEPT:
                self._after.clear()
            self._after[key] = self.logic.read(state, self._vocabulary.tokens[token])
        return self._after[key]

    def doomed(self, state: State) -> bool:
        """Tell whether every literal of a clause is a forbidden text that stands there."""
        logic = self.logic
        return any(
            not positive and all(logic.stands(state, i) for i in negative)
            for positive, negative in zip(logic.positive, logic.negative, strict=True)
        )

    def said(self, state: State) -> frozenset[int]:
        """Return the clauses that a required text satisfies."""
        logic = self.logic
        return frozenset(
            clause
            for clause, literals in enumerate(logic.positive)
            if any(logic.stands(state, i) for i in literals)
        )

    def tokens(self, state: State) -> set[int]:
        """Return the tokens with which an unsatisfied clause's required texts begin or go on."""
        found = set[int]()
        for literal in self._open(state):
            wanted, here = self.logic.patterns[literal], state[literal]
            if self.logic.whole:
                wanted = wanted[:-1]
            found |= self._first(wanted)
            if here:
                found |= self._first(wanted[here:])
        return found

    def progress(self, state: State) -> float:
        """Return the largest part of an unsatisfied clause's required text that stands, in [0, 1).

        Gaps around words do not count.
        """
        gap = int(self.logic.whole)
        return max(
            (
                max(state[i] - gap, 0) / (len(self.logic.patterns[i]) - 2 * gap)
                for i in self._open(state)
            ),
            default=0.0,
        )

    def _open(self, state: State) -> set[int]:
        said = self.said(state)
        return {i for n, ids in enumerate(self.logic.positive) if n not in said for i in ids}

    def _first(self, data: bytes) -> frozenset[int]:
        """Return the first token of a text as it is usually cut into tokens."""
        if data not in self._firsts:
            text = data.decode("utf-8", "ignore")
            self._firsts[data] = frozenset(self._vocabulary.encode(text)[:1])
        return self._firsts[data]


KEPT = 200_000
"""Answers kept per formula."""
