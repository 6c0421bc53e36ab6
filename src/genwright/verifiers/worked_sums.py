"""The answer of a worked solution, its sums computed anew.

Choose it to ask whether a solution takes the right steps, whatever its author's skill with figures:
"4 * 7 = 29. 60 - 29 = 31." means 60 - 28, and passes where 32 is right.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168, Section 2:
solutions carry calculator annotations, so that the model says what to compute and a calculator
computes it. Ours: the sums are plain text and are executed once the draw is finished; a number that
an earlier sum was said to give stands for what that sum does give.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import CodeType
from typing import Any

from genwright.core import InvalidArgument, Samples, Verdict, method

SUM = re.compile(r"([\d(][\d \t+*/()-]*[\d)])[ \t]*=[ \t]*(-?\d+(?:/\d+)?)(?:[ \t]+([^\W\d]\w*))?")
"""A sum in one line: the expression, what it is said to give, and the word after it or None."""

LONGEST = 200
"""Characters of a sum that are still read: text of a model is hostile."""

_ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.Compare, ast.Name, ast.Load, ast.Constant),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.Lt, ast.Eq, ast.NotEq),
)


@method(paper="arXiv:2110.14168")
@dataclass(frozen=True, kw_only=True)
class WorkedSums:
    """Passes a worked solution whose sums, computed one after the other, end in a known number.

    Args:
        gold: the number, or its text: whole, a decimal or a fraction such as `"7/2"`.
    """

    gold: Any

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Execute each draw.

        Raises:
            InvalidArgument: gold is no number.
        """
        try:
            gold = Fraction(str(self.gold))
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidArgument(
                f"WorkedSums: gold must be a number, got {self.gold!r}."
            ) from error
        return [_judge(gold, executed(str(value))) for value in samples.values]


def executed(solution: str) -> Fraction | None:
    """Return what the last sum of a solution gives, or None where a sum cannot be computed."""
    known: dict[str, Fraction] = {}
    last: Fraction | None = None
    for found in SUM.finditer(solution):
        expression = re.sub(r"\d+", lambda m: f"r{m[0]}" if f"r{m[0]}" in known else m[0], found[1])
        if len(expression) > LONGEST:
            return None
        try:
            value = evaluate(expression, known)
        except (InvalidArgument, ZeroDivisionError):
            return None
        known[f"r{found[2]}"] = last = value
    return last


def evaluate(expression: str, known: Mapping[str, Any]) -> Any:
    """Compute an arithmetic expression exactly, or the truth of a comparison.

    Raises:
        InvalidArgument: anything but numbers, known names, + - * / % and < == !=.
        ZeroDivisionError: it divides by zero.
    """
    try:
        code, written = _compiled(expression)
        exact = written | {name: Fraction(value) for name, value in known.items()}
        return eval(code, {"__builtins__": {}}, exact)
    except (NameError, SyntaxError, RecursionError, MemoryError) as error:
        raise InvalidArgument(f"evaluate: {expression!r}: {error}.") from error


@lru_cache(maxsize=10_000)
def _compiled(expression: str) -> tuple[CodeType, dict[str, Fraction]]:
    """Compile arithmetic and nothing else; its written numbers become names of exact fractions."""
    tree = ast.parse(expression.strip(), mode="eval")
    for node in ast.walk(tree):
        whole = not isinstance(node, ast.Constant) or type(node.value) is int
        if not isinstance(node, _ARITHMETIC) or not whole:
            raise InvalidArgument(f"evaluate: {expression!r} is no arithmetic.")
    written = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    values = {f"_{node.value}": Fraction(str(node.value)) for node in written}
    source = re.sub(r"(?<!\w)(\d+)", r"_\1", ast.unparse(tree))
    return compile(source, "<sum>", "eval"), values


def _judge(gold: Fraction, answer: Fraction | None) -> Verdict:
    evidence = {"answer": None if answer is None else str(answer), "gold": str(gold)}
    return Verdict.ok(evidence) if answer == gold else Verdict.fail(evidence)
