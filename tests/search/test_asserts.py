"""Assertions are read from messy text as whole statements in one canonical form."""

import pytest

from genwright.search.asserts import read_asserts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("assert f(1)==2", ["assert f(1) == 2"]),
        ("assert f(1)==2 # one\nassert f( 1 ) == 2", ["assert f(1) == 2"] * 2),
        ("assert \n    f([1,\n  2]) == 3, 'sum'\nassert \n  ", ["assert f([1, 2]) == 3, 'sum'"]),
        ("assert f(1) == 2\n\nprint('done')", ["assert f(1) == 2"]),
        ("def check(candidate):\n    assert f(0) is None\n", ["assert f(0) is None"]),
        ("assert f(1) ==\nassert ____ == ____\nassert f(", []),
        ("assert g(1) == 2\nassert 'f' == 'f'\nassert h.f(1)", []),
        ("asserts f(1)\nreassert f(1)", []),
        ("assert f(1) is 1", ["assert f(1) is 1"]),
        ("assert " + "(" * 5000 + "f(1)", []),
        ("assert f('\0')", []),
        ("", []),
    ],
)
def test_only_whole_assertions_about_the_function_count(text, found):
    assert read_asserts(text, "f") == found
