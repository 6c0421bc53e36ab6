"""Vetting passes every template of the bank, and names each fault of a broken one."""

from dataclasses import replace

import pytest

from genwright.core import InvalidArgument
from genwright.synthesis.math_defects import DEFECTS, inject
from genwright.synthesis.math_templates import math_templates
from genwright.synthesis.math_vet import runs, vet_math

BANK = {t.name: t for t in math_templates()}
CHANGE = BANK["change/stall/1"]


def faults(**changes):
    return vet_math(replace(CHANGE, **changes), trials=8).faults


def in_statement(old, new):
    return faults(statement=CHANGE.statement.replace(old, new))


@pytest.mark.parametrize("template", BANK.values(), ids=lambda t: t.name)
def test_the_bank_is_sound(template):
    assert vet_math(template, trials=8, seed=1).faults == ()


def test_a_number_that_is_no_parameter_and_a_parameter_that_is_not_said():
    assert {
        "the statement does not say price",
        "the statement says 7, which is no parameter",
    } <= set(in_statement("{price}", "7"))
    assert "the statement does not say n" in in_statement("{n} mugs", "some mugs")


def test_a_unit_that_is_not_the_declared_one():
    assert "price is not followed by 'dollars' in the statement" in in_statement(
        "{price} dollars", "{price} cents"
    )
    assert "the statement does not ask for 'dollars'" in in_statement("many dollars", "many coins")


def test_a_program_that_the_steps_do_not_bear_out():
    found = faults(program=(("cost", "n * (price + 1)"), ("rest", "paid - cost")))
    assert found == ("a step's sum is wrong",)
    short = faults(program=(("cost", "n * price"), ("rest", "n * price + 1")))
    assert "a step's sum is wrong" in short


def test_steps_that_use_a_number_nobody_said_or_leave_one_out():
    plus = ("The mugs cost ({n} + 1) * {price} = {cost} dollars.", CHANGE.steps[1])
    program = (("cost", "(n + 1) * price"), ("rest", "paid - cost"))
    assert "a step uses 1, which nobody said" in faults(program=program, steps=plus)
    found = faults(program=CHANGE.program[:1], steps=CHANGE.steps[:1])
    assert "the steps leave out a number of the statement" in found
    assert "changing paid alone does not change statement and answer" in found


def test_steps_that_end_elsewhere_or_hold_no_sum():
    other = (*CHANGE.steps, "Twice that is {rest} + {rest} = {cost} dollars.")
    assert "the steps do not end in the program's answer" in faults(steps=other)
    assert "no sum in 'Easy.'" in faults(steps=("Easy.", *CHANGE.steps))
    unit = (CHANGE.steps[0], CHANGE.steps[1].replace("dollars", "cents"))
    assert faults(steps=unit) == ("the last step does not end in 'dollars'",)


def test_answers_that_are_no_positive_whole_numbers():
    negative = faults(program=(("cost", "n * price"), ("rest", "cost - paid")))
    assert "rest is not a positive whole number" in negative
    part = faults(program=(("cost", "n / price"), ("rest", "paid - cost")))
    assert "cost is not a positive whole number" in part


def test_a_template_that_does_not_run_is_both_caught_and_named():
    broken = replace(CHANGE, program=(("cost", "n / (price - price)"), ("rest", "paid - cost")))
    assert not runs(broken)
    assert vet_math(broken).faults == ("it does not run",)
    assert runs(CHANGE)
    assert not runs(replace(CHANGE, statement="{nobody} pays."))


@pytest.mark.parametrize("kind", DEFECTS)
def test_every_way_of_every_defect_changes_the_template_and_still_runs(kind):
    for way in DEFECTS[kind]:
        broken = [b for t in BANK.values() for i in range(5) if (b := way(t, i)) is not None]
        assert len(broken) >= 150
        assert all(template != BANK[template.name] for template in broken)
        assert all(runs(template, trials=2) for template in broken[::7])


def test_injecting_repeats_with_the_seed_and_refuses_what_it_does_not_know():
    assert inject(CHANGE, "unit slip", 5) == inject(CHANGE, "unit slip", 5)
    assert inject(CHANGE, "unit slip", 5).name == "change/stall/1: unit slip"
    with pytest.raises(InvalidArgument, match="wrong constant"):
        inject(CHANGE, "typo", 0)
    with pytest.raises(InvalidArgument, match="has no place"):
        inject(BANK["ages/cousins/1"], "swapped operands", 0)
