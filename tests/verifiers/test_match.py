"""Text matches exactly, after normalization, or by a pattern that cannot hang."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Samples
from genwright.verifiers.match import ExactMatch, RegexMatch, normalized


def exact(gold, *drawn, **settings):
    return [v.passed for v in ExactMatch(gold=gold, **settings).check(Samples(list(drawn)))]


def regex(pattern, *drawn, **settings):
    return [v.passed for v in RegexMatch(pattern=pattern, **settings).check(Samples(list(drawn)))]


def test_normalization_drops_case_blanks_width_and_outer_punctuation():
    drawn = ['"The Who."', " the\n who ", "ＴＨＥ who", "Who", "the who!", "the, who", "", None, 3]
    assert exact("the Who", *drawn) == [True] * 3 + [False] * 6
    assert exact("the Who", "the Who", "The Who", "the Who ", normalize=False) == [
        True,
        False,
        False,
    ]


def test_punctuation_alone_is_not_nothing():
    assert exact(".", ".", "", '"') == [True, False, False]


@given(st.text(), st.text())
@example("ſ", "s")
@example("'.'", ".")
def test_normalization_is_idempotent_and_decides_equality(a, b):
    assert normalized(normalized(a)) == normalized(a)
    assert exact(a, a) == [True]
    assert exact(a, b) == exact(b, a)


def test_a_pattern_is_searched_or_must_match_the_whole():
    assert regex(r"\d{4}-\d\d", "on 2013-07", "2013-7", "") == [True, False, False]
    assert regex(r"\d{4}-\d\d", "on 2013-07", "2013-07", whole=True) == [False, True]
    assert regex(r"(?i)yes", "YES", "no", None, 7) == [True, False, False, False]


def test_a_hostile_text_is_cut_off_and_the_rest_of_the_batch_is_checked():
    start = time.monotonic()
    drawn = ["aaaa", "a" * 60 + "!", "b", "a" * 61 + "!"]
    assert regex(r"(a|a)*$|b", *drawn, seconds=0.5, whole=True) == [True, None, True, None]
    assert time.monotonic() - start < 20  # far above 1 s, for a machine that is busy
    assert regex(r"(a|a)*$", "aa") == [True]


def test_a_pattern_that_does_not_compile_is_refused():
    with pytest.raises(InvalidArgument, match="is no pattern"):
        RegexMatch(pattern="(")


def test_a_batch_equals_single_checks():
    check = RegexMatch(pattern="a+")
    drawn = ["a", "b", "", "ba", None]
    assert check.check(Samples(drawn)) == [check.check(Samples([d]))[0] for d in drawn]
