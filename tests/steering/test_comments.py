"""Programs lose their comments and nothing else; prompts say what they ask for."""

import ast
import inspect
import tokenize
from importlib import import_module

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.steering.comments import (
    ENDINGS,
    CommentPrompt,
    comment_density,
    comments,
    strip_comments,
)

PROGRAM = '''# what it does
def f(x):  # a function
    """Not a # comment."""
    # all on one line
    y = "#" + x  #no blank
    return y + f"{x}#"
'''


def test_a_known_program_loses_its_comments():
    assert strip_comments(PROGRAM) == (
        'def f(x):\n    """Not a # comment."""\n    y = "#" + x\n    return y + f"{x}#"\n'
    )
    assert comments(PROGRAM) == ["what it does", "a function", "all on one line", "no blank"]
    assert comment_density(PROGRAM) == 4 / 4


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("x = 1 # a", "x = 1"),
        ("# a", ""),
        ("", ""),
        ("x = 1", "x = 1"),
        ("x = [\n  1,  # a\n  # b\n  2,\n]\n", "x = [\n  1,\n  2,\n]\n"),
        ("x = 1 \\\n# a\ny = 2\n", "x = 1 \\\n\ny = 2\n"),
        ("x = '''\n# kept\n'''\n", "x = '''\n# kept\n'''\n"),
        ("if x:\n\t# a\n\ty = 1\n", "if x:\n\ty = 1\n"),
        ("x = 1  # a\r\ny = 2\r\n", "x = 1\ny = 2\n"),
        ("x = '\x0c\x1c'  # a\n", "x = '\x0c\x1c'\n"),
        ("#!/usr/bin/python\nx = 1\n", "x = 1\n"),
        ("é = '#'  # ü\n", "é = '#'\n"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_stays_is_what_was_there(code, left):
    assert strip_comments(code) == left
    assert ast.dump(ast.parse(left)) == ast.dump(ast.parse(code))


def test_a_comment_in_a_format_string_is_its_text_or_its_code():
    code = 'x = 1\ny = f"{x}#{x}"  # gone\n'
    assert strip_comments(code) == 'x = 1\ny = f"{x}#{x}"\n'


LINES = [
    "x = 1",
    "y = '# no'",
    "if x:",
    "    z = [1,",
    "    2]",
    "    pass",
    "    # alone",
    "# alone",
    "x = 2  # behind",
    "    w = x  # behind",
    "",
    "x = '''",
    "'''",
    "x = 3 \\",
    "    ",
    "def f(): # x",
]


@given(st.lists(st.sampled_from(LINES), max_size=8))
@example(lines=["x = 3 \\", "# alone", "x = 1"])
@example(lines=["x = 3 \\", "# alone"])
@example(lines=["if x:", "    # alone", "    pass"])
def test_the_stripped_program_means_the_same_and_stays_so(lines):
    code = "\n".join(lines)
    try:
        tree = ast.dump(ast.parse(code))
    except SyntaxError:
        with pytest.raises(InvalidArgument, match="no Python program"):
            strip_comments(code)
        return
    stripped = strip_comments(code)
    assert ast.dump(ast.parse(stripped)) == tree
    assert comments(stripped) == []
    assert strip_comments(stripped) == stripped


@pytest.mark.parametrize("name", ["tokenize", "textwrap", "bisect", "shlex", "heapq", "csv"])
def test_modules_of_the_standard_library_keep_their_trees_and_lines(name):
    code = inspect.getsource(import_module(name))
    stripped = strip_comments(code)
    assert ast.dump(ast.parse(stripped)) == ast.dump(ast.parse(code))
    left = iter(code.splitlines())
    for line in stripped.splitlines():  # in order, each is the beginning of a line
        assert any(whole.startswith(line) for whole in left)
    assert len(stripped) < len(code)
    with open(inspect.getsourcefile(import_module(name)), "rb") as file:
        kinds = [token.type for token in tokenize.tokenize(file.readline)]
    assert len(comments(code)) == kinds.count(tokenize.COMMENT)


def test_density_is_comments_for_a_line_of_code():
    assert comment_density("") == 0
    assert comment_density("# a\n# b\n") == 0
    assert comment_density("x = 1\n\ny = 2  # a\n") == 0.5


@pytest.mark.parametrize("code", ["def f(:", "x = '''", "x = 1\n  y = 2", "\0"], ids=repr)
def test_what_is_no_python_is_refused(code):
    for ask in (strip_comments, comments, comment_density):
        with pytest.raises(InvalidArgument, match="no Python program"):
            ask(code)


def test_a_prompt_holds_the_problem_and_ends_on_its_style():
    prompt = CommentPrompt(style="comments", wording=2)
    assert prompt.template.count("{prompt}") == 1
    filled = prompt.fill("Add {x} and y.")
    assert "Add {x} and y." in filled
    assert filled.endswith(f"{ENDINGS['comments'][2]}\n")


def test_styles_have_eight_wordings_and_only_two_ask_for_something():
    assert {style: len(set(endings)) for style, endings in ENDINGS.items()} == {
        "comments": 8,
        "steps": 8,
        "plain": 8,
    }
    for style, words in {"comments": ("comment", "annotated"), "steps": ("step",)}.items():
        assert all(any(w in ending.lower() for w in words) for ending in ENDINGS[style])
        assert not any(any(w in ending.lower() for w in words) for ending in ENDINGS["plain"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"style": "verse"}, "comments, steps, plain, got 'verse'"),
        ({"wording": 8}, "0 to 7, got 8"),
        ({"wording": -1}, "0 to 7, got -1"),
    ],
    ids=["style", "over", "under"],
)
def test_a_prompt_out_of_range_is_refused(settings, told):
    with pytest.raises(InvalidArgument, match=told):
        CommentPrompt(**settings)
