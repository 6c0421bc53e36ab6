"""Programs become trees; every token is paid for by the node that owns its text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.assurance.program_tree import MOST, ProgramTree, scored_tokens
from genwright.core import InvalidArgument, Sample, Vocabulary

SQL = "SELECT T1.name FROM users AS T1 WHERE age > 5 AND city = 'é b' LIMIT 3"


def per_character(code, cost=0.125):
    return [(c.encode(), -cost) for c in code]


def texts(tree):
    source = tree.source.encode()
    return [source[node.start : node.end].decode() for node in tree.nodes]


def test_a_python_tree_by_hand():
    tree = ProgramTree.from_python("return x + f(1)", per_character("return x + f(1)"))
    assert texts(tree) == ["return x + f(1)", "return x + f(1)", "x + f(1)", "x", "f(1)", "f", "1"]
    assert [node.parent for node in tree.nodes] == [-1, 0, 1, 2, 2, 4, 4]
    assert tree.children[2] == (3, 4)
    own = {"Return": 7, "BinOp": 3, "Name": 1, "Call": 2, "Constant": 1, "Module": 0}
    for node in tree.nodes:
        assert node.cost == pytest.approx(own[node.label.split()[0]] * 0.125)


def test_an_sql_tree_by_hand():
    tree = ProgramTree.from_sql(SQL, per_character(SQL))
    shown = dict(zip([n.label.split()[0] for n in tree.nodes], texts(tree), strict=True))
    assert (shown["Select"], shown["GT"], shown["EQ"]) == (SQL, "age > 5", "city = 'é b'")
    assert {"users", "'é b'", "3", "T1.name", "T1"} <= set(texts(tree))
    assert sum(node.cost for node in tree.nodes) == pytest.approx(len(SQL) * 0.125)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x + 1", "x+1", True),
        ("f(x, 1)", "f(x,   1)", True),
        ("x + 1", "x - 1", False),
        ("x < 1", "x > 1", False),
        ("x + 1", "x + 1.0", False),
        ("f(a=1)", "f(b=1)", False),
        ("f(a)", "f(*a)", False),
        ("x[1:]", "x[:1]", False),
        ("not x", "-x", False),
        ("x and y", "x or y", False),
        ("async def f(): pass", "def f(): pass", False),
        ("lambda a, b: 1", "lambda a, *b: 1", False),
    ],
)
def test_labels_tell_python_programs_apart(one, other, same):
    trees = [ProgramTree.from_python(code) for code in (one, other)]
    labels = [[(n.label, n.parent) for n in tree.nodes] for tree in trees]
    assert (labels[0] == labels[1]) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("select a from t", "SELECT a FROM t", True),
        ("SELECT a FROM t", "SELECT b FROM t", False),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t", False),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC", False),
        ("SELECT a FROM t WHERE a > 1", "SELECT a FROM t WHERE a >= 1", False),
        ("SELECT a FROM t WHERE a = 1", "SELECT a FROM t WHERE a = '1'", False),
        ("SELECT count(*) FROM t", "SELECT sum(*) FROM t", False),
        ("SELECT a FROM t LIMIT 1", "SELECT a FROM t", False),
        ("SELECT a FROM t JOIN s", "SELECT a FROM t LEFT JOIN s", False),
    ],
)
def test_labels_tell_sql_programs_apart(one, other, same):
    trees = [ProgramTree.from_sql(code) for code in (one, other)]
    labels = [[(n.label, n.parent) for n in tree.nodes] for tree in trees]
    assert (labels[0] == labels[1]) is same


@given(st.lists(st.integers(1, 6), min_size=1), st.integers(0, 3), st.integers(0, 3))
def test_every_token_is_paid_for_once_wherever_it_is_cut(sizes, before, after):
    code = "foo(bar, 12) + (baz * 3)"
    text = " " * before + code + "\n" * after
    tokens, at = [], 0
    for size in sizes * len(text):
        if at < len(text):
            tokens.append((text[at : at + size].encode(), -0.01))
            at += size
    tree = ProgramTree.from_python(code, tokens)
    inside, at = 0, -before
    for token, _ in tokens:
        inside += at < len(code) and at + len(token) > 0
        at += len(token)
    assert sum(node.cost for node in tree.nodes) == pytest.approx(0.01 * inside)


def test_a_token_across_two_nodes_belongs_to_the_one_that_owns_most_of_it():
    tree = ProgramTree.from_python("ab+c", [(b"ab+", -1.0), (b"c", -2.0)])
    by_text = dict(zip(texts(tree), (n.cost for n in tree.nodes), strict=True))
    assert (by_text["ab"], by_text["c"]) == (1.0, 2.0)
    assert by_text["ab+c"] == 0.0
    tree = ProgramTree.from_python("a+cd", [(b"a", -1.0), (b"+cd", -2.0)])
    assert dict(zip(texts(tree), (n.cost for n in tree.nodes), strict=True))["cd"] == 2.0


def test_costs_are_cut_off_at_ten_nats():
    tree = ProgramTree.from_python("a", [(b"a", -math.inf)])
    assert max(n.cost for n in tree.nodes) == MOST


@pytest.mark.parametrize("code", ["def f(", "x = = 1", "\x00", "(" * 500, "\ud800"])
def test_what_cannot_be_parsed_has_no_nodes(code):
    assert len(ProgramTree.from_python(code)) == 0


@pytest.mark.parametrize(
    "code", ["", "-- a", "SELECT FROM WHERE", "SELECT (", "'", "SELECT 1; SELECT 2"]
)
def test_sql_that_cannot_be_parsed_has_no_nodes(code):
    assert len(ProgramTree.from_sql(code)) == 0


def test_tokens_of_another_text_are_refused():
    with pytest.raises(InvalidArgument, match="spell"):
        ProgramTree.from_python("abc", [(b"xyz", -1.0)])


def test_the_tokens_of_a_draw_are_read_with_its_vocabulary():
    vocabulary = Vocabulary([b"a", b"b", b""], frozenset({2}), lambda text: [])
    sample = Sample("ab", None, info={"tokens": [0, 1], "token_logprobs": [-1.0, -2.0]})
    assert scored_tokens(sample, vocabulary) == [(b"a", -1.0), (b"b", -2.0)]
    with pytest.raises(InvalidArgument, match="logprobs=0"):
        scored_tokens(Sample("ab", None, info={"tokens": [0, 1]}), vocabulary)


def test_tokens_of_a_draw_spell_its_text_even_where_bytes_spell_none():
    tokens = [b"'caf\xc3", b"\xa9", b"\xa1", b"'\xe2", b""]
    vocabulary = Vocabulary(tokens, frozenset([4]), lambda text: [])
    text = b"".join(tokens).decode("utf-8", "replace")
    info = {"tokens": [0, 1, 2, 3], "token_logprobs": [-1.0] * 4}
    scored = scored_tokens(Sample(text, -4.0, info=info), vocabulary)
    assert b"".join(piece for piece, _ in scored).decode() == text
    assert [piece for piece, _ in scored][1] == "é".encode()
    ProgramTree.from_sql(f"SELECT {text}", [(b"SELECT ", -1.0), *scored])
