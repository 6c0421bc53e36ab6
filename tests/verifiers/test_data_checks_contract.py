"""The laws of verifiers hold for every check of data, with real gold and corrupted values."""

import sqlite3

import pytest

from genwright.testing.contracts.verifier import LAWS, VerifierCase
from genwright.verifiers.combine import AllOf, AnyOf, Weighted
from genwright.verifiers.json_schema import JsonFields, JsonSchemaValid
from genwright.verifiers.match import ExactMatch, RegexMatch
from genwright.verifiers.math_answer import MathAnswer
from genwright.verifiers.sql import SqlEquivalence, SqlRuns


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("contract") / "small.sqlite"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE flights (day INT)")
        connection.executemany("INSERT INTO flights VALUES (?)", [(1,), (2,), (2,)])
    connection.close()
    return str(path)


def cases(path):
    query = SqlEquivalence(database=path, gold="SELECT day FROM flights")
    text, form = ExactMatch(gold="two"), RegexMatch(pattern="t.o")
    both = (text, form)
    return {
        "sql": (query, "SELECT day + 0 FROM flights", "SELECT DISTINCT day FROM flights"),
        "runs": (SqlRuns(database=path), "SELECT 1", "SELECT night FROM flights"),
        "schema": (JsonSchemaValid(schema={"type": "object"}), '{"a": 1}', "[1]"),
        "fields": (JsonFields(gold={"a": 1}), '{"a": 1}', '{"a": 2}'),
        "math": (MathAnswer(gold="1/2"), r"so \boxed{0.5}", r"so \boxed{0.25}"),
        "exact": (text, " Two.", "three"),
        "regex": (form, "a two", "three"),
        "all": (AllOf(verifiers=both), "two", "a two"),
        "any": (AnyOf(verifiers=both), "a two", "three"),
        "weighted": (Weighted(verifiers=both, weights=(1, 2), threshold=0.6), "a two", "three"),
    }


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", list(cases("")))
def test_the_law_holds(name, law, database):
    check, gold, corrupted = cases(database)[name]
    law(VerifierCase(make=lambda: check, gold=[gold], corrupted=[corrupted]))
