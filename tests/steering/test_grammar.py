"""Grammar and Regex allow exactly their strings, force what is certain, and say what is wrong."""

import re
from itertools import product

import numpy as np
import pytest

from genwright.core import ConstraintError, InvalidArgument, Vocabulary
from genwright.steering import matching
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.matching import ALL_BYTES
from genwright.steering.membership import accepts, where_it_fails
from genwright.testing import ConstraintCase, check_contract


@pytest.mark.parametrize("pattern", ["a*b", "(ab)+", "a{2,3}|b", "(a|b)*aa", "a?b?"])
def test_a_regex_allows_exactly_the_texts_that_it_matches(pattern, tiny, language):
    """Where bytes are forced only their canonical tokens are allowed, so texts are compared."""
    found = {tiny.decode(s).decode() for s in language(Regex(pattern=pattern), tiny, 5)}
    texts = {"".join(s) for n in range(6) for s in product("ab", repeat=n)}
    assert {t for t in found if len(t) <= 5} == {t for t in texts if re.fullmatch(pattern, t)}
    assert all(re.fullmatch(pattern, t) for t in found)


def test_a_grammar_counts_where_a_regex_cannot(tiny, language):
    found = language(Grammar(text='start: "a" start "b" | "ab"'), tiny, 4)
    assert {tiny.decode(s) for s in found} == {b"ab", b"aabb", b"aaabbb"}


@pytest.mark.parametrize(
    ("constraint", "culprit"),
    [
        (Regex(pattern="[a"), "unclosed character class"),
        (Regex(pattern="(?=a)b"), "look-around"),
        (Grammar(text="start: word"), 'unknown name: "word"'),
        (Grammar(text='first: "a"'), "no start rule"),
        (Grammar(text="start: X\nX: /a/ & /b/"), "no string at all"),
        (Grammar(text='start: "b"\nword: "a'), r"2\(9\): lexer error"),
        (Regex(pattern="c+"), "vocabulary tiny cannot spell"),
    ],
)
def test_what_cannot_be_compiled_is_named_before_any_draw(constraint, culprit, tiny):
    with pytest.raises(ConstraintError, match=culprit):
        constraint.compile(tiny)


@pytest.mark.parametrize("text", ['start: "a" start', 'start: a\na: "x" b\nb: "y" a'])
def test_a_grammar_that_forces_a_text_without_end_is_refused(text):
    with pytest.raises(ConstraintError, match="what must come next has no end"):
        Grammar(text=text).compile(ALL_BYTES)


def test_left_recursion_is_a_repetition(tiny, language):
    found = language(Grammar(text='start: start "b" | "a"'), tiny, 2)
    assert {tiny.decode(s) for s in found} == {b"a", b"ab", b"abb"}
    with pytest.raises(ConstraintError, match="no string at all"):
        Grammar(text='start: start "b"').compile(tiny)


def test_a_vocabulary_without_an_end_is_refused():
    with pytest.raises(ConstraintError, match="no end token"):
        Regex(pattern="a").compile(Vocabulary([b"a"], frozenset(), lambda t: [0] * len(t), "x"))


def test_forced_tokens_are_the_only_way_on_and_leave_the_state():
    state = Regex(pattern="(abc|abd)?x").compile(ALL_BYTES).start()
    assert state.forced() == []
    state.advance(ord("a"))
    assert state.forced() == [ord("b")]
    for token in state.forced():
        assert np.flatnonzero(state.mask()).tolist() == [token]
        state.advance(token)
    assert np.flatnonzero(state.mask()).tolist() == [ord("c"), ord("d")]


def test_nothing_is_forced_where_the_draw_may_end():
    state = Regex(pattern="a(bc)?").compile(ALL_BYTES).start()
    state.advance(ord("a"))
    assert (state.accepting, state.forced()) == (True, [])


def test_a_dead_end_allows_nothing_and_is_no_end(tiny):
    state = Grammar(text="start: /a/ X | /b/\nX: /b/ & /c/").compile(tiny).start()
    state.advance(0)
    assert not state.mask().any()
    assert not state.accepting


def test_a_token_that_is_not_allowed_is_refused(tiny):
    with pytest.raises(InvalidArgument, match=r"token 1 \(b'b'\) is not allowed"):
        Regex(pattern="a+").compile(tiny).start().advance(1)


@pytest.mark.parametrize("most", [3, 9])
def test_kept_masks_are_those_of_the_states_and_are_few(tiny, monkeypatch, most):
    """Walked twice; a language that counts shows a mask that was kept for another place."""
    monkeypatch.setattr(matching, "KEPT_MASKS", most)
    monkeypatch.setattr(matching, "KEPT_DEPTH", 4)
    compiled = Regex(pattern="(a{2}b){3}").compile(tiny)
    walks = []
    for _ in range(2):
        state, masks = compiled.start(), []
        for token in [0, 0, 1] * 3:
            masks.append(state.mask().tolist())
            state.advance(token)
        walks.append([*masks, state.mask().tolist()])
        assert max(map(len, compiled.kept)) == 4
    assert walks[0] == walks[1]
    assert walks[0][9] == [False] * 5 + [True]
    assert len(compiled.kept) == min(most, 5)


def test_a_mask_is_computed_once_for_draws_that_begin_alike(tiny):
    compiled = Regex(pattern="[ab]{3}").compile(tiny)
    first, second = compiled.start(), compiled.start()
    for state in (first, second):
        state.mask()
        state.advance(0)
        state.fork().mask()
    assert list(compiled.kept) == [(), (0,)]


def test_where_a_text_leaves_the_language_is_shown():
    compiled = Regex(pattern="ab*").compile(ALL_BYTES)
    assert where_it_fails(compiled, ALL_BYTES, "abbc!") == ("abb", "c!")
    assert where_it_fails(compiled, ALL_BYTES, "abb") is None
    assert where_it_fails(compiled, ALL_BYTES, "") == ("", "")
    assert not accepts(Regex(pattern="abc"), ALL_BYTES, "ab")


def test_what_an_endpoint_is_told():
    assert Regex(pattern="a").extra_body()["structured_outputs"] == {"regex": "a"}
    assert Grammar(text='start: "a"').extra_body()["guided_grammar"] == 'start: "a"'


@pytest.mark.parametrize(
    ("constraint", "members", "outsiders"),
    [
        (Regex(pattern="[0-9]{2}-[a-c]*"), ["12-ab", "00-"], ["1-a", "12-d"]),
        (Grammar(text='start: "(" start ")" | "x"'), ["x", "((x))"], ["(x", ")"]),
    ],
)
def test_constraints_keep_the_contract(constraint, members, outsiders):
    check_contract(
        ConstraintCase(
            make=lambda: constraint, vocabulary=ALL_BYTES, members=members, outsiders=outsiders
        )
    )
