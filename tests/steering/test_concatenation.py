"""A concatenation is one string of each part in order, by enumeration, in either of its forms."""

import re
from itertools import product

import numpy as np
import pytest

from genwright.core import ConstraintError, InvalidArgument
from genwright.steering import concatenation
from genwright.steering.concatenation import CompiledConcatenation, Concatenation
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.json_schema import JsonSchema
from genwright.steering.matching import ALL_BYTES
from genwright.steering.membership import accepts, where_it_fails
from genwright.steering.python_machine import PythonMachine
from genwright.testing import ConstraintCase, check_contract

EVEN = PythonMachine(  # an even number of a's, any number of b's
    begin=0,
    step=lambda state, byte: (state + (byte == ord("a"))) % 2 if byte in b"ab" else None,
    done=lambda state: state == 0,
)
NESTED = Grammar(text='start: "a" start "b" | "ab"')


def concatenated(*languages):
    return {tuple(token for part in parts for token in part) for parts in product(*languages)}


@pytest.mark.parametrize("patterns", [("a*", "b"), ("[ab]*", "a[ab]?b"), ("a|ab", "b?", "(ba)*")])
def test_regular_expressions_are_joined_exactly(patterns, tiny, language):
    whole = "".join(f"(?:{pattern})" for pattern in patterns)
    found = language(Concatenation(parts=[Regex(pattern=p) for p in patterns]), tiny, 4)
    texts = {"".join(text) for n in range(5) for text in product("ab", repeat=n)}
    shown = {tiny.decode(s).decode() for s in found}
    assert {t for t in shown if len(t) <= 4} == {t for t in texts if re.fullmatch(whole, t)}
    assert all(re.fullmatch(whole, t) for t in shown)


@pytest.mark.parametrize(
    "parts", [(EVEN, EVEN), (EVEN, NESTED), (NESTED, EVEN, Regex(pattern="a?"))]
)
def test_other_parts_are_followed_side_by_side(parts, tiny, language):
    """Token strings: one of each part after the other, every place of the boundary."""
    found = language(Concatenation(parts=parts), tiny, 3)
    alone = [language(part, tiny, 3) for part in parts]
    assert found == {s for s in concatenated(*alone) if len(s) <= 3}


def test_grammars_become_one_whose_tokens_reach_over(tiny):
    """Tokens of two letters may hold the end of one part and the beginning of the next."""
    both = Concatenation(parts=(NESTED, Grammar(text='start: "ba" | "bba"')))
    compiled = both.compile(tiny)
    assert not isinstance(compiled, CompiledConcatenation)
    for text in ("abba", "abbba", "aabbba"):
        assert accepts(both, ALL_BYTES, text)
    assert where_it_fails(both.compile(ALL_BYTES), ALL_BYTES, "abab") == ("ab", "ab")
    frame = Concatenation(
        parts=(
            Regex(pattern="Answer: "),
            JsonSchema(schema={"type": "integer"}),
            Regex(pattern="!"),
        )
    )
    assert accepts(frame, ALL_BYTES, "Answer: -12!")
    assert not accepts(frame, ALL_BYTES, "Answer: x!")


def test_what_only_one_reading_forces_is_forced():
    compiled = Concatenation(parts=(EVEN, PythonMachine(
        begin=0, step=lambda s, byte: s + 1 if s < 2 and byte == b"xy"[s] else None,
        done=lambda s: s == 2,
    ))).compile(ALL_BYTES)  # fmt: skip
    state = compiled.start()
    assert np.flatnonzero(state.mask()).tolist() == list(b"abx")
    assert (state.forced(), state.accepting) == ([], False)
    for byte in b"aaxy":
        fork = state.fork()
        state.advance(byte)
        assert fork.mask()[byte]
    assert state.accepting
    with pytest.raises(InvalidArgument, match="token 97"):
        state.advance(ord("a"))


def test_too_many_readings_are_named(tiny, monkeypatch):
    monkeypatch.setattr(concatenation, "READINGS", 3)
    state = Concatenation(parts=(EVEN, EVEN)).compile(tiny).start()
    state.advance(1)
    state.advance(1)
    with pytest.raises(ConstraintError, match="more than 3 readings"):
        state.advance(1)


def test_no_parts_and_parts_that_cannot_be_compiled_are_refused(tiny):
    with pytest.raises(InvalidArgument, match="at least one"):
        Concatenation(parts=())
    with pytest.raises(ConstraintError, match="unclosed"):
        Concatenation(parts=(Regex(pattern="a"), EVEN, Regex(pattern="[b"))).compile(tiny)


@pytest.mark.parametrize(
    ("parts", "members", "outsiders"),
    [
        ((EVEN, NESTED), ["ab", "aaab", "bbab"], ["", "aa", "aab"]),
        ((Regex(pattern="x+"), NESTED), ["xab", "xxaabb"], ["x", "ab"]),
    ],
)
def test_the_contract_is_kept(parts, members, outsiders):
    check_contract(
        ConstraintCase(
            make=lambda: Concatenation(parts=parts),
            vocabulary=ALL_BYTES,
            members=members,
            outsiders=outsiders,
        )
    )


def test_what_one_reading_forces_is_not_forced_while_another_goes_on():
    """After `xa` the first part wants `b`, unless it ended with `x` and the second has its `a`."""
    parts = (Grammar(text='start: "x" | "xab"'), EVEN)
    state = Concatenation(parts=parts).compile(ALL_BYTES).start()
    state.advance(ord("x"))
    state.advance(ord("a"))
    assert state.forced() == []
    assert np.flatnonzero(state.mask()).tolist() == list(b"ab")
