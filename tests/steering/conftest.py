"""A vocabulary small enough to enumerate every token string of a language."""

import numpy as np
import pytest

from genwright.core import Vocabulary

LETTERS = [b"a", b"b", b"ab", b"ba", b"aa", b""]
TINY = Vocabulary(LETTERS, frozenset({5}), lambda t: ["ab".index(c) for c in t], "tiny")


def enumerate_language(constraint, vocabulary, longest):
    """Every token string of at most `longest` tokens that the constraint lets end."""
    found, front = set(), [((), constraint.compile(vocabulary).start())]
    while front:
        tokens, state = front.pop()
        assert state.mask()[sorted(vocabulary.eos)].all() == state.accepting
        if state.accepting:
            found.add(tokens)
        for token in np.flatnonzero(state.mask()) if len(tokens) < longest else ():
            if token not in vocabulary.eos:
                after = state.fork()
                after.advance(int(token))
                front.append(((*tokens, int(token)), after))
    return found


@pytest.fixture
def tiny():
    return TINY


@pytest.fixture
def language():
    return enumerate_language
