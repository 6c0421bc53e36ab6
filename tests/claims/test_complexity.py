"""The made-up language of the claim: its sums are right, and its rows weigh the same."""

import random
import re

import pytest

from genwright.claims.complexity import LONG, STYLES, _answer, _demonstrations, make_sum
from genwright.search.complexity import steps

LINE = re.compile(r"(\d+)((?: (?:Gets|Gives) \d+)+) = (\d+)")


def total(start, changes):
    return int(start) + sum(
        int(x) if what == "Gets" else -int(x)
        for what, x in re.findall(r"(Gets|Gives) (\d+)", changes)
    )


@pytest.mark.parametrize("seed", range(50))
def test_every_line_of_a_worked_sum_is_right_and_goes_on_from_the_last(seed):
    one = make_sum(random.Random(seed))
    start, changes = re.fullmatch(r"\w+ has (\d+)\.(.*)", one.question).groups()
    wanted = re.findall(r"G\w+ \d+", changes)
    assert total(start, changes) == one.total
    assert 1 <= one.total <= 29
    for style, size in STYLES.items():
        answer, now = one.answers[style], start
        lines = LINE.findall(answer)
        assert len(lines) == steps(answer) == (-(-len(wanted) // size) if size else 0)
        for before, some, after in lines:
            assert before == now
            assert total(before, some) == int(after)
            now = after
        said = [change for _, some, _ in lines for change in re.findall(r"G\w+ \d+", some)]
        assert said == (wanted if size else [])
        assert _answer(answer) == one.total


@pytest.mark.parametrize("style", STYLES)
def test_rows_are_of_one_style_and_about_as_long(style):
    for seed in range(20):
        row = _demonstrations(random.Random(seed), style)
        answers = [shown.partition("\nA: ")[2] for shown in row.split("\n\n")]
        sizes = {len(re.findall("Gets|Gives", s)) for a in answers for _, s, _ in LINE.findall(a)}
        assert len(answers) > 1
        assert max(sizes, default=0) == STYLES[style]
        assert LONG <= len(row) < LONG + 220
