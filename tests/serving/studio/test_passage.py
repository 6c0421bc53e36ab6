"""Where a text stands under filters: spelled in any tokens, taken back to a character, carried."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Vocabulary
from genwright.serving.studio.carried import Carried
from genwright.serving.studio.next_words import prompts, told, ways
from genwright.serving.studio.passage import Broken, Passage, stand
from genwright.serving.studio.pieces import Pieces
from genwright.steering.python_machine import PythonMachine

TOKENS = [b"", b"a", b"b", b" ", b" a", b" b", b"ab", b"ba", b"\xc3", b"\xa9", b" ab", b"aba"]


def encode(text):
    """Spell a text with the longest tokens first."""
    data, found = text.encode(), []
    while data:
        fitting = [t for t in TOKENS if t and data.startswith(t)]
        found.append(TOKENS.index(max(fitting, key=len)))
        data = data[len(TOKENS[found[-1]]) :]
    return found


VOCABULARY = Vocabulary(TOKENS, frozenset({0}), encode)
PIECES = Pieces(VOCABULARY)


def only(texts):
    """Return a constraint that allows beginnings of the texts, and ends at them."""
    data = [text.encode() for text in texts]
    return PythonMachine(
        begin=b"",
        step=lambda s, c: (
            s + bytes([c]) if any(d.startswith(s + bytes([c])) for d in data) else None
        ),
        done=lambda s: s in data,
    ).compile(VOCABULARY)


def allowed(found):
    return {TOKENS[i] for i in np.flatnonzero(Passage(found, PIECES).start().mask())}


def test_without_filters_the_last_token_is_asked_for_again():
    found = stand([], "b ", "", PIECES)
    assert (found.tokens, found.pending) == (encode("b"), b" ")
    assert allowed(found) == {b" ", b" a", b" b", b" ab"}


def test_a_token_that_begins_inside_a_character_stays():
    found = stand([], "aé", "", PIECES)
    assert (found.tokens, found.pending) == (encode("aé"), b"")


def test_a_filter_follows_the_passage_and_sees_no_byte_before_it():
    found = stand([only(["abab"])], "b", "ab", PIECES)
    assert (found.tokens, found.pending) == (encode("ba"), b"b")
    assert allowed(found) == {b"b", b"ba"}
    state = Passage(found, PIECES).start()
    state.advance(TOKENS.index(b"ba"))
    assert {TOKENS[i] for i in np.flatnonzero(state.mask())} == {b"b"}


def test_a_token_that_begins_before_the_passage_is_judged_by_its_rest():
    """The text ends in a space that the filter must not see, and " ab" is what would come next."""
    found = stand([only(["ab"])], "b ", "", PIECES)
    assert found.pending == b" "
    assert allowed(found) == {b" ", b" a", b" ab"}
    state = Passage(found, PIECES).start()
    state.advance(TOKENS.index(b" ab"))
    assert state.accepting
    assert set(np.flatnonzero(state.mask())) == {0}
    again = Passage(found, PIECES).start()
    again.advance(TOKENS.index(b" "))
    assert {TOKENS[i] for i in np.flatnonzero(again.mask())} == {b"a", b"ab"}


def test_a_passage_that_the_tokenizer_spells_otherwise_is_followed_in_other_tokens():
    """The filter knows single letters alone; the tokenizer writes "aba" as one token."""
    letters = PythonMachine(begin=0, step=lambda s, c: c != ord(" ") or None, done=lambda s: True)
    compiled = letters.compile(VOCABULARY)

    class Single:
        def start(self):
            return One(compiled.start())

    class One:
        def __init__(self, state):
            self.state = state

        def mask(self):
            return self.state.mask() & np.array([len(t) < 2 for t in TOKENS])

        def advance(self, token):
            assert self.mask()[token]
            self.state.advance(token)

        def fork(self):
            return One(self.state.fork())

        accepting = True

    found = stand([Single()], "", "aba", PIECES)
    assert not isinstance(found, Broken)
    assert VOCABULARY.decode(found.tokens) + found.pending == b"aba"
    assert (Passage(found, PIECES).start().mask() <= np.array([len(t) < 2 for t in TOKENS])).all()


def test_a_broken_passage_says_where_and_by_whom():
    assert stand([only(["ab b"]), only(["ab a"])], "b", "ab bb", PIECES) == Broken(3, 1)
    assert stand([only(["ab"])], "", "é", PIECES) == Broken(0, 0)


@given(st.text("ab é", max_size=6), st.text("ab ", max_size=5), st.text("ab ", max_size=3))
def test_what_is_read_and_what_is_pending_make_up_the_text(context, passage, rest):
    found = stand([only([passage + rest + "a"])], context, passage, PIECES)
    assert not isinstance(found, Broken)
    text = (context + passage).encode()
    assert VOCABULARY.decode(found.tokens) + found.pending == text
    goes_on = {token[len(found.pending) :] for token in allowed(found)}
    assert any((rest + "a").encode().startswith(each) for each in goes_on)


def test_an_unspelled_byte_is_never_allowed():
    odd = Pieces(Vocabulary([b"", b"a", b" \xff"], frozenset({0}), encode))
    state = Carried(only(["a"]).start(), b" ", odd)
    assert not state.mask().any()


def test_a_token_whose_rest_is_two_tokens_is_followed_through_both():
    tokens = [b"", b"a", b"b", b" ab"]
    pieces = Pieces(Vocabulary(tokens, frozenset({0}), encode))

    def first(text):
        machine = PythonMachine(
            begin=b"",
            step=lambda s, c: s + bytes([c]) if text.startswith(s + bytes([c])) else None,
            done=lambda s: s in (b"", text),
        )
        return Carried(machine.compile(pieces.vocabulary).start(), b" ", pieces)

    assert np.flatnonzero(first(b"ab").mask()).tolist() == [3]
    assert not first(b"aa").mask().any()
    assert not first(b"ab").accepting  # the empty passage may end, but its space is not written
    state = first(b"ab")
    state.advance(3)
    assert state.accepting


@pytest.mark.timeout(30)
def test_a_long_broken_passage_is_not_spelled_in_every_way():
    """It has 2^40 spellings at least."""
    assert stand([only(["ab" * 40 + "b"])], "", "ab" * 40 + "a", PIECES) == Broken(80, 0)


def odds_of(seed):
    drawn = np.random.default_rng(seed).random(len(TOKENS)) + 0.01
    return drawn / drawn.sum()


@pytest.mark.parametrize("text", ["b", "ab", "b ", "bé"])
def test_the_probability_of_a_piece_is_the_sum_over_its_spellings(text):
    """Known answer: the formula of the module, summed one token at a time."""
    found = stand([only([text + "abba", text + " "])], "", text, PIECES)
    asked = prompts([], found, PIECES)
    odds = [odds_of(i) for i in range(len(asked))]
    answer = told(ways(odds, found, PIECES), PIECES, 50)
    pending, wanted = found.pending, {}
    total = sum(p for p, t in zip(odds[0], TOKENS, strict=True) if t and t.startswith(pending))
    for i, token in enumerate(TOKENS):
        if pending and token.startswith(pending) and token != pending:
            piece = token[len(pending) :]
            wanted[piece] = wanted.get(piece, 0) + odds[0][i] / total
        if not pending:
            wanted[token] = odds[0][i]
        elif len(odds) > 1:
            again = odds[0][TOKENS.index(pending)] / total
            wanted[token] = wanted.get(token, 0) + again * odds[1][i]
    shown = {
        w["text"]: w["raw"] for w in answer["words"] + answer["removed"] if w["kind"] == "text"
    }
    known = {k.decode(): v for k, v in wanted.items() if k and k not in (b"\xc3", b"\xa9")}
    assert shown == pytest.approx(known)
    legal = {k for k in known if "abba".startswith(k) or k == " "}
    assert {w["text"] for w in answer["words"] if w["kind"] == "text"} == legal
    left = sum(v for k, v in wanted.items() if k.decode(errors="replace") in legal)
    assert answer["mass"] == pytest.approx(left)
    assert sum(w["p"] for w in answer["words"]) == pytest.approx(1)
    assert answer["filters"][0]["mass"] == pytest.approx(1 - left)


def test_a_piece_that_is_taken_away_names_who_took_it():
    found = stand([only(["aa", "ba"]), only(["ab", " "])], "", "", PIECES)
    (odds,) = [odds_of(1)]
    answer = told(ways([odds], found, PIECES), PIECES, 50)
    by = {w["text"]: w["by"] for w in answer["removed"] if w["kind"] == "text"}
    assert (by["b"], by[" "], by["aba"]) == ([1], [0], [0, 1])
    assert {w["text"] for w in answer["words"]} == {"a"}
