"""TestedSelection runs real programs against the generator's own tests and finds the right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Budget, Cost, InvalidArgument, Stop, Task
from genwright.search.b4 import B4, CodeT, MaxPass, MBRExec
from genwright.search.soft_b4 import SoftB4
from genwright.search.tested_selection import TEST_PROMPT, TestedSelection, pass_matrix, settled
from genwright.testing import Scripted
from genwright.testing.contracts import StrategyCase, check_contract
from genwright.verifiers.sandbox import Sandbox

PROMPT = "def double(x):\n"
RIGHT, SAME, SQUARE, ZERO, SLOW = (
    f"    return {body}\n" for body in ("2 * x", "x + x", "x * x", "0", "sum(iter(int, 1))")
)
TESTS = [
    "double(1) == 2\nassert double(3) == 6\nassert double(",
    "double(3) == 6\nassert triple(1) == 3\nassert double(2) == 5",
    "double(0) == 0\nassert double(2) == 4",
]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as made:
        yield made


def solve(programs, tests, sandbox, budget=Budget(), **settings):
    asked = TEST_PROMPT.format(prompt=PROMPT, entry_point="double")
    generator = Scripted({PROMPT: programs, asked: tests})
    settings = {"n": len(programs), "m": len(tests), "sandbox": sandbox} | settings
    task = Task(PROMPT, data={"entry_point": "double"})
    return TestedSelection(**settings).run(generator, task, budget, seed=0), generator


@pytest.mark.parametrize("selector", [B4(), CodeT()])
def test_the_right_program_is_found_with_its_equals(sandbox, selector):
    outcome, generator = solve(
        [ZERO, SQUARE, RIGHT, SAME, RIGHT], TESTS, sandbox, selector=selector
    )
    assert (outcome.chosen.value, outcome.stop) == (RIGHT, Stop.COMPLETE)
    assert outcome.info["groups"][0]["draws"] == [2, 3, 4]
    assert (outcome.info["programs"], outcome.info["tests"], outcome.info["left_out"]) == (4, 5, 0)
    assert [call.n for call in generator.calls] == [5, 3]
    assert generator.calls[0].seed != generator.calls[1].seed
    assert (outcome.cost.draws, outcome.cost.verifier_calls) == (8, 4)
    assert outcome.cost.seconds == outcome.info["execution"]["seconds"] > 0


def test_programs_and_tests_weigh_as_often_as_they_were_drawn(sandbox):
    """SQUARE passes (0) and (2) == 4, ZERO and SQUARE (0): counts decide what MaxPass prefers."""
    programs = [ZERO, SQUARE]
    assert solve(programs, ["double(5) == 0", "double(2) == 4"], sandbox, selector=MaxPass())[
        0
    ].info["groups"] == [{"draws": [0, 1], "score": 1.0}]
    more = ["double(5) == 0", "double(2) == 4", "double( 2 )==4"]
    outcome, _ = solve(programs, more, sandbox, selector=MaxPass())
    assert [g["score"] for g in outcome.info["groups"]] == [2.0, 1.0]
    assert outcome.chosen.value == SQUARE


def test_at_most_so_many_tests_are_taken_from_one_text(sandbox):
    text = "\nassert ".join(f"double({i}) == {2 * i}" for i in range(7))
    assert solve([RIGHT], [text], sandbox)[0].info["tests"] == 5
    assert solve([RIGHT], [text, "double(0) == 0"], sandbox, tests_per_text=2)[0].info["tests"] == 2


def test_the_size_of_a_set_counts_every_draw(sandbox):
    programs = [ZERO, SQUARE, SAME, SQUARE]
    outcome, _ = solve(programs, ["double(3) == 9"], sandbox, selector=MBRExec())
    assert outcome.info["groups"] == [
        {"draws": [0, 2], "score": 2.0},
        {"draws": [1, 3], "score": 2.0},
    ]


def test_a_program_that_cannot_be_judged_is_left_out_not_failed(sandbox):
    outcome, _ = solve([SLOW, RIGHT], TESTS, sandbox, seconds=1.5)
    assert outcome.chosen.value == RIGHT
    assert (outcome.info["programs"], outcome.info["left_out"]) == (1, 1)
    alone, _ = solve([SLOW], ["double(1) == 2"], sandbox, seconds=1.5)
    assert (alone.chosen.value, alone.info["programs"]) == (SLOW, 0)


def test_soft_b4_keeps_a_program_that_one_test_could_not_judge(sandbox):
    """It ends on every input but 2; asked about 2 it is neither right nor wrong."""
    partly = "    return 2 * x if x != 2 else sum(iter(int, 1))\n"
    for selector, tests in ((SoftB4(), 5), (B4(), 3)):
        outcome, _ = solve([partly, ZERO], TESTS, sandbox, selector=selector, seconds=1.5)
        assert (outcome.info["programs"], outcome.info["tests"]) == (2, tests)
    soft, _ = solve([ZERO, partly], TESTS, sandbox, selector=SoftB4(), seconds=1.5)
    assert (soft.chosen.value, soft.info["left_out"]) == (partly, 0)


def test_without_a_usable_test_the_commonest_program_is_returned(sandbox):
    outcome, _ = solve([ZERO, RIGHT, SQUARE, RIGHT], ["____ == ____"], sandbox)
    assert (outcome.chosen.value, outcome.info["groups"]) == (RIGHT, [])
    assert outcome.cost.verifier_calls == 0


def test_a_draw_that_is_a_whole_program_may_be_fenced(sandbox):
    whole = [f"Sure!\n```python\n{PROMPT}{body}```" for body in (ZERO, RIGHT)]
    outcome, _ = solve(whole, TESTS, sandbox, completes=False)
    assert outcome.chosen.value == whole[1]


@pytest.mark.parametrize(
    ("budget", "programs", "texts", "calls"),
    [
        (Budget(draws=0), 0, 0, 0),
        (Budget(draws=1), 1, 0, 0),
        (Budget(draws=5), 3, 2, 3),  # shared as 4 to 3
        (Budget(draws=7), 4, 3, 4),  # running what was drawn takes no draws
        (Budget(verifier_calls=2), 4, 3, 2),
        (Budget(new_tokens=4), 4, 0, 0),
        (Budget(seconds=1e-9), 4, 3, 1),
    ],
)
def test_the_budget_covers_programs_tests_and_execution(sandbox, budget, programs, texts, calls):
    outcome, generator = solve([ZERO, SQUARE, RIGHT, SAME], TESTS, sandbox, budget, batch=1)
    assert len(outcome.samples) == programs
    assert outcome.cost.draws == sum(call.n for call in generator.calls) == programs + texts
    assert outcome.cost.verifier_calls == calls
    assert outcome.stop is (Stop.COMPLETE if programs + texts + calls == 11 else Stop.BUDGET)
    assert (outcome.chosen is None) == (programs == 0)


def test_the_contract_of_strategies_is_kept(sandbox):
    asked = TEST_PROMPT.format(prompt=PROMPT, entry_point="double")
    check_contract(
        StrategyCase(
            make=lambda: TestedSelection(n=4, m=3, batch=4, sandbox=sandbox),
            generator=Scripted({PROMPT: [ZERO, SQUARE, RIGHT, SAME], asked: TESTS}),
            task=Task(PROMPT, data={"entry_point": "double"}),
            batch=4,
        )
    )


def test_a_program_that_never_loads_is_unknown_everywhere(sandbox):
    cells, _ = pass_matrix(
        ["while True: pass"], ["assert True", "assert False"], seconds=1.0, sandbox=sandbox
    )
    assert cells == [[None, None]]


def test_the_matrix_of_real_programs(sandbox):
    programs = [PROMPT + RIGHT, PROMPT + ZERO, "def (", "import sys; sys.exit(0)"]
    cells, cost = pass_matrix(
        programs, ["assert double(2) == 4", "assert double(0) == 0"], sandbox=sandbox
    )
    assert cells == [[True, True], [False, True], [False, False], [False, False]]
    assert cost == Cost(verifier_calls=4, seconds=cost.seconds)


@given(st.integers(0, 4), st.integers(1, 4), st.data())
def test_what_is_kept_is_known_and_nothing_known_is_dropped_in_vain(n, m, data):
    cell = st.sampled_from([True, False, None])
    cells = [[data.draw(cell) for _ in range(m)] for _ in range(n)]
    rows, columns = settled(cells)
    assert all(cells[i][j] is not None for i in rows for j in columns)
    for i in set(range(n)) - set(rows):
        assert None in cells[i]
    for j in set(range(m)) - set(columns):
        assert any(row[j] is None for row in cells) or not rows


def test_one_hopeless_program_does_not_cost_the_tests():
    assert settled([[True, False], [None, None], [True, True]]) == ([0, 2], [0, 1])
    assert settled([[True, None], [False, None], [True, True]]) == ([0, 1, 2], [0])


@pytest.mark.parametrize("wrong", [{"n": 0}, {"m": 0}, {"tests_per_text": 0}, {"seconds": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidArgument):
        TestedSelection(**wrong)


def test_a_task_without_an_entry_point_is_refused():
    with pytest.raises(InvalidArgument, match="entry_point"):
        TestedSelection().run(Scripted([RIGHT]), Task(PROMPT), Budget(), seed=0)


def test_programs_and_tests_are_drawn_a_batch_at_a_time(sandbox):
    """A budget in tokens is overshot by a batch at most, not by everything that was planned."""
    programs = [ZERO, SQUARE, RIGHT, SAME, RIGHT]
    outcome, generator = solve(programs, TESTS, sandbox, batch=2)
    assert [call.n for call in generator.calls] == [2, 2, 1, 2, 1]
    assert [call.first for call in generator.calls] == [0, 2, 4, 0, 2]
    assert (outcome.chosen.value, outcome.stop) == (RIGHT, Stop.COMPLETE)
    outcome, generator = solve(programs, TESTS, sandbox, Budget(new_tokens=3), batch=2)
    assert ([call.n for call in generator.calls], outcome.stop) == ([2, 2], Stop.BUDGET)
