"""Databases that the tests of this room ask: the flights, and a tiny one made by hand."""

import os
import sqlite3

import pytest

from genwright.synthesis.databases import flights_database


@pytest.fixture(scope="session")
def flights(tmp_path_factory):
    """The flights database; parallel workers share one, which also tries its atomic writing."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    return str(flights_database(folder / "flights.sqlite"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Two tables with names that need quotes, a foreign key, a NULL and a tie."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE Customers (CustomerId INTEGER PRIMARY KEY, FullName TEXT, Country TEXT);
            CREATE TABLE "Order Details" (OrderId INTEGER PRIMARY KEY,
              CustomerId INTEGER REFERENCES Customers (CustomerId), price REAL, "group" TEXT);
            INSERT INTO Customers VALUES (1, 'Ann O''Neil', 'France'), (2, 'Bob', 'France'),
              (3, 'Cid', 'Spain'), (4, 'Dee', 'Spain'), (5, 'Eve', 'France');
            """
        )
        rows = [(i, 1 + i % 4, 1.5 * i, "xyz"[i % 3] if i != 7 else None) for i in range(1, 25)]
        connection.executemany('INSERT INTO "Order Details" VALUES (?, ?, ?, ?)', rows)
    connection.close()
    return str(path)
