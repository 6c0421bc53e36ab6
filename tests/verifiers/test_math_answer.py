"""Answers are compared as mathematics: exactly where they are numbers, and never without end."""

import gzip
import json
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, Samples, find
from genwright.verifiers.math_answer import MathAnswer, MathKey, final_answer, plain_number


def passed(gold, *drawn, **settings):
    return [v.passed for v in MathAnswer(gold=gold, **settings).check(Samples(list(drawn)))]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", 18),
        ("-18.0", -18),
        ("1,234,567", 1234567),
        ("1{,}234", 1234),
        ("$1,250.50", Fraction(2501, 2)),
        (r"\$5", 5),
        ("-$5", -5),
        ("50%", 50),
        (r"50\%", 50),
        ("3/4", Fraction(3, 4)),
        (r"-\frac{1}{2}", Fraction(-1, 2)),
        (r"\dfrac{6}{8}", Fraction(3, 4)),
        (".5", Fraction(1, 2)),
        ("1.5e3", 1500),
        ("−7", -7),
        ("18 dollars per day", 18),
        ("+ 3", 3),
        ("1,23", None),
        ("1/0", None),
        ("2 x", None),
        ("1e9999", None),
        ("2^3", None),
        ("", None),
        ("1 2", None),
        ("eighteen", None),
    ],
)
def test_plain_numbers_are_read_exactly(text, number):
    assert plain_number(text) == number


@given(st.fractions())
def test_every_fraction_is_read_back(number):
    assert plain_number(str(number)) == number
    assert plain_number(rf"\frac{{{abs(number.numerator)}}}{{{number.denominator}}}") == abs(number)
    assert passed(str(number), f"#### {number}", f"#### {number + 1}") == [True, False]


@given(st.integers(-(10**9), 10**9))
def test_thousands_may_have_commas(number):
    assert passed(str(number), f"so she has {number:,} eggs") == [True]


@pytest.mark.parametrize(
    ("text", "extract", "answer"),
    [
        (r"so \boxed{1} or \boxed{\frac{1}{2}}.", "auto", r"\frac{1}{2}"),
        (r"\boxed{1", "boxed", None),
        ("2+3 = 5\n#### 5", "auto", "5"),
        ("The answer is 12.", "auto", "12"),
        ("The answer is 3.\nNo. The answer is 12.", "auto", "12"),
        ("Final answer: $x^2$.", "answer_line", "x^2"),
        ("**Answer:** 7", "auto", "7"),
        ("16 - 3 - 4 = 9 eggs, 9 * 2 = $18.", "auto", "$18"),
        ("from 5 to -3", "last_number", "-3"),
        ("it is 10-3", "last_number", "3"),
        ("no number", "auto", None),
        ("no 5 box", "boxed", None),
        ("no 5 line", "answer_line", None),
        ("", "auto", None),
    ],
)
def test_the_answer_is_found_where_it_stands(text, extract, answer):
    assert final_answer(text, extract) == answer


def test_equal_mathematics_passes_and_unequal_fails():
    same = [(r"\frac{\sqrt{2}}{2}", r"\boxed{\frac{1}{\sqrt{2}}}"),
            ("(x+1)^2", r"\boxed{x^2+2x+1}"), ("8", r"\boxed{2^3}"),
            (r"\frac{\pi}{2}", "The answer is pi/2"),
            (r"\{1,2\}", r"\boxed{\{2,1\}}"), ("Evelyn", r"\boxed{\text{Evelyn}}")]  # fmt: skip
    other = [(r"\frac{\sqrt{2}}{2}", r"\boxed{\sqrt{2}}"), ("(x+1)^2", r"\boxed{x^2+1}"),
             ("8", r"\boxed{2^4}"), (r"\{1,2\}", r"\boxed{\{1,3\}}"), ("1/3", "0.333"),
             ("Evelyn", r"\boxed{\text{Bob}}"), ("8", r"\boxed{}"), ("8", "")]  # fmt: skip
    assert [passed(gold, drawn) for gold, drawn in same] == [[True]] * len(same)
    assert [passed(gold, drawn) for gold, drawn in other] == [[False]] * len(other)


HOSTILE = [
    "9**9**9**9",
    r"2^{2^{2^{2^{100}}}}",
    r"2^{2^{2^{2^{100}}}}-2^{2^{2^{2^{100}}}}+1",
    "99999999!",
    r"\frac{1}{0}",
    r"\sum_{n=1}^{10^{12}} \sin(n)",
    r"\int_0^1 x^{x^{x^x}} \, dx",
    "(" * 400 + "x" + ")" * 400,
    "{" * 400,
    "x" * 5000,
    "9" * 900 + "x",
    "__import__('os').system('touch {out}')",
    "open('{out}', 'w')",
    "\\" * 300,
    "\x00",
    "\ud800",
]


def test_hostile_answers_neither_hang_nor_pass_nor_write(tmp_path):
    start = time.monotonic()
    drawn = [rf"\boxed{{{h.replace('{out}', str(tmp_path / 'out'))}}}" for h in HOSTILE]
    verdicts = MathAnswer(gold="1", seconds=0.5).check(Samples(drawn))
    assert True not in [v.passed for v in verdicts if "100}}}}+1" not in str(v.evidence)]
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - start < 90  # 16 kills and restarts, on a machine that is busy
    assert passed("8", r"\boxed{2^3}") == [True]


def test_draws_that_are_not_text_fail():
    assert passed("1", None, 1, b"1", ["1"]) == [False] * 4


def test_equal_answers_vote_together():
    key = MathKey()
    assert len({key(t) for t in ("#### 0.5", r"\boxed{\frac{1}{2}}", "so 1/2", "50/100")}) == 1
    assert key(r"\boxed{x(x+1)}") == key(r"\boxed{x^2+x}") != key(r"\boxed{x^2}")
    assert key("nothing here") is key(None) is None
    assert key(r"\boxed{9**9**9**9}") is not None
    assert find("key", "math_key").cls is MathKey


def test_an_unknown_way_to_extract_is_refused():
    for make in (lambda: MathAnswer(gold="1", extract="box"), lambda: MathKey(extract="box")):
        with pytest.raises(InvalidArgument, match="boxed"):
            make()


def test_a_batch_equals_single_checks():
    check = MathAnswer(gold="8")
    drawn = [r"\boxed{2^3}", "8", "9", "", None, r"\boxed{2^4}"]
    assert check.check(Samples(drawn)) == [check.check(Samples([d]))[0] for d in drawn]


def test_gsm8k_accepts_its_own_solutions_and_rejects_corrupted_ones(shared_data):
    with gzip.open(shared_data("reasoning/gsm8k_test.jsonl.gz"), "rt") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        check = MathAnswer(gold=row["final"])
        number = plain_number(row["final"])
        drawn = [row["answer"], f"The answer is {row['final']}.", f"#### {number + 1}"]
        assert [v.passed for v in check.check(Samples(drawn))] == [True, True, False], row
