"""Names behind a trigger are the tool's, byte by byte, whatever tokens spell them."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Vocabulary
from genwright.generators.language.tries import written
from genwright.steering.code_completion import CodeCompletion
from genwright.steering.compose import Intersection
from genwright.steering.grammar import Regex

PIECES = [b"a", b"b", b".", b"(", b"ab", b".a", b"a(", b"b.", b".(", b"a(b", b"", b""]
MARK, END = 10, 11
LETTERS = {bytes(p).decode(): i for i, p in enumerate(PIECES) if len(p) == 1}
WORDS = Vocabulary(
    PIECES,
    frozenset({END}),
    lambda text: [MARK] if text == "<lsp>" else [LETTERS[c] for c in text],
    "pieces",
)


class Known:
    """Knows names behind every dot or trigger, but none right behind `(`."""

    def __init__(self, *names):
        self.names, self.asked = names, []

    def complete(self, file, before, after):
        self.asked.append(before)
        return [] if before.endswith("(.") else list(self.names)


def compiled(tool, **settings):
    return CodeCompletion(tool=tool, file="m.py", **settings).compile(WORDS)


def strings(constraint, longest):
    """Every token string that the constraint lets end, as tokens."""
    found, front = [], [((), constraint.start())]
    while front:
        tokens, state = front.pop()
        assert state.mask()[END] == state.accepting
        if state.accepting:
            found.append(tokens)
        for token in np.flatnonzero(state.mask()) if len(tokens) < longest else ():
            if token != END:
                after = state.fork()
                after.advance(int(token))
                front.append(((*tokens, int(token)), after))
    return found


def text(tokens):
    return b"".join(PIECES[t] for t in tokens).decode()


def legal(written, names):
    """Whether a name that is right behind a dot, where the tool knows some, is one of them."""
    for dot in re.finditer(r"\.", written):
        if written[: dot.end()].endswith("(."):
            continue
        name = re.match(r"[ab]*", written[dot.end() :])[0]
        if name not in names and not (name == "" and written[dot.end() :].startswith(("(", "."))):
            return False
    return True


@given(st.sets(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3))
def test_every_text_it_lets_end_is_legal(names):
    for tokens in strings(compiled(Known(*names)), 3):
        assert legal(text(tokens), names), text(tokens)


@pytest.mark.parametrize("names", [("a",), ("ab", "a"), ("ba", "bb")], ids=".".join)
def test_every_legal_text_of_bytes_and_long_tokens_can_be_written(names):
    """Texts in which a dot is followed by a name of the tool's, or comes behind `(`."""
    found = {text(tokens) for tokens in strings(compiled(Known(*names)), 4)}
    wanted = {f"a.{name}" for name in names} | {f"a.{names[0]}(", "(.", "(.a", "a(b", "b"}
    wanted = {w for w in wanted if len(w) <= 4}
    assert wanted <= found


def test_a_token_may_reach_from_a_name_into_what_follows():
    state = compiled(Known("a", "ba")).start()
    state.advance(0)
    state.advance(2)
    allowed = {PIECES[i] for i in np.flatnonzero(state.mask())}
    assert allowed == {b"a", b"b", b"a(", b"a(b"}
    state.advance(9)  # "a(b": the name has ended, and what follows is free
    assert state.accepting
    assert state.mask()[4]


def test_a_name_that_goes_on_holds_nobody_who_took_the_shorter_one():
    state = compiled(Known("a", "a(b")).start()
    state.advance(2)
    state.advance(6)  # "a(": the first name has ended, the second has not
    assert state.mask()[[0, 1, 4, END]].all()


def test_a_copy_made_right_behind_a_dot_asks_too():
    state = compiled(Known("a")).start()
    state.advance(2)
    fork = state.fork()
    assert not fork.mask()[1]
    assert not fork.accepting


def test_tokens_with_a_name_behind_a_dot_are_refused_and_the_tool_is_asked_instead():
    tool = Known("a")
    state = compiled(tool, before="x = ").start()
    refused = {PIECES[i] for i in np.flatnonzero(~state.mask())}
    assert refused == {b".a", b""}
    state.advance(7)  # "b."
    assert {PIECES[i] for i in np.flatnonzero(state.mask())} == {b"a", b"a(", b"a(b"}
    assert tool.asked == ["x = b."]
    assert not state.accepting
    with pytest.raises(InvalidArgument, match="not allowed here"):
        state.advance(1)


def test_a_file_that_ends_in_a_dot_is_gone_on_with_by_a_name():
    state = compiled(Known("ab"), before="x.").start()
    assert {PIECES[i] for i in np.flatnonzero(state.mask())} == {b"a", b"ab"}


def test_a_special_token_asks_and_leaves_no_text():
    tool = Known("ab", "b(")
    state = compiled(tool, trigger="<lsp>").start()
    state.advance(2)  # a dot is no trigger here
    assert tool.asked == []
    state.advance(MARK)
    assert {PIECES[i] for i in np.flatnonzero(state.mask())} == {b"a", b"b", b"ab"}
    assert tool.asked == ["."]
    state.advance(4)
    after = {PIECES[i] for i in np.flatnonzero(state.mask())}
    assert after == {b".", b"(", b".a", b".(", b""}
    assert state.mask()[[MARK, END]].all()
    free = compiled(Known(), trigger="<lsp>").start()
    free.advance(MARK)
    assert not free.mask()[MARK]  # two never follow one another
    assert free.mask()[:10].all()


def test_a_name_that_the_vocabulary_cannot_spell_is_left_out():
    state = compiled(Known("a", "aé")).start()
    state.advance(2)
    state.advance(0)
    assert state.accepting
    assert compiled(Known("é"), before=".").start().mask()[:5].all()


def test_it_composes_with_a_grammar():
    pytest.importorskip("llguidance")
    words = Vocabulary(
        [*(bytes([i]) for i in range(256)), b""],
        frozenset({256}),
        lambda text: list(text.encode()),
        "bytes",
    )
    tool = Known("alpha", "beta")
    both = Intersection(
        parts=(CodeCompletion(tool=tool, file="m.py"), Regex(pattern="x[.][a-z]{4}[(][)]"))
    )
    state = both.compile(words).start()
    for byte in b"x.b":
        state.advance(byte)
    assert np.flatnonzero(state.mask()).tolist() == [ord("e")]
    for byte in b"eta()":
        state.advance(byte)
    assert state.accepting


def test_what_is_learnt_under_it_is_not_kept_for_later_processes():
    """The project may have changed by then."""
    assert written(CodeCompletion(tool="folder", file="m.py")) is None
    assert written(Regex(pattern="a")) is not None


@pytest.mark.parametrize("trigger", ["", "a", "ab("], ids=["empty", "letter", "several"])
def test_other_triggers_are_refused(trigger):
    with pytest.raises(InvalidArgument, match=r"trigger must be|special token"):
        compiled(Known(), trigger=trigger)
