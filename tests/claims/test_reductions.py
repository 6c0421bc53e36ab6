"""The language of reductions errs as often as it says, and its checks see the last digit alone."""

from itertools import pairwise

import pytest

from genwright.claims import alphamath, corag
from genwright.claims.configurations import overlap
from genwright.claims.reductions import (
    OPERATIONS,
    Language,
    answer_of,
    is_answer,
    perfect_value,
    reduced,
    worth,
)
from genwright.core import Samples

LANGUAGE = Language(1)


def test_a_demonstration_reduces_one_operation_a_line_in_place():
    for number in range(20):
        lines = LANGUAGE.demonstration(number)
        operations = [sum(line.count(o) for o in OPERATIONS) for line in lines]
        assert operations == list(range(operations[0], -1, -1))
        assert 4 <= operations[0] <= 6
        assert {len(line) for line in lines} == {13}
        assert is_answer(lines[-1])


def test_a_quarter_of_the_steps_is_wrong_and_hard_facts_alone_are():
    """5,000 steps or so of 1/4: a share off by 0.04 has a chance below 1e-9."""
    right = wrong = 0
    for number in range(1000):
        lines = LANGUAGE.demonstration(number)
        for before, after in pairwise(lines):
            fact = before.lstrip("_")[:3]
            if worth(before) == worth(after) or after == reduced(before, worth(fact)):
                right += 1
            else:
                wrong += 1
                assert after == reduced(before, LANGUAGE.wrong[fact])
    assert wrong / (right + wrong) == pytest.approx(0.25, abs=0.04)
    assert len(LANGUAGE.wrong) == 25
    assert all(made != worth(fact) for fact, made in LANGUAGE.wrong.items())


def test_worth_is_read_from_left_to_right_modulo_five():
    assert worth("____2-4*4+1*3") == str((((2 - 4) * 4 + 1) * 3) % 5)
    assert reduced("____2-4*4+1*3", "3") == "______3*4+1*3"


def test_the_check_sees_the_last_line_alone():
    (task,) = LANGUAGE.tasks(1)
    gold = task.data["gold"]
    texts = [f"nonsense\n____________{gold}", gold, f"{gold}\n1+1", str((int(gold) + 1) % 5), ""]
    passed = [v.passed for v in task.verifier.check(Samples(texts))]
    assert passed == [True, True, False, False, False]
    assert answer_of("__________1+1") is None


def test_the_perfect_value_knows_the_first_wrong_step():
    (question, *lines), prefix = LANGUAGE.demonstration(3), ""
    values = []
    for line in [question, *lines]:
        prefix += f"{line}\n"
        values += perfect_value([prefix])
    same = [worth(line) == worth(question) for line in [question, *lines]]
    assert values == [1.0 if alike else -1.0 for alike in same]


def test_words_in_common_by_hand():
    assert overlap("the cat the cat", "The cat sat") == pytest.approx(2 * 2 / 7)
    assert overlap("a", "b") == 0.0


def test_the_mechanics_hold():
    found = alphamath.run("smoke", seed=4)
    assert found.holds, found.metrics


def test_a_known_worth_counts_redundancy_conflict_and_order():
    known = corag.Synthetic(3)
    single = [known.worth((i,)) for i in range(corag.CHUNKS)]
    both = [known.worth((0, 1)), known.worth((1, 0))]
    assert both[0] != both[1]
    assert abs(both[0] - both[1]) <= 0.6  # order moves a pair by 0.3 either way at most
    assert all(0.1 <= value <= 1.0 for value in single)
    assert known("", [("0",), ("0", "1")]) == [single[0], both[0]]
