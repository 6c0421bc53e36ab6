"""Templates of word problems broken on purpose, to measure what vetting finds.

Six kinds, each in the ways it is met with: in one part of the template alone, or consistently in
program and worded steps, as an author who is wrong would write it.

Zhang et al. 2024, arXiv:2411.18104, describes no defects; the first kind is that of the one
processed template found in their repository. Ours throughout.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from genwright.core import InvalidArgument, uniform
from genwright.synthesis.math_templates import FIELD, MathTemplate

_SLIPS = {
    "dollars": "cents",
    "hours": "minutes",
    "minutes": "seconds",
    "days": "weeks",
    "weeks": "days",
    "metres": "feet",
    "kilometres": "miles",
    "litres": "gallons",
    "kilograms": "pounds",
    "years": "months",
}


def inject(template: MathTemplate, kind: str, seed: int) -> MathTemplate:
    """Return the template with one defect of a kind.

    Args:
        template: a sound one.
        kind: one of `DEFECTS`.
        seed: chooses the way and the place.

    Raises:
        InvalidArgument: an unknown kind, or one for which the template has no place.
    """
    if kind not in DEFECTS:
        raise InvalidArgument(f"inject: kind must be one of {', '.join(DEFECTS)}, got {kind!r}.")
    ways = [way for way in DEFECTS[kind] if way(template, seed) is not None]
    if not ways:
        raise InvalidArgument(f"inject: {template.name} has no place for {kind!r}.")
    broken = _pick(ways, seed, "way")(template, seed)
    assert broken is not None  # asked above
    return replace(broken, name=f"{template.name}: {kind}")


def _literal_in_statement(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The statement says a fixed number where it should say a parameter."""
    name = _pick(list(template.numbers), seed, "name")
    low, high, _ = template.numbers[name]
    number = low + int(uniform(seed, "number") * (high - low + 1))
    return _say(template, name, str(number))


