"""Command passes a draw exactly when the real program it starts exits with 0."""

import subprocess
import sys
import time

import pytest

from genwright.core import InvalidArgument, MissingFile, Samples, Verifier
from genwright.verifiers.command import TAIL, Command


def python(code, *arguments, **settings):
    return Command(argv=(sys.executable, "-I", "-S", "-c", code, *arguments), **settings)


def test_the_exit_code_decides_and_order_is_kept():
    verifier = python("import sys; sys.exit('good' not in sys.stdin.read())")
    verdicts = verifier.check(Samples(["good", "bad", "so good", ""]))
    assert [v.passed for v in verdicts] == [True, False, True, False]
    assert [v.score for v in verdicts] == [1.0, 0.0, 1.0, 0.0]
    assert all(v.cost.verifier_calls == 1 and v.cost.seconds > 0 for v in verdicts)


def test_the_draw_comes_as_a_file_where_an_argument_asks_for_one():
    code = (
        "import sys; p = sys.argv[1]; sys.exit(not (p.endswith('.lean') and open(p).read()=='ä'))"
    )
    (verdict,) = python(code, "{file}", suffix=".lean").check(Samples(["ä"]))
    assert verdict.passed


def test_a_real_tool_checks_draws_and_its_words_are_the_evidence():
    verifier = Command(argv=(sys.executable, "-m", "py_compile", "{file}"), suffix=".py")
    right, wrong = verifier.check(Samples(["x = 1\n", "x = = 1\n"]))
    assert (right.passed, wrong.passed) == (True, False)
    assert "invalid syntax" in wrong.evidence["stderr"]
    assert wrong.evidence["exit_code"] == 1


def test_a_late_command_is_killed_with_its_children_and_undecided():
    mark = "genwright-command-test-mark"
    child = "[sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]"
    code = f"import subprocess, sys; subprocess.run({child})"
    started = time.monotonic()
    (verdict,) = python(code, mark, seconds=0.8).check(Samples([""]))
    assert time.monotonic() - started < 300
    assert (verdict.passed, verdict.score) == (None, None)
    assert verdict.evidence["reason"] == "time limit"
    assert subprocess.run(["pgrep", "-f", mark], capture_output=True).stdout == b""


def test_a_command_killed_by_a_signal_is_undecided():
    (verdict,) = python("import os; os.kill(os.getpid(), 9)").check(Samples([""]))
    assert (verdict.passed, verdict.evidence["reason"]) == (None, "killed")


def test_a_command_may_say_that_it_does_not_know():
    verifier = python("import sys; sys.exit(int(sys.stdin.read()))", undecided_codes=(3,))
    assert [v.passed for v in verifier.check(Samples(["0", "1", "3"]))] == [True, False, None]


def test_endless_output_is_cut_to_its_end():
    (verdict,) = python("print('x' * 10**6 + 'end')").check(Samples([""]))
    assert len(verdict.evidence["stdout"]) == TAIL
    assert verdict.evidence["stdout"].endswith("end\n")


def test_draws_that_are_no_text_of_unicode_still_arrive():
    (verdict,) = python("import sys; sys.stdin.buffer.read()").check(Samples(["\ud800\0"]))
    assert verdict.passed


def test_a_missing_program_is_named():
    with pytest.raises(MissingFile, match="no-such-program"):
        Command(argv=("no-such-program",)).check(Samples(["x"]))


@pytest.mark.parametrize("settings", [{"argv": ()}, {"argv": ("x",), "seconds": 0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(InvalidArgument, match="Command"):
        Command(**settings)


def test_it_is_a_verifier_and_takes_lists():
    verifier = Command(argv=["true"])
    assert isinstance(verifier, Verifier)
    assert verifier == Command(argv=("true",))
    assert verifier.check(Samples()) == []
