"""A problem's answer is what its numbers and solution give; wordings say every number."""

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.synthesis.math_structures import compute, draw_problem, math_bank, parse_bank

BANK = {
    "words": {"person": ["Ada"]},
    "structure": [
        {
            "name": "share",
            "numbers": {"all": [5, 8], "by": [2, 3]},
            "steps": [["left", "all - 1", "{person}: {sum}."], ["each", "left / by", "{sum}."]],
            "train": ["{all} by {by}?"],
            "held_out": ["{by} of {all}?"],
        }
    ],
}


def changed(**parts):
    return {**BANK, "structure": [{**BANK["structure"][0], **parts}]}


def test_there_are_structures_enough_and_no_wording_serves_twice():
    bank = math_bank()
    assert len({s.name for s in bank.structures}) == len(bank.structures) >= 12
    wordings = [w for s in bank.structures for w in (*s.train, *s.held_out)]
    assert len(set(wordings)) == len(wordings)
    assert all(s.train and s.held_out for s in bank.structures)


@given(st.sampled_from(math_bank().structures), st.integers(0, 10**6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_sum_of_a_solution_is_right_and_the_last_is_the_answer(structure, seed, held_out):
    problem = draw_problem(math_bank(), structure, seed, held_out=held_out)
    sums = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", problem.solution)
    assert len(sums) == len(structure.steps)
    for left, sign, right, result in sums:
        a, b = Fraction(left), Fraction(right)
        exact = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
        assert exact == int(result) > 0
    assert problem.solution.endswith(f"\n#### {problem.answer}")
    assert int(sums[-1][3]) == problem.answer
    said = {int(n) for n in re.findall(r"\d+", problem.question)}
    assert set(problem.numbers.values()) <= said
    for name, (low, high, step) in structure.numbers.items():
        assert problem.numbers[name] in range(low, high + 1, step)
    assert "{" not in problem.question + problem.solution


def test_a_seed_names_a_problem():
    bank = math_bank()
    first, again, other = (
        draw_problem(bank, bank.structures[0], seed, held_out=False) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_known_sums():
    (share,) = parse_bank(BANK).structures
    assert compute(share, {"all": 7, "by": 3}) == {"left": 6, "each": 2}
    assert compute(share, {"all": 7, "by": 4}) is None  # not whole
    assert compute(share, {"all": 1, "by": 1}) is None  # not positive
    found = {
        draw_problem(parse_bank(BANK), share, seed, held_out=True).answer for seed in range(40)
    }
    assert found == {2, 3}  # 5-1 by 2, 7-1 by 2 and 3: one drawing in 40 misses below 1e-6


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"train": ["{all}?"]}, "by"),
        ({"held_out": ["{all} {by} {thing}?"]}, "thing"),
        ({"steps": [["x", "all - some", "{sum}"]]}, "some"),
        ({"steps": [["x", "all % by", "{sum}"]]}, "%"),
        ({"steps": [["x", "all - by", "{friend} {sum}"]]}, "friend"),
    ],
)
def test_a_bank_that_cannot_be_right_is_refused(parts, said):
    with pytest.raises(InvalidArgument, match=said):
        parse_bank(changed(**parts))


def test_numbers_that_never_fit_are_told():
    bank = parse_bank(changed(numbers={"all": [2, 2], "by": [5, 5]}))
    with pytest.raises(InvalidArgument, match="widen"):
        draw_problem(bank, bank.structures[0], 0, held_out=False)
