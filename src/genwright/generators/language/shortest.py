"""How long a draw must be at least before its constraints let it end.

Asked before the first network step, so that a limit on tokens that no draw could meet is an error
at once and not a batch of cut-off draws.

Ours throughout: a breadth-first search over tokens that gives up after a number of states. It gives
an exact answer where a constraint leaves few choices (fixed texts, enumerations, a table of
constants), and a lower bound elsewhere: the depth that was searched through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from genwright.core import CompiledConstraint, ConstraintError, ConstraintState

VISITS = 1000
"""States looked at: about 50 ms at 50 us each."""


@dataclass(frozen=True)
class Shortest:
    """What the search found.

    Args:
        at_least: no draw of fewer tokens can end; None where no draw at all can.
        tokens: a shortest draw that can end, of `at_least` tokens; None where the search gave up.
    """

    at_least: int | None
    tokens: list[int] | None = None


def shortest_completion(
    constraints: Sequence[CompiledConstraint], limit: int, *, visits: int = VISITS
) -> Shortest:
    """Search for a shortest token string that every constraint lets end.

    Args:
        constraints: compiled for one vocabulary.
        limit: the search may stop once no draw of this many tokens is left to look at, unless a
            few more steps give the exact length.
        visits: the most states to look at.
    """
    front: list[tuple[list[int], list[ConstraintState]]] = [
        ([], [constraint.start() for constraint in constraints])
    ]
    depth = seen = 0
    while front:
        for tokens, states in front:
            if all(state.accepting for state in states):
                return Shortest(depth, tokens)
        after: list[tuple[list[int], list[ConstraintState]]] = []
        for tokens, states in front:
            mask = reduce(np.logical_and, (state.mask() for state in states))
            allowed = np.flatnonzero(mask).tolist()
            seen += len(allowed)
            if seen > visits:  # one of the next depth's states may end
                return Shortest(depth + 1)
            for token in allowed:
                forks = [state.fork() for state in states]
                for fork in forks:
                    fork.advance(token)
                after.append(([*tokens, token], forks))
        front, depth = after, depth + 1
        if depth > limit and len(front) > 1:
            return Shortest(depth)
    return Shortest(None)


def check_length(constraints: Sequence[CompiledConstraint], limit: int) -> None:
    """Refuse a limit that no draw can meet; where the search gives up before it, let it be.

    Args:
        constraints: compiled for one vocabulary.
        limit: the most tokens of a draw.

    Raises:
        ConstraintError: no draw of at most `limit` tokens can end.
    """
    found = shortest_completion(constraints, limit)
    if found.at_least is None:
        raise ConstraintError(
            "the constraints contradict: every allowed beginning runs into a place where no token "
            "is allowed and no draw may end."
        )
    if found.at_least > limit:
        more = "at least " if found.tokens is None else ""
        raise ConstraintError(
            f"the shortest draw that the constraints allow has {more}{found.at_least} tokens, but "
            f"max_new_tokens is {limit}; raise it or allow shorter draws."
        )
