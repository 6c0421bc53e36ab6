"""Templates of word problems render as they say, and their arithmetic is exact and nothing else."""

from dataclasses import replace
from fractions import Fraction

import pytest

from genwright.core import InvalidArgument
from genwright.synthesis.math_templates import (
    compose,
    draw_numbers,
    fits,
    math_templates,
    names,
    render,
    results,
)

BANK = math_templates()
CHANGE = next(t for t in BANK if t.name == "change/stall/1")


def test_the_bank_holds_what_it_says():
    assert len(BANK) == len({t.name for t in BANK}) == len({t.statement for t in BANK}) == 216
    assert len({t.name.rpartition("/")[0] for t in BANK}) == 72
    assert len({t.structure for t in BANK}) == 12


@pytest.mark.parametrize("template", BANK, ids=lambda t: t.name)
def test_the_steps_name_nobody_whom_the_statement_does_not_know(template):
    steps = " ".join(template.steps)
    assert all(name in template.statement for name in names_in(steps))


def names_in(text):
    return [f"{{{name}}}" for name in names() if f"{{{name}}}" in text]


def test_a_problem_is_worded_with_its_numbers_and_solved():
    item = compose(CHANGE, {"n": 3, "price": 7, "paid": 50}, seed=1)
    person = item.question.split()[0]
    assert item.question == (
        f"{person} buys 3 mugs at 7 dollars each and pays with 50 dollars. "
        f"How many dollars of change does {person} get?"
    )
    assert item.solution == "The mugs cost 3 * 7 = 21 dollars.\nThe change is 50 - 21 = 29 dollars."
    assert item.answer == "29"
    assert CHANGE.units == {"n": "mugs", "price": "dollars", "paid": "dollars"}
    assert CHANGE.answer_unit == "dollars"


@pytest.mark.parametrize("template", BANK, ids=lambda t: t.name)
def test_draws_stay_in_range_and_repeat_with_the_seed(template):
    for seed in range(5):
        numbers = draw_numbers(template, seed)
        assert fits(template, numbers)
        for name, (low, high, step) in template.numbers.items():
            assert numbers[name] in range(low, high + 1, step)
        assert render(template, seed) == render(template, seed)
    assert len({render(template, seed).question for seed in range(20)}) > 10


def test_every_value_of_a_range_is_drawn():
    drawn = {draw_numbers(CHANGE, seed)["n"] for seed in range(300)}
    assert drawn == set(range(2, 10))  # each missed with probability below 300 * 8 * e^-37


def test_a_template_whose_numbers_never_fit_says_so():
    with pytest.raises(InvalidArgument, match="500 drawings broke"):
        render(replace(CHANGE, where=("paid < n",)), seed=0)


def test_a_program_keeps_fractions():
    odd = replace(CHANGE, program=(("part", "paid / n"),))
    assert results(odd, {"n": 3, "price": 1, "paid": 50}) == {"part": Fraction(50, 3)}
