"""Numbers and equations in text written for people: "$1.20 * 5 = $6", "20% of 50 pens = 10 pens".

`numbers` lists the quantities of a text, `equations` those of its equations that hold nothing but
numbers, units and arithmetic. Both are exact (fractions), and neither evaluates what it does not
fully understand: text of a model is hostile, and a wrong reading is worse than none.

Ours throughout.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from genwright.verifiers.arithmetic_reader import (
    LONGEST,
    VARIABLES,
    WORDS,
    Reader,
    Side,
    Token,
    tokens,
)

_STOPS = frozenset(":;,.?!")
ROUNDING = Fraction(1, 200)
"""How far, relatively, a whole number may be from a fraction that it stands for."""


@dataclass(frozen=True)
class Quantity:
    """A number as written.

    Args:
        value: exact; of "20%" it is 20.
        percent: whether a percent sign follows.
        start: where it stands in the text.
    """

    value: Fraction
    percent: bool
    start: int


@dataclass(frozen=True)
class Equation:
    """The two sides of one equals sign, where both are arithmetic.

    Args:
        text: as written.
        start: where its right side begins in the text.
        end: where its right side ends.
        holds: whether both sides are equal, to the places written.
    """

    text: str
    start: int
    end: int
    holds: bool


def numbers(text: str) -> list[Quantity]:
    """Return the numbers in a text, digits or words; dates and times of day are none.

    Examples:
        >>> [float(q.value) for q in numbers("Half of the 1,200 pens cost $3.50 on 05/01/2021.")]
        [0.5, 1200.0, 3.5]
    """
    found: list[Quantity] = []
    cut = tokens(text)
    for i, token in enumerate(cut):
        if token.kind == "number" and len(token.text) <= LONGEST:
            percent = i + 1 < len(cut) and cut[i + 1].text in ("%", "percent")
            found.append(Quantity(Fraction(token.text.replace(",", "")), percent, token.start))
        elif token.kind == "word" and token.text.lower() in WORDS:
            found.append(Quantity(WORDS[token.text.lower()], False, token.start))
    return found


def equations(text: str) -> list[Equation]:
    """Return every equation of a text whose two sides are arithmetic, line by line.

    A left side without an operation is none: "1 hour = 60 minutes" converts, it does not reckon.

    Examples:
        >>> [(e.text, e.holds) for e in equations("Cost: $2 * 3 pens = $6; 20% of 50 = 5")]
        [('$2 * 3 pens = $6', True), ('20% of 50 = 5', False)]
    """
    found: list[Equation] = []
    for line in re.finditer(r"[^\n;]+", text):
        sides: list[list[Token]] = [[]]
        for token in tokens(line[0]):
            if token.text == "=":
                sides.append([])
            else:
                sides[-1].append(token)
        for number, (left, right) in enumerate(pairwise(sides), start=2):
            one = _before(left, first=number == 2)
            other = _after(right, last=number == len(sides))
            if one is None or other is None or not one.operations:
                continue
            start, end = line.start() + right[0].start, line.start() + other.end
            written = text[line.start() + one.start : end]
            found.append(Equation(written, start, end, _equal(one, other)))
    return found


def _before(side: list[Token], *, first: bool) -> Side | None:
    """Read what stands before an equals sign: at first only its last clause, from a number on."""
    cut = max((i for i, token in enumerate(side) if token.text in _STOPS), default=-1)
    if not first and cut < 0:
        return Reader(side).read(whole=True)
    clause = side[cut + 1 :]
    for i, token in enumerate(clause):
        if token.kind != "word" or token.text in VARIABLES:
            return Reader(clause[i:]).read(whole=True)
    return None


def _after(side: list[Token], *, last: bool) -> Side | None:
    """Read what stands after an equals sign: at last only as far as arithmetic goes."""
    return Reader(side).read(whole=not last and not any(t.text in _STOPS for t in side))


def _equal(one: Side, other: Side) -> bool:
    """Compare to the places written; behind a percent, percents on the left may be plain too."""
    pairs = [(one.value, other.value)]
    if other.percent:
        pairs += [(one.value, other.plain), (one.plain, other.plain)]
    return any(_near(left, right, other) for left, right in pairs)


def _near(left: Fraction, right: Fraction, written: Side) -> bool:
    if left == right:
        return True
    if written.places:
        unit = Fraction(1, 10**written.places)
        return abs(left - right) < (unit / 100 if written.percent and right < 1 else unit)
    return left.denominator > 1 and abs(left - right) <= ROUNDING * abs(right)
