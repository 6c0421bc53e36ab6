"""The gate passes a query exactly when its result says something and is not a matter of luck."""

import pytest

from genwright.core import Samples
from genwright.synthesis.gates import AnswersSomething, fault

ORDERS = '"Order Details"'


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (f"SELECT COUNT(*) FROM {ORDERS}", None),
        (f"SELECT COUNT(*) FROM {ORDERS} WHERE price > 99", "zero"),
        (f"SELECT price FROM {ORDERS} WHERE price > 99", "no rows"),
        (f"SELECT MAX(price) FROM {ORDERS} WHERE price > 99", "only NULL"),
        (f"SELECT OrderId FROM {ORDERS} ORDER BY price DESC LIMIT 3", None),
        (f"SELECT CustomerId FROM {ORDERS} GROUP BY CustomerId ORDER BY COUNT(*) LIMIT 1", "tie"),
        (f"SELECT CustomerId FROM {ORDERS} GROUP BY CustomerId ORDER BY COUNT(*) LIMIT 4", None),
        ('SELECT OrderId FROM "Order Details" ORDER BY "group" LIMIT 1', "ordered by NULL"),
        ('SELECT DISTINCT Country FROM Customers ORDER BY Country LIMIT 1', None),
        ('SELECT FullName FROM Customers ORDER BY Country LIMIT 1', "tie"),
        ('SELECT FullName FROM Customers ORDER BY Country LIMIT 3', None),
        ('SELECT FullName FROM Customers ORDER BY Country LIMIT 1 OFFSET 3', "tie"),
        ('SELECT FullName FROM Customers ORDER BY FullName LIMIT 2 OFFSET 1', None),
        ("SELECT FullName FROM Customers ORDER BY Country LIMIT 3 OFFSET 2", "tie"),
        ("SELECT x FROM Customers", "failed: no such column: x"),
    ],
)  # fmt: skip
def test_a_query_is_judged_by_its_result(tiny, query, reason):
    found = fault(tiny, query)
    assert found is None if reason is None else found.startswith(reason)


def test_verdicts_carry_the_reason(tiny):
    gate = AnswersSomething(database=tiny)
    good, bad = gate.check(Samples(["SELECT 1", "SELECT 0"]))
    assert (good.passed, bad.passed, bad.evidence) == (True, False, "zero")
