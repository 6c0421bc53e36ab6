"""Equations in text: read with their units, compared to the places written, or left unread."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.verifiers.arithmetic import equations, numbers


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Cost: $2 * 3 pens = $6", [True]),
        ("$1,200 - 200 = $1,000", [True]),
        ("12 pints / (1 + 1 + 1 + 0.5) = 12 pints / 3.5 = 3.43 pints", [True, True]),
        ("Distance = 20 km/hr x (9/60) hr = 3 km", [True]),
        ("20% of 50 = 10", [True]),
        ("1/3 of 12 = 4", [True]),
        ("(182/211) * 100% = 86.26%", [True]),
        ("182/211 * 100 = 86.26%", [True]),
        ("100 - 20% = 80%", [True]),
        ("1 - 20% = 80%", [True]),
        ("it melts by 2 * 4 = 8 centimeters in 4 hours", [True]),
        ("3 * -2 = -6, so 2^3 = 8", [True, True]),
        ("2 × 3 ÷ 6 ≈ 1", [True]),
        ("13.33 * 3 = 40", [True]),  # 39.99: a whole number stands for a fraction near it
        ("2 + 2 = 5", [False]),
        ("7 / 2 = 4", [False]),
        ("20 * 50% = 1000", [False]),
        ("$2.00 * 2 = $4.02", [False]),
        ("0.5 + 0.5 = 1.1", [False]),  # off by one in the last place
        ("1 / 7 = 14.3%", [True]),
        ("1 / 7 = 20.5%", [False]),
        ("2 + 2 = 4; 2 * 2 = 5", [True, False]),
        ("2 + 2 = 4\n2 * 2 = 5", [True, False]),
    ],
)
def test_equations_are_read_as_people_write_them(text, holds):
    assert [found.holds for found in equations(text)] == holds


@pytest.mark.parametrize(
    "text",
    [
        "1 hour = 60 minutes",
        "total - 5 = 3",
        "5 + x = 7",
        "2x + 1 = 10",
        "2 apples at $3 each + $1 = $7",
        "30 minutes + 5 hours = 5 hours and 30 minutes",
        "4 weeks * 5 hours and 30 minutes = 22 hours",
        "9**9**9**9 = 3",
        "5 / 0 = 3",
        "(" * 5000 + "1" + ")" * 5000 + " + 1 = 2",
        "9" * 5000 + " + 1 = 2",
        "1 + = 2",
        "= = =",
        "price = cost + profit",
    ],
)
def test_what_is_not_fully_understood_is_not_judged(text):
    assert equations(text) == []


@given(
    st.lists(st.integers(1, 99), min_size=2, max_size=4),
    st.sampled_from(["+", "-", "*", "/"]),
    st.sampled_from(["", " pens", " km/hr"]),
    st.booleans(),
)
def test_a_sum_holds_exactly_when_it_is_the_sum(operands, sign, unit, right):
    value = Fraction(operands[0])
    for x in operands[1:]:
        value = {"+": value + x, "-": value - x, "*": value * x, "/": value / x}[sign]
    wrong = value if right else value + 1
    shown = str(wrong) if wrong.denominator == 1 else f"{wrong.numerator} / {wrong.denominator}"
    text = f" {sign} ".join(f"{x}{unit}" for x in operands) + f" = {shown}"
    assert [found.holds for found in equations(text)] == [right]


def test_numbers_are_digits_words_and_percents_but_no_dates():
    found = numbers("Half of the 1,200 pens (20% off) cost $3.50 twice on 05/01/2021 at 5:30.")
    assert [(float(q.value), q.percent) for q in found] == [
        (0.5, False),
        (1200, False),
        (20, True),
        (3.5, False),
        (2, False),
    ]


@given(st.text())
def test_no_text_breaks_the_readers(text):
    numbers(text)
    equations(text)
