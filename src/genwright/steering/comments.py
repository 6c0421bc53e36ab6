"""Comments of Python programs: prompts that ask for them, and programs without them.

A comment says in words what the next lines do, so it stands between a problem's text and its code.
Choose a prompt that asks for comments where a small model writes code and has no room to reason at
length; `learning/contrastive.py` trains a model to prefer its commented programs.

Chen et al. 2024, "Comments as Natural Logic Pivots: Improve Code Generation via Comment
Perspective" (MANGO), arXiv:2404.07549: the prompt names the task, shows the problem, and ends on a
sentence that announces a program with comments that explain its logic; endings that ask for
reasoning step by step are what it is measured against. Ours: all wordings; comments are found by
Python's own tokenizer, so that a `#` in a string stays.
"""

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from genwright.core import InvalidArgument

Style = Literal["comments", "steps", "plain"]
"""What a prompt asks for: comments in the program, reasoning before it, or neither."""

ENDINGS: Mapping[Style, tuple[str, ...]] = MappingProxyType(
    {
        "comments": (
            "This program solves the problem, with comments that explain the logic:",
            "A Python program, in which comments tell what each part does:",
            "The commented solution:",
            "Here the logic of the program is explained in its comments:",
            "Python code that solves it; each step has a comment that says what it is for:",
            "A solution with a short comment above every step:",
            "The program below is annotated, so that a reader can follow it:",
            "Comments make code easier to follow. The program, with comments:",
        ),
        "steps": (
            "Let us first reason step by step, and then write the program:",
            "The reasoning comes first, one step after another; the Python program follows:",
            "A plan in steps, and the program after it:",
            "Before the code, here is how to solve the problem step by step:",
            "Think about each step in turn, then give the Python code:",
            "The solution in two parts: the steps in words, and then the program:",
            "To begin with, break the problem into steps. After that, write the program:",
            "Step by step, this is the way to the program, which is at the end:",
        ),
        "plain": (
            "This program solves the problem:",
            "A Python program:",
            "The solution:",
            "Here is the program:",
            "Python code that solves it:",
            "A solution in Python:",
            "The program below solves it:",
            "The program:",
        ),
    }
)
"""The sentences that end a prompt, eight a style."""


@dataclass(frozen=True, kw_only=True)
class CommentPrompt:
    """A prompt for a program; its `template` fits `LocalLM` and every learner of language models.

    Args:
        style: what it asks for.
        wording: which of the style's endings, from 0.

    Raises:
        InvalidArgument: another style, or no such wording.
    """

    style: Style = "comments"
    wording: int = 0

    def __post_init__(self) -> None:
        if self.style not in get_args(Style):
            raise InvalidArgument(
                f"CommentPrompt: style must be one of {', '.join(get_args(Style))}, "
                f"got {self.style!r}."
            )
        if not 0 <= self.wording < len(ENDINGS[self.style]):
            raise InvalidArgument(
                f"CommentPrompt: wording must be 0 to {len(ENDINGS[self.style]) - 1}, "
                f"got {self.wording}."
            )

    @property
    def template(self) -> str:
        """The prompt, with `{prompt}` where the problem goes."""
        return f"### Problem\n{{prompt}}\n\n### Python\n{ENDINGS[self.style][self.wording]}\n"

    def fill(self, problem: str) -> str:
        """Return the prompt for a problem."""
        return self.template.replace("{prompt}", problem)


def strip_comments(code: str) -> str:
    """Return a program without its comments; everything else, its meaning too, stays.

    A line that holds nothing but a comment goes, and so do blanks before a comment. Comments inside
    a format string stay, since one with `=` prints its own text.

    Raises:
        InvalidArgument: what came is no Python.
    """
    lines = _lines(code)
    gone: set[int] = set()
    for comment in _comments(code):
        row, column = comment.start
        before = lines[row - 1][:column].rstrip(" \t\f")
        continues = row > 1 and lines[row - 2].endswith("\\\n")  # then an empty line must stay
        if not before and not continues:
            gone.add(row - 1)
        lines[row - 1] = before + (lines[row - 1][comment.end[1] :] or "\n" * continues)
    return "".join(line for row, line in enumerate(lines) if row not in gone)


def comments(code: str) -> list[str]:
    """Return the comments of a program in order, without `#` and blanks.

    Raises:
        InvalidArgument: what came is no Python.
    """
    return [comment.string.lstrip("#").strip() for comment in _comments(code)]


def comment_density(code: str) -> float:
    """Return the number of comments for each line of code: 0 where there is no line of code.

    Raises:
        InvalidArgument: what came is no Python.
    """
    lines = [line for line in strip_comments(code).splitlines() if line.strip()]
    return len(list(_comments(code))) / len(lines) if lines else 0.0


def _lines(code: str) -> list[str]:
    """Split as Python does; `str.splitlines` knows more ends of lines."""
    text = code.replace("\r\n", "\n").replace("\r", "\n")
    return io.StringIO(text, newline="\n").readlines()


def _comments(code: str) -> Iterator[tokenize.TokenInfo]:
    """Yield the comment tokens that stand outside of format strings."""
    source = "".join(_lines(code))
    inside = 0
    try:
        ast.parse(source)
        for token in tokenize.generate_tokens(io.StringIO(source, newline="\n").readline):
            kind = tokenize.tok_name[token.type]
            inside += kind.endswith("STRING_START")  # from Python 3.12 on their parts are tokens
            inside -= kind.endswith("STRING_END")
            if token.type == tokenize.COMMENT and not inside:
                yield token
    except (SyntaxError, tokenize.TokenError, ValueError) as error:
        raise InvalidArgument(f"comments: this is no Python program: {error}.") from error
