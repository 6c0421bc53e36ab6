"""Generated programs pass their tests, need each of their steps, and come in two apart sets."""

import re

import pytest

from genwright.core import InvalidArgument, Samples
from genwright.steering.comments import comments, strip_comments
from genwright.synthesis.commented_programs import CommentedPrograms, held_out, steps
from genwright.verifiers.unit_tests import UnitTests


@pytest.fixture(scope="module")
def rows():
    return CommentedPrograms(n=40, seed=3, split="train").rows()


def run(code, tests):
    """Run a program of the bank, which needs no sandbox; return whether its tests pass."""
    known = {}
    exec(code, known)
    try:
        exec(tests, known)
    except (AssertionError, TypeError, AttributeError):
        return False
    return True


def test_every_program_passes_its_tests_with_and_without_its_comments(rows):
    for row in rows:
        assert run(row["program"], row["tests"])
        assert run(strip_comments(row["program"]), row["tests"])


def test_no_program_passes_once_a_step_is_left_out(rows):
    for row in rows:
        lines = strip_comments(row["program"]).splitlines()
        for i, line in enumerate(lines[1:], 1):
            if line == "    return xs":
                continue
            without = [*lines[:i], *lines[i + 1 :]]
            if "return" not in without[-1]:
                without.append("    return xs")
            assert not run("\n".join(without), row["tests"])


def test_the_sandbox_agrees(rows):
    row = rows[0]
    verifier = UnitTests(tests=row["tests"], entry_point=row["entry_point"], seconds=60.0)
    wrong = "def solve(xs):\n    return xs\n"
    verdicts = verifier.check(Samples([row["program"], wrong]))
    assert [verdict.passed for verdict in verdicts] == [True, False]


STEPS = {
    ("numbers.even", "numbers.plus", "numbers.total"): ([1, 2, 4, -6], 6 + 8 - 2),
    ("numbers.unique", "numbers.sums"): ([3, 3, 1, -2], [3, 4, 2]),
    ("numbers.odd", "numbers.square", "numbers.falling"): ([-3, 2, 1, 5], [25, 9, 1]),
    ("numbers.plus", "numbers.how_many"): ([1, -4, 0, 9], 2),
    ("words.mirror", "words.begins", "words.join"): (["tea", "bat", "sun"], "aet"),
    ("words.cut", "words.alphabetical", "words.glue"): (["zebra", "amber"], "ambezebr"),
    ("words.erase", "words.lengths", "numbers.largest"): (["banana", "kiwi"], 4),
}


@pytest.mark.parametrize(("names", "known"), STEPS.items(), ids=[">".join(k) for k in STEPS])
def test_steps_do_what_they_say(names, known):
    """With 4 for every number and `a` for every letter."""
    given, wanted = known
    bank = {step.name: step for kind in steps().values() for step in kind}
    for name in names:
        code = bank[name].code.replace("{n}", "4").replace("{c}", "a")
        given = eval(code, {"xs": given})
    assert given == wanted


def test_what_a_step_says_tells_it_from_every_other():
    for kind, bank in steps().items():
        said = [text for step in bank for text in step.says]
        assert len(set(said)) == len(said) == 2 * len(bank), kind
        for step in bank:
            fields = set(re.findall(r"\{(\w)\}", step.code))
            assert all(set(re.findall(r"\{(\w)\}", text)) == fields for text in step.says)
            assert all(set(re.findall(r"\{(\w)\}", text)) <= fields for text in step.notes)


def test_held_out_compositions_are_new_and_their_steps_are_not():
    train = CommentedPrograms(n=200, seed=0, split="train").rows()
    new = CommentedPrograms(n=30, seed=1).rows()
    known = {tuple(row["steps"]) for row in train}
    assert not known & {tuple(row["steps"]) for row in new}
    assert all(held_out(row["steps"]) for row in new)
    assert not any(held_out(row["steps"]) for row in train)
    assert {s for row in new for s in row["steps"]} <= {s for row in train for s in row["steps"]}


def test_questions_say_every_clause_and_none_comes_twice(rows):
    assert len({row["question"] for row in rows}) == len(rows)
    for row in rows:
        assert len(row["clauses"]) == len(set(row["steps"])) == len(row["steps"]) in (2, 3)
        assert all(clause in row["question"] for clause in row["clauses"])
        assert not re.search(r"[{}]", row["question"] + row["program"])


@pytest.mark.parametrize("chance", [0.0, 1.0, 0.75])
def test_a_step_has_its_comment_by_chance(chance):
    """Exact for 0 and 1; about 125 steps at 0.75 stay within 5.3 standard deviations (1e-7)."""
    rows = CommentedPrograms(n=50, commented=chance, split="train").rows()
    total = sum(len(row["steps"]) for row in rows)
    share = sum(len(comments(row["program"])) for row in rows) / total
    assert abs(share - chance) <= 5.3 * (chance * (1 - chance) / total) ** 0.5
    assert all(len(comments(row["program"])) <= len(row["steps"]) for row in rows)


def test_the_share_of_commented_steps_does_not_change_what_is_asked():
    some, every = (CommentedPrograms(n=10, commented=c).rows() for c in (0.5, 1.0))
    assert [row["question"] for row in some] == [row["question"] for row in every]
    assert [strip_comments(row["program"]) for row in some] == [
        strip_comments(row["program"]) for row in every
    ]


def test_a_question_that_came_already_is_drawn_again(monkeypatch):
    drawn = iter("aabac")
    monkeypatch.setattr(CommentedPrograms, "_row", lambda self, seed: {"question": next(drawn)})
    assert [row["question"] for row in CommentedPrograms(n=3).rows()] == ["a", "b", "c"]


def test_a_seed_is_a_set_of_rows():
    assert CommentedPrograms(n=5, seed=4).rows() == CommentedPrograms(n=8, seed=4).rows()[:5]
    assert CommentedPrograms(n=5, seed=4).rows() != CommentedPrograms(n=5, seed=5).rows()


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"n": 0}, "n must be 1"), ({"commented": 1.5}, "1.5"), ({"split": "test"}, "'test'")],
    ids=["none", "chance", "split"],
)
def test_settings_out_of_range_are_refused(settings, told):
    with pytest.raises(InvalidArgument, match=told):
        CommentedPrograms(**settings)
