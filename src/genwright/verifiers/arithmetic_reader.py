"""The parser behind `arithmetic.py`: tokens of a text, and one side of an equation as a value.

Recursive descent over numbers, brackets, + - * / ^, "of", units and percents. It gives up on
anything else rather than guess, and is exact (fractions). Ours throughout.
"""

import re
from fractions import Fraction
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
VARIABLES = frozenset("abcnxyzABCNXYZ")

DEEPEST = 30
"""Brackets within brackets that are still read."""

LONGEST = 40
"""Digits of a number, and the largest exponent, that are still reckoned with."""


_PERCENT = frozenset({"%", "percent"})
_Pair = tuple[Fraction, Fraction]


class Token(NamedTuple):
    """A piece of text: the pattern's group it matched, its letters, where it stands."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Cut a text into dates, numbers, words and signs."""
    return [
        Token(str(m.lastgroup), _SAME.get(m[0], m[0]), m.start(), m.end())
        for m in _TOKEN.finditer(text)
    ]


class Side(NamedTuple):
    """One side of an equation: its value with percents as hundredths, and as plain numbers."""

    value: Fraction
    plain: Fraction
    operations: int
    places: int
    percent: bool
    start: int
    end: int


class _NotArithmetic(Exception):
    """What follows is not arithmetic, or too much of it."""


class Reader:
    """A parser of arithmetic by recursive descent, for one side of an equation.

    Every value is a pair: percents as hundredths, and percents as plain numbers.
    """

    def __init__(self, side: list[Token]) -> None:
        self.side = side
        self.at = self.operations = self.depth = self.end = 0

    def read(self, *, whole: bool) -> Side | None:
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
        return Side(value, plain, self.operations, places, percent, used[0].start, self.end)

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
            if word in VARIABLES or word.lower() in WORDS or word == "and":
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
