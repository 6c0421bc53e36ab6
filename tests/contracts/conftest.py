"""What cases are tried on: a small database, a scripted endpoint, a sandbox, all bytes."""

import sqlite3

import pytest

from genwright.core import Vocabulary
from genwright.testing import ScriptedEndpoint

PIECES = [bytes([i]) for i in range(256)] + [b"ab", b"12", b'":', b'{"', b"true", b"SELECT ", b""]


@pytest.fixture(scope="session")
def letters():
    """Every byte, a few longer tokens, and an end."""
    return Vocabulary(PIECES, frozenset({262}), lambda text: list(text.encode()), "bytes")


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """Two tables, joined by a key, with texts, numbers and a NULL."""
    path = tmp_path_factory.mktemp("contracts") / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, country TEXT);
            CREATE TABLE orders (order_id INTEGER PRIMARY KEY, price REAL, colour TEXT,
              customer_id INTEGER REFERENCES customers (id));
            INSERT INTO customers VALUES (1, 'Ann O''Neil', 'France'), (2, 'Bob', 'France'),
              (3, 'Cid', 'Spain'), (4, 'Dee', 'Spain'), (5, 'Eve', 'France');
            """
        )
        colours = ["red", "green", "blue", None]
        rows = [(i, 1.5 * i, colours[i % 4], 1 + i % 4) for i in range(1, 25)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return str(path)


@pytest.fixture(scope="session")
def endpoint():
    """The base URL of an endpoint whose answers follow from the seed of each request."""
    with ScriptedEndpoint(lambda body: f"draw {body['seed'] % 1000}") as url:
        yield url


@pytest.fixture(scope="session")
def sandbox():
    """One warm sandbox for all cases."""
    from genwright.verifiers.sandbox import Sandbox

    with Sandbox(workers=1) as made:
        yield made


@pytest.fixture
def shop(tmp_path_factory, monkeypatch):
    """A Python project with one class; Jedi may take its time, as on a busy machine."""
    pytest.importorskip("jedi")
    from genwright.steering.jedi_tool import JediTool

    monkeypatch.setitem(JediTool.__init__.__kwdefaults__, "seconds", 60.0)
    root = tmp_path_factory.mktemp("shop")
    (root / "store.py").write_text(
        "class Basket:\n    owner: str = ''\n\n    def add_item(self, item): ...\n"
    )
    return str(root)
