"""Vetting a template of word problems: do statement, program and worded steps agree?

That a template runs proves little: one that says 103 and computes with 5 runs without error and is
wrong every time. `vet_math` renders a template many times and asks of every problem what a careful
reader would; `runs` asks only what the paper's own check does.

1. Every parameter stands in the statement, and every number of the statement is a parameter.
2. Changing one parameter alone changes statement and answer.
3. The sums of the worded steps, read out of the text and computed anew, are right, use only numbers
   that are known by then, use every number of the statement, and end in the program's answer.
4. Every result is a positive whole number; each parameter is followed by its unit; the statement
   asks for the unit of the answer, and the last step ends in it.

Zhang et al. 2024, arXiv:2411.18104, Section 2: 50 runs without an exception. Ours: the four checks.
What they cannot see: two parameters of one unit that have changed places in the statement, and
whatever is wrong in statement, program and steps alike.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from genwright.core import GenwrightError, InvalidArgument, child_seed
from genwright.synthesis.math_templates import (
    FIELD,
    MathItem,
    MathTemplate,
    compose,
    draw_numbers,
    fits,
    render,
    results,
)
from genwright.synthesis.vet import NUMBER, VetReport
from genwright.verifiers.worked_sums import SUM, evaluate

_TWINS = 20


def runs(template: MathTemplate, *, trials: int = 50, seed: int = 0) -> bool:
    """Tell whether a template renders without an error: all that the paper asks."""
    try:
        for trial in range(trials):
            render(template, child_seed(seed, template.name, trial))
    except (GenwrightError, ArithmeticError, KeyError):
        return False
    return True


def vet_math(template: MathTemplate, *, trials: int = 50, seed: int = 0) -> VetReport:
    """Render a template many times and report what is wrong with it.

    Args:
        template: what to vet.
        trials: how many problems; the paper's 50.
        seed: of the problems.
    """
    faults = dict.fromkeys(_unsaid(template))
    if not runs(template, trials=trials, seed=seed):
        faults["it does not run"] = None
        trials = 0
    for trial in range(trials):
        own = child_seed(seed, template.name, trial)
        numbers = draw_numbers(template, own)
        item = compose(template, numbers, own)
        found = results(template, numbers)
        faults |= dict.fromkeys(_units(template, item))
        faults |= dict.fromkeys(_steps(template, item))
        faults |= dict.fromkeys(
            f"{name} is not a positive whole number"
            for name, value in found.items()
            if value.denominator != 1 or value <= 0
        )
        faults |= dict.fromkeys(
            f"changing {name} alone does not change statement and answer"
            for name, twin in _twins(template, numbers, own)
            if twin.question == item.question or twin.answer == item.answer
        )
    return VetReport(template=template.name, trials=trials, faults=tuple(faults), dropped={})


def _unsaid(template: MathTemplate) -> Iterator[str]:
    """Check 1, on the template itself: numbers that come by chance cannot hide anything there."""
    said = set(FIELD.findall(template.statement))
    for name in template.numbers.keys() - said:
        yield f"the statement does not say {name}"
    for number in NUMBER.findall(FIELD.sub("x", template.statement)):
        yield f"the statement says {number}, which is no parameter"


def _units(template: MathTemplate, item: MathItem) -> Iterator[str]:
    """Check 4: what follows a parameter, and what is asked for."""
    for name, unit in template.units.items():
        if f"{{{name}}}" in template.statement and f"{{{name}}} {unit}" not in template.statement:
            yield f"{name} is not followed by {unit!r} in the statement"
    if not re.search(rf"\b[Hh]ow many\b[^.?]*\b{template.answer_unit}\b", item.question):
        yield f"the statement does not ask for {template.answer_unit!r}"


def _steps(template: MathTemplate, item: MathItem) -> Iterator[str]:
    """Check 3: read the sums out of the text and compute them anew."""
    stated = {Fraction(n) for n in NUMBER.findall(item.question)}
    known = stated | {Fraction(c) for c in template.constants}
    used, last, unit = set[Fraction](), "", ""
    for line in item.solution.splitlines():
        found = SUM.search(line)
        if found is None:
            yield f"no sum in {line!r}"
            continue
        operands = {Fraction(n) for n in NUMBER.findall(found[1])}
        used |= operands
        for number in sorted(operands - known):
            yield f"a step uses {number}, which nobody said"
        if not _equal(found[1], found[2]):
            yield "a step's sum is wrong"
        known.add(Fraction(found[2]))
        last, unit = found[2], found[3] or ""
    if last != item.answer:
        yield "the steps do not end in the program's answer"
    if unit != template.answer_unit:
        yield f"the last step does not end in {template.answer_unit!r}"
    if stated - used:
        yield "the steps leave out a number of the statement"


def _equal(expression: str, value: str) -> bool:
    try:
        return evaluate(expression, {}) == Fraction(value)
    except (InvalidArgument, ZeroDivisionError):
        return False


def _twins(
    template: MathTemplate, numbers: Mapping[str, int], seed: int
) -> Iterator[tuple[str, MathItem]]:
    """Yield (parameter, the same problem with another value of that parameter alone)."""
    for name, (low, high, step) in template.numbers.items():
        values = [v for v in range(low, high + 1, step) if v != numbers[name]]
        start = child_seed(seed, "twin", name) % len(values)
        for other in (values[start:] + values[:start])[:_TWINS]:
            changed = {**numbers, name: other}
            if fits(template, changed):
                yield name, compose(template, changed, seed)
                break
