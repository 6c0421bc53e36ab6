"""A claim holds exactly when each of its bounds does, and a bound that says nothing is refused."""

import pytest

from genwright.core import InvalidArgument
from genwright.core.claim import ClaimResult


def result(*bounds, **metrics):
    return ClaimResult(metrics=metrics or {"a": 1.0, "b@2": -0.5}, bounds=bounds)


@pytest.mark.parametrize(
    ("bound", "met"),
    [
        ("a >= 1", True),
        ("a <= 1", True),
        ("a >= 1.01", False),
        ("a <= 0.99", False),
        ("b@2 <= -0.5", True),
        ("b@2 >= -0.4", False),
    ],
)
def test_a_bound_includes_its_end(bound, met):
    assert result(bound).holds is met
    assert result(bound).broken == (() if met else (bound,))


def test_one_broken_bound_is_enough():
    assert result("a >= 0", "b@2 >= 0", "a <= 2").broken == ("b@2 >= 0",)


@pytest.mark.parametrize("bound", ["c >= 1", "a > 1", "a>=1", "a >= many", "a >= 1 x", ""])
def test_a_bound_that_cannot_be_read_is_refused(bound):
    with pytest.raises(InvalidArgument, match="name of a metric"):
        result(bound)


def test_nothing_may_hold_without_a_bound_or_by_what_is_no_number():
    with pytest.raises(InvalidArgument, match="always hold"):
        result()
    with pytest.raises(InvalidArgument, match="finite"):
        result("a >= 1", a=float("nan"))
