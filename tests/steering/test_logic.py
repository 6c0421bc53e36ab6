"""Clauses stand where the definition puts them after every byte, and contradictions are refused."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genwright.core import ConstraintError, InvalidArgument
from genwright.steering.compose import Intersection
from genwright.steering.grammar import Regex
from genwright.steering.logic import CNF, Status

TEXTS = st.text(alphabet="ab", max_size=12)
LITERALS = st.sampled_from(["aab", "aa", "b", "abab", "!aab", "!ba", "!bbb"])
CLAUSES = st.lists(st.lists(LITERALS, min_size=1, max_size=3), min_size=1, max_size=3)


def read(logic, text):
    return logic.read(logic.begin, text.encode())


def is_said(literal, text):
    return (literal[1:] not in text) if literal[0] == "!" else literal in text


@given(clauses=CLAUSES, text=TEXTS)
@example(clauses=[["aab"]], text="aaab")  # after aa, one more a keeps two of the three
def test_substrings_are_found_as_python_finds_them(clauses, text):
    cnf = CNF(clauses=clauses, whole=False)
    assert cnf.holds(text) == all(any(is_said(lit, text) for lit in c) for c in clauses)


@given(text=st.text(alphabet="ab -.", max_size=14), word=st.sampled_from(["ab", "a b", "a"]))
def test_whole_words_are_found_as_a_regular_expression_finds_them(text, word):
    gap = f"(?<![a-z]){word.replace(' ', '[^a-z]')}(?![a-z])"
    assert CNF(clauses=[[word]]).holds(text) == (re.search(gap, text) is not None)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("dancer", False),
        ("Dance!", True),
        ("a dance", True),
        ("dance-hall", True),
        ("dancé", False),
    ],
)
def test_a_word_is_not_found_inside_another(text, holds):
    assert CNF(clauses=[["dance"]]).holds(text) is holds


def truth(clause, text, alphabet="ab", ahead=4):
    """Where a clause stands, by trying what could follow."""
    now = any(is_said(lit, text) for lit in clause)
    after, front = {now}, [text]
    for _ in range(ahead):
        front = [t + c for t in front for c in alphabet]
        after |= {any(is_said(lit, t) for lit in clause) for t in front}
    if after == {now}:
        return Status.SATISFIED if now else Status.VIOLATED
    return Status.HOLDS if now else Status.OPEN


@pytest.mark.parametrize(
    "clause", [("aab",), ("!ab",), ("aa", "!ab"), ("!a", "!b")], ids=lambda c: "|".join(c)
)
@given(text=st.text(alphabet="ab", max_size=7))
def test_a_status_is_what_every_continuation_says_it_is(clause, text):
    logic = CNF(clauses=[clause], whole=False).logic()
    assert logic.status(read(logic, text)) == [truth(clause, text)]


@given(clauses=CLAUSES, text=TEXTS)
def test_what_is_for_good_stays(clauses, text):
    logic = CNF(clauses=clauses, whole=False)._unchecked()
    state, before = logic.begin, logic.status(logic.begin)
    for byte in text.encode():
        state = logic.step(state, byte)
        after = logic.status(state)
        for was, now in zip(before, after, strict=True):
            assert now is was or was in (Status.HOLDS, Status.OPEN)
        before = after


def test_a_word_at_the_end_counts_until_another_letter_follows():
    logic = CNF(clauses=[["dance"]]).logic()
    assert logic.status(read(logic, "we dance")) == [Status.HOLDS]
    assert logic.status(read(logic, "we dancer")) == [Status.OPEN]
    assert logic.status(read(logic, "we dance ")) == [Status.SATISFIED]


@pytest.mark.parametrize(
    "clauses",
    [
        [["a"], ["!a"]],
        [["a b"], ["!b"], ["c"]],
        [["!b"], ["a b"]],
        [["a", "b"], ["!a"], ["!b"]],
        [["a", "b"], ["!a", "b"], ["a", "!b"], ["!a", "!b"]],
    ],
    ids=["word", "inside", "negation-first", "cases", "two"],
)
def test_clauses_that_contradict_are_refused(clauses, tiny):
    with pytest.raises(ConstraintError, match="clauses contradict"):
        CNF(clauses=clauses).compile(tiny)
    CNF(clauses=clauses[1:]).logic()  # without the first they do not


@pytest.mark.parametrize("clauses", [["dance"], "dance", [[]], [["!"]], [[" "]]])
def test_what_is_no_clause_is_refused(clauses):
    with pytest.raises(InvalidArgument, match="CNF"):
        CNF(clauses=clauses)


def test_as_a_constraint_it_allows_exactly_the_texts_that_satisfy(tiny, language):
    clauses = [["aab", "bb"], ["!aba"]]
    found = language(CNF(clauses=clauses, whole=False), tiny, 4)
    everything = language(Regex(pattern="[ab]*"), tiny, 4)
    texts = {tokens: tiny.decode(tokens).decode() for tokens in everything}
    assert found == {k for k, t in texts.items() if CNF(clauses=clauses, whole=False).holds(t)}
    assert found


def test_it_stands_beside_a_grammar(tiny, language):
    cnf, regex = CNF(clauses=[["ab"], ["!bb"]], whole=False), Regex(pattern="(ab|ba|b)*")
    both = language(Intersection(parts=(cnf, regex)), tiny, 3)
    assert both == language(cnf, tiny, 3) & language(regex, tiny, 3)
