"""UnitTests passes right programs, fails wrong ones with evidence, and says when it cannot know."""

import pytest

from genwright.core import InvalidArgument, Samples, Verifier, build, describe
from genwright.verifiers.sandbox import Execution, Program, Sandbox
from genwright.verifiers.unit_tests import UnitTests, extract_code

RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
TESTS = "assert add(1, 2) == 3\nassert add(2, 2) == 4, 'two and two'\n"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(2) as pool:
        yield pool


def check(sandbox, *codes, tests=TESTS, **settings):
    return UnitTests(tests=tests, sandbox=sandbox, **settings).check(Samples(list(codes)))


@pytest.mark.parametrize("entry_point", [None, "add"])
def test_right_programs_pass_and_wrong_ones_fail_in_order(sandbox, entry_point):
    verdicts = check(sandbox, RIGHT, WRONG, RIGHT, "", entry_point=entry_point)
    assert [v.passed for v in verdicts] == [True, False, True, False]
    assert [v.score for v in verdicts] == [1.0, 0.0, 1.0, 0.0]
    assert all(v.cost.verifier_calls == 1 and v.cost.seconds > 0 for v in verdicts)


def test_evidence_names_the_failing_assert_and_what_was_printed(sandbox):
    code = "print('trying')\ndef add(a, b):\n    return 3\n"
    (verdict,) = check(sandbox, code, entry_point="add")
    wanted = {
        "status": "error",
        "type": "AssertionError",
        "message": "two and two",
        "line": 2,
        "source": "assert add(2, 2) == 4, 'two and two'",
        "in": "tests.py",
        "stdout": "trying\n",
    }
    assert verdict.evidence == wanted


def test_an_exception_of_the_program_reaches_tests_and_evidence(sandbox):
    code = "def add(a, b):\n    if a < 0: raise ValueError('negative')\n    return a + b\n"
    tests = "try:\n    add(-1, 0)\nexcept ValueError as e:\n    assert str(e) == 'negative'\n"
    assert check(sandbox, code, tests=tests + TESTS, entry_point="add")[0].passed
    (verdict,) = check(sandbox, code, tests="add(-1, 0)", entry_point="add")
    assert (verdict.passed, verdict.evidence["type"]) == (False, "ValueError")


def test_tests_in_the_style_of_humaneval_are_called(sandbox):
    tests = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    verdicts = check(sandbox, RIGHT, WRONG, tests=tests, entry_point="add")
    assert [v.passed for v in verdicts] == [True, False]
    called = tests + "check(add)\n"
    verdicts = check(sandbox, RIGHT, WRONG, tests=called, entry_point="add")
    assert [v.passed for v in verdicts] == [True, False]


def test_several_tests_all_have_to_pass(sandbox):
    tests = ("assert add(1, 1) == 2", "assert add(1, 1) == 3", "assert True")
    assert check(sandbox, RIGHT, tests=tests)[0].passed is False
    assert check(sandbox, RIGHT, tests=(tests[0], tests[2]))[0].passed is True


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x = 1\n", "x = 1\n"),
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nor\n```py\nx = 2\n```", "x = 2\n"),
        ("```python\nx = 1\n```\nprints\n```\n1\n```", "x = 1\n"),
        ("```text\nhello\n```\n```python\nx = 1", "x = 1"),
        ("s = '``` not a fence'\n", "s = '``` not a fence'\n"),
    ],
)
def test_the_program_is_taken_out_of_its_fence(value, code):
    assert extract_code(value) == code


@pytest.mark.parametrize("entry_point", [None, "add"])
@pytest.mark.parametrize("loop", ["def add(a, b):\n    while True: pass\n", "while True: pass"])
def test_a_busy_loop_is_undecided_or_failed_as_asked(sandbox, loop, entry_point):
    settings = {"seconds": 0.4, "entry_point": entry_point}
    (soft,) = check(sandbox, loop, **settings)
    assert (soft.passed, soft.score, soft.evidence["status"]) == (None, None, "timeout")
    hard = [check(sandbox, loop, timeout_verdict="fail", **settings)[0] for _ in range(3)]
    failed = [v for v in hard if v.passed is False]  # others: the machine was busy, and it says so
    assert all(v.evidence["reason"] == "time limit" for v in failed)
    busy = [v for v in hard if v.passed is None]
    assert all(v.evidence["cpu_seconds"] <= 0.2 for v in busy)
    assert failed or len(busy) == 3


def test_a_program_that_waits_is_undecided_even_where_time_outs_fail(sandbox):
    code = "import time\ntime.sleep(99)"
    (verdict,) = check(sandbox, code, seconds=0.3, timeout_verdict="fail")
    assert verdict.passed is None
    assert verdict.evidence["reason"] == "late without having computed"


@pytest.mark.parametrize(("cpu", "passed"), [(0.5, False), (0.499, None)])
def test_half_of_the_limit_on_the_processor_is_using_it(cpu, passed):
    verifier = UnitTests(tests="x", seconds=1.0, timeout_verdict="fail")
    verdict = verifier._verdict(Execution(status="timeout", cpu_seconds=cpu))
    assert verdict.passed is passed


def test_a_broken_sandbox_is_undecided():
    verifier = UnitTests(tests="x", timeout_verdict="fail")
    verdict = verifier._verdict(Execution(status="undecided", problem={"type": "SandboxError"}))
    assert (verdict.passed, verdict.evidence["type"]) == (None, "SandboxError")


@pytest.mark.parametrize("code", ["x = [0] * 10**10", "import ctypes\nctypes.string_at(0)"])
def test_running_out_of_memory_or_crashing_is_failing(sandbox, code):
    assert check(sandbox, code)[0].passed is False


def test_values_and_keyword_arguments_cross_with_their_types(sandbox):
    code = "def echo(*args, **kwargs):\n    return args, kwargs\n"
    tests = (
        "x = (1, 2.5, 'ä', b'\\0', None, True, {1: (2,)}, {3}, frozenset(), 2**9999, range(3))\n"
        "assert repr(echo(*x, k=[1j])) == repr((x, {'k': [1j]}))"
    )
    assert check(sandbox, code, tests=tests, entry_point="echo")[0].passed


def test_a_program_may_end_a_call_but_tests_cannot_be_made_to_swallow_it(sandbox):
    tests = "try:\n    add(1, 2)\nexcept BaseException:\n    pass\n"
    code = "import os\ndef add(a, b):\n    os._exit(0)\n"
    (verdict,) = check(sandbox, code, tests=tests, entry_point="add")
    assert (verdict.passed, verdict.evidence["type"]) == (False, "ProgramStopped")


@pytest.mark.parametrize(
    "settings", [{"tests": ""}, {"tests": ()}, {"tests": "x", "timeout_verdict": "zero"}]
)
def test_settings_that_check_nothing_are_refused(settings):
    with pytest.raises(InvalidArgument, match="UnitTests"):
        UnitTests(**settings)


def test_it_is_a_verifier_that_can_be_written_down_and_rebuilt():
    verifier = UnitTests(tests=TESTS, entry_point="add")
    assert isinstance(verifier, Verifier)
    described = describe(verifier)
    assert described["method"] == "unit_tests"
    assert build("verifier", described) == verifier


def test_programs_do_not_share_anything(sandbox):
    leave = "import builtins\nbuiltins.left = 1\nopen('left', 'w').close()\n" + RIGHT
    look = "import os\nassert not os.path.exists('left') and 'left' not in dir(__builtins__)\n"
    verdicts = check(sandbox, *[leave, look + RIGHT] * 4)
    assert all(v.passed for v in verdicts)
    assert sandbox.execute(Program(code=look)).status == "ok"
