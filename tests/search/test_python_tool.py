"""The tool runs a step's code where the names of earlier steps are, and says what went wrong."""

import pytest

from genwright.core import InvalidArgument
from genwright.search.python_tool import PythonTool
from genwright.verifiers.sandbox import Sandbox


@pytest.fixture(scope="module")
def tool():
    with Sandbox(workers=1, seconds=20.0) as sandbox:
        yield PythonTool(sandbox=sandbox, longest=30)


def test_a_step_sees_names_of_earlier_steps_and_answers_its_own_output_alone(tool):
    before = "First <code>\nx = 6\nprint('early')\n</code>\n<output>early</output>\n"
    found = tool(before, "Then <code>y = x * 7\nprint(y)</code>")
    assert (found.text, found.failed) == ("<output>42</output>\n", False)


def test_a_step_without_code_calls_nothing(tool):
    assert tool("<code>x = 1</code>", "The answer is 1.") is None


def test_what_went_wrong_is_said(tool):
    found = tool("", "<code>print('so far')\n1 / 0</code>")
    assert found.failed
    assert "division by zero" in found.text


def test_long_output_is_cut_to_its_end(tool):
    found = tool("", "<code>print('a' * 100 + 'z')</code>")
    assert found.text == "<output>" + "a" * 29 + "z</output>\n"


@pytest.mark.parametrize("wrong", [{"opening": ""}, {"closing": ""}, {"answer": "none"}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(InvalidArgument, match="PythonTool"):
        PythonTool(**wrong)
