"""A formula seen from tokens: which tokens lead on, and how much of a word stands."""

import pytest

from genwright.core import Vocabulary
from genwright.steering.logic import CNF
from genwright.steering.words_ahead import WordsAhead

PIECES = [" ", "d", "a", "n", " d", "ance", " dance", " not", "hing", ",", "", " b", "b"]
CHUNKS = Vocabulary(
    [piece.encode() for piece in PIECES],
    frozenset({10}),
    lambda text: [
        max(
            (i for i, p in enumerate(PIECES) if p and text.startswith(p)),
            key=lambda i: len(PIECES[i]),
        )
    ],
)


def ahead(*clauses, whole=True):
    return WordsAhead(CNF(clauses=clauses, whole=whole).logic(), CHUNKS)


def after(words, *pieces):
    state = words.logic.begin
    for piece in pieces:
        state = words.advance(state, PIECES.index(piece))
    return state


def led_on(words, *pieces):
    return {PIECES[token] for token in words.tokens(after(words, *pieces))}


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        ((), {" dance", "d"}),
        ((",",), {" dance", "d"}),
        ((" ",), {" dance", "d"}),
        ((" d",), {" dance", "ance"}),
        (("hing",), {" dance"}),
        ((" dance",), set()),
        ((" dance", "n"), {" dance"}),
        ((" dance", ","), set()),
    ],
)
def test_a_word_is_begun_anew_or_gone_on_with(pieces, tokens):
    assert led_on(ahead(["dance"]), *pieces) == tokens


def test_forbidden_words_lead_nowhere():
    assert led_on(ahead(["!dance"])) == set()
    assert led_on(ahead(["dance", "!b"])) == {" dance", "d"}


def test_a_forbidden_word_dooms_at_once_and_a_longer_word_does_not():
    words = ahead(["!not"], ["b", "!d"])
    assert words.doomed(after(words, " not"))
    assert not words.doomed(after(words, " not", "hing"))  # the search has dropped it by then
    assert not words.doomed(after(words, " d"))  # b may still be said


def test_progress_is_the_largest_part_of_an_open_word():
    words = ahead(["dance"], ["ba"])
    assert words.progress(words.logic.begin) == 0
    assert words.progress(after(words, " d")) == pytest.approx(1 / 5)
    assert words.progress(after(words, " d", "a", "n")) == pytest.approx(3 / 5)
    assert words.progress(after(words, " b")) == pytest.approx(1 / 2)
    assert words.progress(after(words, " dance", " b", "a")) == 0
    bare = ahead(["nab"], whole=False)
    assert bare.progress(after(bare, "n", "a")) == pytest.approx(2 / 3)


def test_what_is_said_is_told_by_clause():
    words = ahead(["dance", "b"], ["not"], ["!d"])
    assert words.said(after(words, " b")) == {0}
    assert words.said(after(words, " b", " not")) == {0, 1}
