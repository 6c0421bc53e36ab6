"""Templates of word problems: a statement, a program, and worded steps, each written apart.

Choose them for training data whose answers are right by construction, with as many problems as one
likes from few texts. `word_problems.py` makes the rows of a task of them or of GSM8K; `math_vet.py`
tells a sound template from one that only runs.

Zhang et al. 2024, "Training and Evaluating Language Models with Template-based Data Generation"
(TemplateGSM), arXiv:2411.18104, Section 2: templates that draw parameters and emit a problem, a
solution in code and one in words. Ours: a template is data and not a program; parameters carry
their units; the worded steps are sums of their own, so that they can disagree with the program.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from genwright.core import InvalidArgument, uniform
from genwright.verifiers.worked_sums import evaluate

FIELD = re.compile(r"\{(\w+)\}")
TRIES = 500

_UNIT_FIELD = re.compile(r"\{(\w+) (\w+)\}")
_ANSWER = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True, kw_only=True)
class MathTemplate:
    """One template in one of its wordings.

    Args:
        name: `structure/template/n`, where n counts the wordings of a template from 1.
        structure: names the program that several templates share.
        numbers: parameter -> (least, greatest, step), ends included.
        where: what drawn numbers must satisfy, such as `"n * price < paid"`.
        program: (name, expression) in order; the last one's value is the answer.
        statement: the problem, with `{parameter}` and `{person}` fields.
        steps: sentences with a sum each, such as `"They cost {n} * {price} = {cost} dollars."`
        units: parameter -> the word that follows it in the statement.
        answer_unit: what is asked for.
        constants: numbers that steps may use although no statement says them.
    """

    name: str
    structure: str
    numbers: Mapping[str, tuple[int, int, int]]
    where: tuple[str, ...]
    program: tuple[tuple[str, str], ...]
    statement: str
    steps: tuple[str, ...]
    units: Mapping[str, str]
    answer_unit: str
    constants: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class MathItem:
    """One problem, its answer by the program, and the worded steps, one a line."""

    question: str
    answer: str
    solution: str
    template: str
    structure: str
    numbers: Mapping[str, int]


@cache
def math_templates() -> tuple[MathTemplate, ...]:
    """Return the bank that comes with genwright: 12 structures, 72 templates in 3 wordings each."""
    text = (files("genwright.synthesis") / "math_templates.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return tuple(
        _template(f"{structure}/{story}/{number}", statement, steps, table)
        for structure, table in data.items()
        if isinstance(table, dict)
        for story, (wordings, *steps) in table["templates"].items()
        for number, statement in enumerate(wordings, 1)
    )


@cache
def names() -> Mapping[str, tuple[str, ...]]:
    """Return the names that stand for `{person}` and `{friend}`."""
    text = (files("genwright.synthesis") / "math_templates.toml").read_text(encoding="utf-8")
    return {k: tuple(v) for k, v in tomllib.loads(text).items() if isinstance(v, list)}


def draw_numbers(template: MathTemplate, seed: int) -> dict[str, int]:
    """Draw the parameters within what must hold of them.

    Raises:
        InvalidArgument: 500 drawings did not satisfy it.
    """
    for attempt in range(TRIES):
        drawn = {
            name: low + step * int(uniform(seed, name, attempt) * ((high - low) // step + 1))
            for name, (low, high, step) in template.numbers.items()
        }
        if fits(template, drawn):
            return drawn
    raise InvalidArgument(
        f"{template.name}: {TRIES} drawings broke {list(template.where)}; widen its numbers."
    )


def fits(template: MathTemplate, numbers: Mapping[str, int]) -> bool:
    """Tell whether numbers satisfy what must hold of them."""
    return all(evaluate(condition, numbers) for condition in template.where)


def results(template: MathTemplate, numbers: Mapping[str, int]) -> dict[str, Fraction]:
    """Run the program; return the value of each of its lines.

    Raises:
        InvalidArgument: a line that is no arithmetic, or uses an unknown name.
        ZeroDivisionError: a line divides by zero.
    """
    known: dict[str, Any] = dict(numbers)
    for name, expression in template.program:
        known[name] = evaluate(expression, known)
    return {name: known[name] for name, _ in template.program}


def render(template: MathTemplate, seed: int) -> MathItem:
    """Draw one problem; the same seed gives the same one."""
    return compose(template, draw_numbers(template, seed), seed)


def compose(template: MathTemplate, numbers: Mapping[str, int], seed: int) -> MathItem:
    """Word a problem whose numbers are given; the seed chooses the names."""
    found = results(template, numbers)
    people = {k: v[int(uniform(seed, "name", k) * len(v))] for k, v in names().items()}
    shown = {**people, **{k: str(v) for k, v in {**numbers, **found}.items()}}
    return MathItem(
        question=_fill(template.statement, shown),
        answer=str(found[template.program[-1][0]]),
        solution="\n".join(_fill(step, shown) for step in template.steps),
        template=template.name,
        structure=template.structure,
        numbers=dict(numbers),
    )


def _template(
    name: str, statement: str, steps: Sequence[str], table: Mapping[str, Any]
) -> MathTemplate:
    asked = _ANSWER.findall(statement)
    if len(asked) != 1:
        raise InvalidArgument(f"{name}: mark one [unit] of the answer, got {asked}.")
    lines = (line.split(" = ") for line in table["program"])
    return MathTemplate(
        name=name,
        structure=name.partition("/")[0],
        numbers={name: _range(listed) for name, listed in table["numbers"].items()},
        where=tuple(table["where"]),
        program=tuple((name, expression) for name, expression in lines),
        statement=_ANSWER.sub(r"\1", _UNIT_FIELD.sub(r"{\1} \2", statement)),
        steps=tuple(steps),
        units=dict(_UNIT_FIELD.findall(statement)),
        answer_unit=asked[0],
        constants=frozenset(table.get("constants", ())),
    )


def _range(listed: list[int]) -> tuple[int, int, int]:
    low, high, *step = listed
    return low, high, step[0] if step else 1


def _fill(text: str, shown: Mapping[str, str]) -> str:
    return FIELD.sub(lambda m: shown[m[1]], text)
