"""Tokens pass by their bytes: cut characters, strings over several tokens, transforms, culprits."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import ConstraintError, InvalidArgument, Vocabulary
from genwright.steering.filters import fold
from genwright.steering.lexical import Anagram, Ban, Length, Require, StartsWith
from genwright.steering.matching import ALL_BYTES
from genwright.steering.token_filter import TRANSFORMS, TokenFilter

PIECES = [b"t", b"h", b"e", b"T", b"he", b"th", b" the", b" t", b"\xc3", b"\xa9", b"\xa8x", b""]
VOCABULARY = Vocabulary(PIECES, frozenset({11}), lambda text: [], "pieces")


def spelled(compiled, tokens):
    """Whether the masks let a draw write these tokens, and end after them."""
    state = compiled.start()
    for token in tokens:
        if not state.mask()[token]:
            return False
        state.advance(token)
    return state.accepting


@pytest.mark.parametrize(
    "bans",
    [
        (Ban(strings=("the",)),),
        (Ban(strings=("th", "hh")),),
        (Ban(strings=("é",)),),
        (Ban(strings=("é",), fold=False), Ban(strings=("T",), fold=False)),
        (Ban(strings=("tth",)), Ban(strings=("heh",))),
    ],
    ids=["the", "two", "folded", "exact", "overlapping"],
)
def test_a_ban_allows_exactly_the_strings_without_it(bans):
    """Every string of up to four tokens, judged as a whole text."""
    compiled = TokenFilter(filters=bans).compile(VOCABULARY)
    for n in range(5):
        for tokens in product(range(11), repeat=n):
            data = VOCABULARY.decode(tokens)
            try:
                text = data.decode()
                clean = all(b.allows([text])[0] for b in bans)
            except UnicodeDecodeError:
                clean = False
            assert spelled(compiled, tokens) == clean, data


@given(st.text(max_size=6))
def test_any_text_may_be_spelled_byte_by_byte_unless_it_is_banned(text):
    compiled = TokenFilter(filters=(Ban(strings=("e", "ß")),)).compile(ALL_BYTES)
    banned = "e" in fold(text) or "ss" in fold(text)
    assert spelled(compiled, text.encode()) == (not banned)


def test_a_byte_is_refused_where_only_banned_characters_begin_with_it():
    pieces = [b"\xc3", b"\xa9", b"a", b""]
    vocabulary = Vocabulary(pieces, frozenset({3}), lambda text: [], "")
    mask = TokenFilter(filters=(Ban(strings=("e",)),)).compile(vocabulary).start().mask()
    assert mask.tolist() == [False, False, True, True]


def test_cut_characters_are_refused_by_filters_of_whole_strings():
    mask = TokenFilter(filters=(Length(at_most=9),)).compile(ALL_BYTES).start().mask()
    assert np.flatnonzero(~mask).tolist() == list(range(128, 256))


def test_the_end_is_no_token_to_filter():
    state = TokenFilter(filters=(Require(strings=("t",)),)).compile(VOCABULARY).start()
    assert state.accepting
    assert state.mask()[11]
    assert np.flatnonzero(state.mask()).tolist() == [0, 3, 5, 6, 7, 11]


def test_filters_meet_in_any_order():
    parts = (Ban(strings=("he",)), Length(at_most=2), StartsWith(string="t"))
    masks = [
        TokenFilter(filters=order).compile(VOCABULARY).start().mask().tolist()
        for order in (parts, parts[::-1])
    ]
    alone = [TokenFilter(filters=(p,)).compile(VOCABULARY).start().mask() for p in parts]
    assert masks[0] == masks[1] == np.logical_and.reduce(alone).tolist()


@pytest.mark.parametrize(
    ("transforms", "allowed"),
    [
        ((), [b"t", b"th"]),
        (("strip",), [b"t", b"th", b" the", b" t"]),
        (("lower",), [b"t", b"T", b"th"]),
        (("strip", "upper", "lower"), [b"t", b"T", b"th", b" the", b" t"]),
    ],
    ids=["none", "strip", "lower", "three"],
)
def test_transforms_come_before_filters(transforms, allowed):
    judge = StartsWith(string="t", fold=False)
    compiled = TokenFilter(filters=(judge,), transforms=transforms).compile(VOCABULARY)
    ids = np.flatnonzero(compiled.start().mask())
    assert [PIECES[i] for i in ids if i != 11] == allowed


def test_each_transform_does_what_it_says():
    text = " Ab1 é\n"
    wanted = {
        "upper": " AB1 É\n",
        "lower": " ab1 é\n",
        "remove_spaces": "Ab1é\n",
        "lstrip": "Ab1 é\n",
        "rstrip": " Ab1 é",
        "strip": "Ab1 é",
        "capitalize": " ab1 é\n",
        "alphanumeric": "Ab1é",
        "alphabetic": "Abé",
        "digits": "1",
        "ascii": " Ab1 \n",
        "drop_blanks": text,
    }
    assert {name: change(text) for name, change in TRANSFORMS.items()} == wanted


def test_blanks_are_dropped_where_that_is_asked_for():
    vocabulary = Vocabulary([b" ", b"a", b""], frozenset({2}), lambda text: [], "")
    kept = TokenFilter(filters=(Length(),), transforms=("strip",))
    dropped = TokenFilter(filters=(Length(),), transforms=("strip", "drop_blanks"))
    assert kept.compile(vocabulary).start().mask().tolist() == [True, True, True]
    assert dropped.compile(vocabulary).start().mask().tolist() == [False, True, True]
    assert dropped.explain(" ") == ["drop_blanks"]


def test_an_empty_set_names_the_filters_that_contradict():
    parts = (Ban(strings=("h",)), Length(at_most=9), Anagram(letters="eh"))
    with pytest.raises(ConstraintError) as caught:
        TokenFilter(filters=parts).compile(VOCABULARY)
    guilty = "Ban(strings=('h',)) allows 4; Anagram(letters='eh') allows 1 of 12 tokens"
    assert guilty in str(caught.value)
    assert "Length" not in str(caught.value)


def test_a_token_is_explained_by_the_filters_that_refuse_it():
    rule = TokenFilter(filters=(Ban(strings=("e",)), Length(at_most=3)), transforms=("strip",))
    assert rule.explain(" cat") == []
    assert rule.explain(" Été") == ["Ban(strings=('e',))"]
    assert rule.explain("there") == ["Ban(strings=('e',))", "Length(at_most=3)"]


def test_settings_out_of_range_are_refused():
    with pytest.raises(InvalidArgument, match="at least one, got none"):
        TokenFilter(filters=())
    with pytest.raises(InvalidArgument, match=r"no transform is called 'stripp'.*'strip'"):
        TokenFilter(filters=(Length(),), transforms=("stripp",))


def test_a_token_that_is_not_allowed_moves_nothing():
    state = TokenFilter(filters=(Ban(strings=("the",)),)).compile(VOCABULARY).start()
    state.advance(5)
    before = state.mask().copy()
    with pytest.raises(InvalidArgument, match="token 2 does not pass"):
        state.advance(2)
    assert np.array_equal(state.mask(), before)
    assert not before[2]
    assert before[4] == ("the" not in "thhe")
