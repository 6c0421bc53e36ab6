"""Every filter on spelling agrees with a plain oracle on 2,000 words, and folds look-alikes."""

import subprocess
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, uniform
from genwright.steering.filters import contradicting, fold, named
from genwright.steering.lexical import (
    Anagram,
    Ban,
    EditDistance,
    EndsWith,
    Isogram,
    Length,
    Palindrome,
    Require,
    StartsWith,
    StringAt,
)

LETTERS = "aabcdeeginorst"


@cache
def words():
    """2,000 made-up words: short ones are often palindromes, anagrams and near others."""
    found = ["", "level", "the", "other", "listen", "silent", "cat", "cart", "aa", "abab"]
    for i in range(1990):
        size = 1 + int(7 * uniform(i, "size"))
        found.append("".join(LETTERS[int(len(LETTERS) * uniform(i, k))] for k in range(size)))
    return found


def distance(a, b):
    """Levenshtein by the textbook's table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


ORACLES = {
    "ban any": (Ban(strings=("e", "an")), lambda w: "e" not in w and "an" not in w),
    "ban both": (Ban(strings=("e", "a"), together=True), lambda w: not {"e", "a"} <= set(w)),
    "require all": (Require(strings=("e", "a")), lambda w: "e" in w and "a" in w),
    "require any": (Require(strings=("e", "a"), every=False), lambda w: "e" in w or "a" in w),
    "at": (StringAt(string="t", position=1), lambda w: w[1:2] == "t"),
    "at from the end": (StringAt(string="er", position=-2), lambda w: w[-2:] == "er"),
    "starts": (StartsWith(string="re"), lambda w: w[:2] == "re"),
    "ends": (EndsWith(string="t"), lambda w: w[-1:] == "t"),
    "length": (Length(at_least=2, at_most=4), lambda w: len(w) in (2, 3, 4)),
    "near": (EditDistance(word="cart", at_most=2), lambda w: distance(w, "cart") <= 2),
    "palindrome": (Palindrome(), lambda w: all(w[i] == w[-1 - i] for i in range(len(w)))),
    "anagram": (Anagram(letters="listen"), lambda w: sorted(w) == sorted("listen")),
    "partly": (
        Anagram(letters="tables", partly=True),
        lambda w: all(w.count(c) <= "tables".count(c) for c in w),
    ),
    "isogram": (Isogram(), lambda w: len(set(w)) == len(w)),
    "reverse isogram": (Isogram(at_least=2, at_most=9), lambda w: 1 not in Counter(w).values()),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_filter_agrees_with_its_oracle(name):
    judge, oracle = ORACLES[name]
    if name == "near":
        pytest.importorskip("rapidfuzz")
    answers = judge.allows(words())
    assert answers == [bool(oracle(word)) for word in words()]
    assert 0 < sum(answers) < len(words())


@pytest.mark.parametrize("text", ["e", "E", "É", "é", "e\u0301", "ｅ", "𝐞", "ⓔ", "x\u00adE", "𝐄"])
def test_a_ban_sees_through_case_accents_and_width(text):
    assert Ban(strings=("e",)).allows([text]) == [False]
    assert Ban(strings=("É",)).allows([text]) == [False]
    assert Ban(strings=("e",), fold=False).allows([text]) == ["e" not in text]


def test_invisible_characters_do_not_part_a_banned_word():
    assert Ban(strings=("the",)).allows(["t\u200bhe", "t\u00adhe", "t he"]) == [False, False, True]


@given(st.text(), st.text())
def test_folding_goes_character_by_character(a, b):
    assert fold(a) + fold(b) == fold(a + b)
    assert fold(fold(a)) == fold(a)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ban(strings=()), "Ban: strings must hold a string"),
        (lambda: Ban(strings=("a", "\u0301")), "each a character"),
        (lambda: Require(strings=("",)), "Require: strings"),
        (lambda: StringAt(string=""), "StringAt: string must hold a character, got ''"),
        (lambda: Length(at_least=5, at_most=3), "at_least must be 0 to at_most, got 5"),
        (lambda: EditDistance(word="a", at_most=-1), "at_most must be 0 or more, got -1"),
        (lambda: Isogram(at_least=3, at_most=2), "at_least must be 1 to at_most, got 3"),
        (lambda: Anagram(letters=""), "letters must hold a letter"),
    ],
    ids=["ban", "mark", "require", "at", "length", "distance", "isogram", "anagram"],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_one_text_is_a_list_of_one():
    assert Ban(strings="the") == Ban(strings=["the"]) == Ban(strings=("the",))


def test_a_filter_is_named_as_a_user_writes_it():
    assert named(Length(at_most=3)) == "Length(at_most=3)"
    assert named(Ban(strings=["e"])) == "Ban(strings=('e',))"


def test_the_smallest_contradiction_is_found():
    filters = [Length(), Length(at_most=2), Isogram(), Length(at_least=3)]
    kept = [np.array(f.allows(words())) for f in filters]
    assert [f for f, _ in contradicting(filters, kept)] == [filters[1], filters[3]]
    assert [n for _, n in contradicting(filters, kept)] == [kept[1].sum(), kept[3].sum()]


def test_filters_of_spelling_load_no_network():
    code = "import sys, genwright.steering.token_filter; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