def _another_parameter(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The statement says one parameter twice and another never."""
    first, second = _two(list(template.numbers), seed)
    return _say(template, first, f"{{{second}}}")


def _swapped_in_program(template: MathTemplate, seed: int) -> MathTemplate | None:
    """A difference or quotient is taken the wrong way round, in the program alone."""
    places = [i for i, (_, e) in enumerate(template.program) if re.fullmatch(r"\w+ [-/] \w+", e)]
    if not places:
        return None
    place = _pick(places, seed, "place")
    left, sign, right = template.program[place][1].split()
    return _line(template, place, f"{right} {sign} {left}")


def _swapped_everywhere(template: MathTemplate, seed: int) -> MathTemplate | None:
    """A difference or quotient is taken the wrong way round, in program and steps."""
    broken = _swapped_in_program(template, seed)
    if broken is None:
        return None
    pairs = zip(template.program, broken.program, strict=True)
    ((_, right), (_, wrong)) = next((a, b) for a, b in pairs if a != b)
    return _reword(broken, _worded(right), _worded(wrong))


def _unsaid_condition(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The statement says "some" where it should say a number."""
    return _say(template, _pick(list(template.numbers), seed, "name"), "some")


def _dropped_step(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The last line of the program and the last step are missing."""
    return replace(template, program=template.program[:-1], steps=template.steps[:-1])


def _off_by_one_in_program(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The program counts one too many or too few."""
    place, name = _operand(template, seed)
    sign = _pick("+-", seed, "sign")
    return _line(template, place, _replace(template.program[place][1], name, f"({name} {sign} 1)"))


def _off_by_one_everywhere(template: MathTemplate, seed: int) -> MathTemplate | None:
    """Program and steps count one too many or too few."""
    broken = _off_by_one_in_program(template, seed)
    assert broken is not None
    pairs = zip(template.program, broken.program, strict=True)
    ((_, right), (_, wrong)) = next((a, b) for a, b in pairs if a != b)
    return _reword(broken, _worded(right), _worded(wrong))


def _unit_in_statement(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The statement gives a parameter in another unit."""
    named = [name for name, unit in template.units.items() if unit in _SLIPS]
    if not named:
        return None
    name = _pick(named, seed, "name")
    unit = template.units[name]
    return _changed(template, f"{{{name}}} {unit}", f"{{{name}}} {_SLIPS[unit]}")


def _factor_in_program(template: MathTemplate, seed: int) -> MathTemplate | None:
    """The program answers in another unit: it multiplies by 10, 60, 100 or 1000."""
    place = len(template.program) - 1
    factor = _pick((10, 60, 100, 1000), seed, "factor")
    return _line(template, place, f"({template.program[place][1]}) * {factor}")


def _parameters_change_places(template: MathTemplate, seed: int) -> MathTemplate | None:
    """Two parameters have changed places in the statement."""
    first, second = _two(list(template.numbers), seed)
    moved = {first: second, second: first}
    text = FIELD.sub(lambda m: f"{{{moved.get(m[1], m[1])}}}", template.statement)
    return replace(template, statement=text)


def _other_sum(template: MathTemplate, seed: int) -> MathTemplate | None:
    """Program and steps take another sum than the statement means."""
    place = int(uniform(seed, "place") * len(template.program))
    right = template.program[place][1]
    signs = re.findall(r" ([-+*]) ", right)
    if not signs:
        return None
    other = "-" if signs[0] == "+" else "+"
    wrong = right.replace(f" {signs[0]} ", f" {other} ", 1)
    return _reword(_line(template, place, wrong), _worded(right), _worded(wrong))


Way = Callable[[MathTemplate, int], MathTemplate | None]

DEFECTS: dict[str, tuple[Way, ...]] = {
    "wrong constant": (_literal_in_statement, _another_parameter),
    "swapped operands": (_swapped_in_program, _swapped_everywhere),
    "dropped condition": (_unsaid_condition, _dropped_step),
    "off by one": (_off_by_one_in_program, _off_by_one_everywhere),
    "unit slip": (_unit_in_statement, _factor_in_program),
    "mismatch": (_parameters_change_places, _other_sum),
}
"""Kinds of defects, each with the ways it comes about."""


def _say(template: MathTemplate, name: str, text: str) -> MathTemplate | None:
    return _changed(template, f"{{{name}}}", text)


def _changed(template: MathTemplate, old: str, new: str) -> MathTemplate | None:
    """Change the statement, or return None where there is nothing to change."""
    changed = template.statement.replace(old, new)
    return replace(template, statement=changed) if changed != template.statement else None


def _line(template: MathTemplate, place: int, expression: str) -> MathTemplate:
    program = list(template.program)
    program[place] = (program[place][0], expression)
    return replace(template, program=tuple(program))


def _reword(template: MathTemplate, old: str, new: str) -> MathTemplate | None:
    """Change the steps, or return None where they put it differently."""
    steps = tuple(step.replace(old, new) for step in template.steps)
    return replace(template, steps=steps) if steps != template.steps else None


def _worded(expression: str) -> str:
    return re.sub(r"([A-Za-z_]\w*)", r"{\1}", expression)


def _operand(template: MathTemplate, seed: int) -> tuple[int, str]:
    """Choose a line of the program and a name in it."""
    place = int(uniform(seed, "place") * len(template.program))
    return place, _pick(re.findall(r"[A-Za-z_]\w*", template.program[place][1]), seed, "operand")


def _replace(expression: str, name: str, new: str) -> str:
    return re.sub(rf"\b{name}\b", new, expression, count=1)


def _two(choices: Sequence[str], seed: int) -> tuple[str, str]:
    first = _pick(choices, seed, "first")
    return first, _pick([c for c in choices if c != first], seed, "second")


def _pick(choices: Sequence[Any], seed: int, *names: str) -> Any:
    return choices[int(uniform(seed, "defect", *names) * len(choices))]
