"""Sums are computed anew and exactly, an earlier one's true value in the later ones."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Samples
from genwright.verifiers.worked_sums import WorkedSums, evaluate, executed

WHOLE = st.integers(1, 99)


@given(WHOLE, WHOLE, st.sampled_from("+-*/%"))
def test_arithmetic_is_exact(a, b, sign):
    wanted = {"+": a + b, "-": a - b, "*": a * b, "/": Fraction(a, b), "%": a % b}[sign]
    assert evaluate(f"a {sign} {b}", {"a": a}) == wanted
    assert evaluate(f"{a} {sign} x2", {"x2": b}) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os')", "a.real", "a ** 9", "1.5", "'a'", "True", "[1]", "b", "a +"),
        *("f(1)", "(" * 300 + "1" + ")" * 300),
    ],
)
def test_nothing_but_arithmetic_is_computed(text):
    with pytest.raises(InvalidArgument):
        evaluate(text, {"a": 2})


@given(WHOLE, WHOLE, WHOLE, st.integers(100, 10**6))
def test_a_wrong_figure_does_not_hide_right_steps(a, b, c, slip):
    told = f"That is {a} * {b} = {slip} pens.\nWith more it is {slip} + {c} = 7 pens."
    assert executed(told) == a * b + c


def test_the_latest_of_equal_figures_counts_and_numbers_of_the_task_stand_for_themselves():
    assert executed("2 + 2 = 5. 3 + 3 = 5. 5 * 10 = 1.") == 60
    assert executed("60 - 29 = 31") == 31
    assert executed("4 * 7 = 29\n60 - 29 = 31") == 32  # no word follows the first figure
    assert executed("4 * 7 = 29 dollars. 60 - 29 = 31 dollars. 31 / 2 = 15.") == 16
    assert executed("7 / 2 = 7/2. 3 * (4 + 1) = 15.") == 15


@pytest.mark.parametrize(
    "text", ["", "no sum", "4 * = 7", "5 / 0 = 1", "3 + + = 2", "1" * 500 + " + 1 = 2", "(4 = 4"]
)
def test_what_cannot_be_computed_has_no_answer(text):
    assert executed(text) is None


def test_draws_are_judged_by_what_their_sums_give():
    draws = Samples(["It is 4 * 7 = 29.\n60 - 29 = 31.", "60 - 28 = 31", "4 * 7 = 28", "32"])
    verdicts = WorkedSums(gold="32").check(draws)
    assert [v.passed for v in verdicts] == [True, True, False, False]
    assert verdicts[2].evidence == {"answer": "28", "gold": "32"}
    assert WorkedSums(gold="7/2").check(Samples(["7 / 2 = 3"]))[0].passed
    with pytest.raises(InvalidArgument, match="gold must be a number, got 'two'"):
        WorkedSums(gold="two").check(draws)
