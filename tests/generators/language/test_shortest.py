"""The least length of a draw under constraints, exact where it can be, and refused in time."""

import pytest

pytest.importorskip("llguidance")
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import ConstraintError
from genwright.generators.language.local import LocalLM
from genwright.generators.language.shortest import Shortest, check_length, shortest_completion
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.json_schema import JsonSchema
from genwright.steering.matching import ALL_BYTES
from genwright.steering.python_machine import PythonMachine


def compiled(*constraints):
    return [constraint.compile(ALL_BYTES) for constraint in constraints]


@given(st.sets(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=4))
def test_it_is_the_shortest_word_of_a_list(words):
    found = shortest_completion(compiled(Regex(pattern="|".join(sorted(words)))), 9)
    assert found.at_least == len(found.tokens) == min(map(len, words))
    assert bytes(found.tokens).decode() in words


@pytest.mark.parametrize(
    ("constraints", "least"),
    [
        ([Regex(pattern="a*")], 0),
        ([Regex(pattern="a{30}")], 30),
        ([JsonSchema(schema={"const": {"kind": "order"}})], len('{"kind":"order"}')),
        ([Regex(pattern="(aa)+"), Regex(pattern="(aaa)+")], 6),
        ([Regex(pattern="ab|cd"), Regex(pattern="ad|cb")], None),  # agree on a token, no string
    ],
)
def test_what_is_known_exactly(constraints, least):
    assert shortest_completion(compiled(*constraints), 64).at_least == least


def test_where_choices_are_many_it_is_a_bound():
    """26 letters a step: 26 + 676 states are looked at, 17,576 more are too many."""
    assert shortest_completion(compiled(Regex(pattern="[a-z]{9}")), 64) == Shortest(3)
    check_length(compiled(Regex(pattern="[a-z]{9}")), 5)  # it could not tell, and lets it be
    with pytest.raises(ConstraintError, match="at least 3 tokens, but max_new_tokens is 2"):
        check_length(compiled(Regex(pattern="[a-z]{9}")), 2)


def test_a_limit_that_is_just_enough_is_no_error():
    check_length(compiled(Regex(pattern="a{30}")), 30)
    with pytest.raises(ConstraintError, match="has 30 tokens, but max_new_tokens is 29"):
        check_length(compiled(Regex(pattern="a{30}")), 29)


def test_what_never_ends_is_longer_than_any_limit():
    endless = PythonMachine(
        begin=0, step=lambda s, byte: 0 if byte == ord("a") else None, done=lambda s: False
    )
    with pytest.raises(ConstraintError, match="contradict"):
        check_length(compiled(Regex(pattern="ab|cd"), Regex(pattern="ad|cb")), 8)
    with pytest.raises(ConstraintError, match="at least 1001 tokens, but max_new_tokens is 256"):
        check_length(compiled(endless), 256)


def test_a_model_is_not_run_for_draws_that_could_not_end(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4)
    assert lm.steered(Grammar(text='start: "a{4}"')).sample("x", 1, seed=0).values == ["a{4}"]
    with pytest.raises(ConstraintError, match="has 5 tokens, but max_new_tokens is 4"):
        lm.steered(Regex(pattern="a{5}")).sample("x", 1, seed=0)
