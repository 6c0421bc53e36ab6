"""Every string of a SqlGrammar runs on its database, and what people would ask belongs to it."""

import sqlite3

import pytest

from genwright.core import ConstraintError, MissingFile
from genwright.steering.matching import ALL_BYTES
from genwright.steering.membership import where_it_fails
from genwright.steering.random_valid import RandomValid
from genwright.steering.sql import SqlGrammar

SCHEMA = """
CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT);
CREATE TABLE flights (month INTEGER, day INTEGER, dep_delay INTEGER, arr_delay REAL,
  carrier TEXT REFERENCES airlines (carrier), origin TEXT, time_hour TEXT, logo BLOB);
CREATE TABLE weather (origin TEXT, time_hour TEXT, temp REAL, "wind dir" INTEGER, "order" TEXT,
  PRIMARY KEY (origin, time_hour));
INSERT INTO airlines VALUES ('UA', 'United'), ('B6', 'Jet''Blue');
INSERT INTO flights VALUES (1, 2, 5, 7.5, 'UA', 'JFK', '2013-01-02 05:00', x'ff'),
  (7, 4, NULL, -3, 'B6', 'EWR', '2013-07-04 09:00', NULL);
INSERT INTO weather VALUES ('JFK', '2013-01-02 05:00', 39.0, 270, 'a/b');
"""
WANTED = [
    "SELECT carrier, AVG(arr_delay) FROM flights WHERE month = 7 GROUP BY carrier "
    "ORDER BY AVG(arr_delay) DESC LIMIT 1",
    "SELECT airlines.name FROM flights JOIN airlines ON flights.carrier = airlines.carrier "
    "GROUP BY airlines.name HAVING COUNT(*) > 1000 AND AVG(dep_delay) < 10",
    "SELECT ROUND(100.0 * SUM(CASE WHEN arr_delay > 0 THEN 1 ELSE 0 END) / COUNT(*), 1) "
    "FROM flights WHERE (carrier = 'UA' OR carrier = 'B6') AND dep_delay IS NOT NULL",
    "SELECT name FROM airlines WHERE carrier NOT IN (SELECT carrier FROM flights)",
    "SELECT day FROM flights WHERE arr_delay = (SELECT MAX(arr_delay) FROM flights)",
    "SELECT 100.0 * SUM(carrier = 'UA') / COUNT(*) FROM flights",
    'SELECT "wind dir", weather."order" FROM weather WHERE "order" = \'a/b\'',
    "SELECT DISTINCT strftime('%m', time_hour) FROM flights ORDER BY strftime('%m', time_hour)",
    "SELECT COUNT(*) FROM flights JOIN weather ON flights.origin = weather.origin AND "
    "flights.time_hour = weather.time_hour JOIN airlines ON airlines.carrier = flights.carrier",
    "SELECT name FROM airlines WHERE name = 'Jet''Blue'",
    "SELECT name FROM airlines WHERE carrier IN (SELECT flights.carrier FROM flights JOIN weather "
    "ON flights.origin = weather.origin WHERE weather.temp > 30)",
]
FORBIDDEN = [
    ("SELECT tail FROM flights", "ail FROM flights"),
    ("SELECT name FROM flights LIMIT 1", "IMIT 1"),
    (
        "SELECT origin FROM flights JOIN weather ON flights.origin = weather.origin",
        "weather ON flights.origin = weather.origin",
    ),
    ("SELECT day FROM flights WHERE carrier = 'XX'", "XX"),
    ("SELECT day FROM flights WHERE AVG(day) > 3", "VG(day) > 3"),
    ("SELECT day FROM flights ORDER BY AVG(day)", "VG(day)"),
    ("SELECT day FROM flights ORDER BY 3", ""),
    ("SELECT day FROM flights JOIN airlines ON flights.day = airlines.name", "day = "),
    ("DROP TABLE flights", "DROP"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "flights.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    connection.close()
    return str(path)


@pytest.fixture(scope="module")
def compiled(database):
    return SqlGrammar(database=database).compile(ALL_BYTES)


@pytest.mark.parametrize("query", WANTED)
def test_what_people_ask_belongs_to_the_language_and_runs(compiled, database, query):
    assert where_it_fails(compiled, ALL_BYTES, query) is None
    sqlite3.connect(database).execute(query).fetchall()


@pytest.mark.parametrize(("query", "rest"), FORBIDDEN)
def test_what_would_not_run_or_names_nothing_is_not_in_the_language(compiled, query, rest):
    failed = where_it_fails(compiled, ALL_BYTES, query)
    assert failed is not None
    assert failed[1].startswith(rest)


def test_every_random_string_of_the_language_runs(database):
    """150 walks over bytes; those that were cut off at 400 bytes are no strings of the language."""
    control = RandomValid(
        constraint=SqlGrammar(database=database), vocabulary=ALL_BYTES, max_tokens=400
    )
    draws = control.sample("", 150, seed=3)
    finished = [s.value for s in draws if s.info["finished"]]
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    for query in finished:
        connection.execute(query).fetchall()
    assert len(finished) > 75
    assert sum(" JOIN " in query for query in finished) > 10


def test_no_list_of_values_leaves_texts_free(database):
    free = SqlGrammar(database=database, max_values=0).compile(ALL_BYTES)
    query = "SELECT day FROM flights WHERE carrier = 'XX'"
    assert where_it_fails(free, ALL_BYTES, query) is None


def test_without_joins_there_are_none(database):
    single = SqlGrammar(database=database, max_joins=0).compile(ALL_BYTES)
    assert where_it_fails(single, ALL_BYTES, WANTED[0]) is None
    assert where_it_fails(single, ALL_BYTES, WANTED[1]) is not None


def test_columns_of_one_name_and_two_types_join_nothing(tmp_path):
    path = tmp_path / "two.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, day INTEGER, x REAL);"
            "CREATE TABLE b (id INTEGER REFERENCES a (id), day TEXT PRIMARY KEY, y REAL);"
        )
    connection.close()
    compiled = SqlGrammar(database=str(path)).compile(ALL_BYTES)
    assert where_it_fails(compiled, ALL_BYTES, "SELECT x FROM a JOIN b ON a.id = b.id") is None
    refused = where_it_fails(compiled, ALL_BYTES, "SELECT x FROM a JOIN b ON a.day = b.day")
    assert refused is not None
    assert refused[1].startswith("day")


def test_a_missing_or_empty_database_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"nowhere\.sqlite"):
        SqlGrammar(database=str(tmp_path / "nowhere.sqlite")).compile(ALL_BYTES)
    (tmp_path / "text.sqlite").write_text("not a database at all, but long enough to be read")
    with pytest.raises(ConstraintError, match="cannot read"):
        SqlGrammar(database=str(tmp_path / "text.sqlite")).compile(ALL_BYTES)
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    with pytest.raises(ConstraintError, match="no tables"):
        SqlGrammar(database=str(tmp_path / "empty.sqlite")).compile(ALL_BYTES)
