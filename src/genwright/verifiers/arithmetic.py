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
from typing import NamedTuple

WORDS = {
    word: Fraction(value)
    for value, words in {
        "1/4": "quarter",
        "1/3": "third thirds",
        "1/2": "half halves",
        "0": "zero",
        "1": "one once",
        "2": "two twice double doubled doubles couple pair both",
        "3": "three thrice triple tripled triples",
        "4": "four quadruple",
        "5": "five",
        "6": "six",
        "7": "seven",
        "8": "eight",
        "9": "nine",
        "10": "ten",
        "11": "eleven",
        "12": "twelve dozen",
        "13": "thirteen",
        "14": "fourteen",
        "15": "fifteen",
        "16": "sixteen",
        "17": "seventeen",
        "18": "eighteen",
        "19": "nineteen",
        "20": "twenty",
        "30": "thirty",
        "40": "forty",
        "50": "fifty",
        "60": "sixty",
        "70": "seventy",
        "80": "eighty",
        "90": "ninety",
        "100": "hundred",
        "1000": "thousand",
        "1000000": "million",
    }.items()
    for word in words.split()
}
_TOKEN = re.compile(
    r"(?P<date>\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r"[a-z]*\.?\s+\d{1,2}(?:st|nd|rd|th)?\b(?:,?\s+\d{4}\b)?|\b\d{1,2}:\d{2}\b)"
    r"|(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*)"
    r"|(?P<sign>\*\*|\S)"
)
_SAME = {"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "≈": "=", "**": "^", "[": "(", "]": ")"}
_VARIABLES = frozenset("abcnxyzABCNXYZ")

DEEPEST = 30
"""Brackets within brackets that are still read."""

LONGEST = 40
"""Digits of a number, and the largest exponent, that are still reckoned with."""


_STOPS = frozenset(":;,.?!")
_PERCENT = frozenset({"%", "percent"})
_Pair = tuple[Fraction, Fraction]

ROUNDING = Fraction(1, 200)
"""How far, relatively, a whole number may be from a fraction that it stands for."""


class Token(NamedTuple):
    """A piece of text: the pattern's group it matched, its letters, where it stands."""

    kind: str
    text: str
    start: int
    end: int


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


def tokens(text: str) -> list[Token]:
    """Cut a text into dates, numbers, words and signs."""
    return [
        Token(str(m.lastgroup), _SAME.get(m[0], m[0]), m.start(), m.end())
        for m in _TOKEN.finditer(text)
    ]


def numbers(text: str) -> list[Quantity]:
    """Return the numbers in a text, digits or words; dates and times of day are none.

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


class _Side(NamedTuple):
    """One side of an equation: its value with percents as hundredths, and as plain numbers."""

    value: Fraction
    plain: Fraction
    operations: int
    places: int
    percent: bool
    start: int
    end: int


def _before(side: list[Token], *, first: bool) -> _Side | None:
    """Read what stands before an equals sign: at first only its last clause, from a number on."""
    cut = max((i for i, token in enumerate(side) if token.text in _STOPS), default=-1)
    if not first and cut < 0:
        return _Reader(side).read(whole=True)
    clause = side[cut + 1 :]
    for i, token in enumerate(clause):
        if token.kind != "word" or token.text in _VARIABLES:
            return _Reader(clause[i:]).read(whole=True)
    return None


def _after(side: list[Token], *, last: bool) -> _Side | None:
    """Read what stands after an equals sign: at last only as far as arithmetic goes."""
    return _Reader(side).read(whole=not last and not any(t.text in _STOPS for t in side))


def _equal(one: _Side, other: _Side) -> bool:
    """Compare to the places written; behind a percent, percents on the left may be plain too."""
    pairs = [(one.value, other.value)]
    if other.percent:
        pairs += [(one.value, other.plain), (one.plain, other.plain)]
    return any(_near(left, right, other) for left, right in pairs)


def _near(left: Fraction, right: Fraction, written: _Side) -> bool:
    if left == right:
        return True
    if written.places:
        unit = Fraction(1, 10**written.places)
        return abs(left - right) < (unit / 100 if written.percent and right < 1 else unit)
    return left.denominator > 1 and abs(left - right) <= ROUNDING * abs(right)


class _NotArithmetic(Exception):
    """What follows is not arithmetic, or too much of it."""


class _Reader:
    """A parser of arithmetic by recursive descent, for one side of an equation.

    Every value is a pair: percents as hundredths, and percents as plain numbers.
    """

    def __init__(self, side: list[Token]) -> None:
        self.side = side
        self.at = self.operations = self.depth = self.end = 0

    def read(self, *, whole: bool) -> _Side | None:
        """Read an expression; `whole` asks that nothing be left behind it."""
        try:
            value, plain = self.sum()
        except (_NotArithmetic, ZeroDivisionError):
            return None
        if self.peek() and (whole or self.peek() in "+-*/^(%!"):
            return None
        used = self.side[: self.at]
        places = max(len(t.text.partition(".")[2]) for t in used if t.kind == "number")
        percent = any(t.text in _PERCENT for t in used)
        return _Side(value, plain, self.operations, places, percent, used[0].start, self.end)

    def sum(self) -> _Pair:
        """Read terms joined by + and -."""
        total = self.product()
        while (sign := self.peek()) in ("+", "-"):
            self.take()
            total = self.combine(sign, total, self.product())
        return total

    def product(self) -> _Pair:
        """Read factors joined by *, x, / and "of"."""
        total = self.power()
        while sign := self.multiplies():
            self.take()
            total = self.combine(sign, total, self.power())
        return total

    def multiplies(self) -> str:
        """Return "*" or "/" where the next token means that, else nothing."""
        text, after = self.peek(), self.peek(1)
        if text in ("*", "/"):
            return text
        operand = self.kind(1) == "number" or after in ("(", "$")
        return "*" if text in ("x", "X", "of", "times") and operand else ""

    def power(self) -> _Pair:
        """Read a number or a bracket, its sign, its exponent, and the unit behind it."""
        if self.peek() == "-":
            self.take()
            value, plain = self.power()
            return -value, -plain
        base = self.atom()
        if self.peek() == "^":
            self.take()
            base = self.combine("^", base, self.power())
        self.skip_unit()
        return base

    def atom(self) -> _Pair:
        """Read a number, or an expression in brackets."""
        if self.peek() == "$":
            self.take()
        if self.peek() == "(" and self.depth < DEEPEST:
            self.take()
            self.depth += 1
            inside = self.sum()
            self.depth -= 1
            if self.peek() != ")":
                raise _NotArithmetic
            self.take()
            return inside
        if self.kind() != "number" or len(self.peek()) > LONGEST:
            raise _NotArithmetic
        value = Fraction(self.take().replace(",", ""))
        if self.peek() in _PERCENT:
            self.take()
            return value / 100, value
        return value, value

    def skip_unit(self) -> None:
        """Step over words behind a number, "km/hr" among them; a variable is not a unit."""
        while True:
            slash = self.peek() == "/" and self.kind(1) == "word"
            word = self.peek(1) if slash else self.peek()
            if self.multiplies() == "*" or not (slash or self.kind() == "word"):
                return
            if word in _VARIABLES or word.lower() in WORDS or word == "and":
                raise _NotArithmetic
            self.at += 1 + slash

    def combine(self, sign: str, one: _Pair, other: _Pair) -> _Pair:
        """Reckon both readings."""
        self.operations += 1
        if sign == "^" and any(abs(e) > LONGEST or e.denominator > 1 for e in other):
            raise _NotArithmetic
        return _reckon(sign, one[0], other[0]), _reckon(sign, one[1], other[1])

    def peek(self, ahead: int = 0) -> str:
        """Return the text of a token to come; empty behind the last."""
        return self.side[self.at + ahead].text if self.at + ahead < len(self.side) else ""

    def kind(self, ahead: int = 0) -> str:
        """Return the kind of a token to come; empty behind the last."""
        return self.side[self.at + ahead].kind if self.at + ahead < len(self.side) else ""

    def take(self) -> str:
        """Move on by one token that counts, and return its text."""
        token = self.side[self.at]
        self.at += 1
        self.end = token.end
        return token.text


def _reckon(sign: str, one: Fraction, other: Fraction) -> Fraction:
    if sign == "^":
        return one ** int(other)
    if sign == "+":
        return one + other
    if sign == "-":
        return one - other
    return one * other if sign == "*" else one / other
