"""A database somebody brings becomes a task file that loads and asks checked questions."""

import json
import sqlite3
from contextlib import closing

import pytest

from genwright.core import MissingFile, UserError
from genwright.core.task_file import TaskFile
from genwright.synthesis.database_task import write_task_file


@pytest.fixture
def shop(tmp_path):
    """A small shop: 6 kinds of goods in 3 shelves, 60 sales."""
    path = tmp_path / "my shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, shelf TEXT, price REAL);"
            "CREATE TABLE sales (id INTEGER PRIMARY KEY, goods_id INTEGER REFERENCES goods (id),"
            " city TEXT, amount INTEGER);"
        )
        names = ["apple", "bread", "candle", "door", "egg", "flour"]
        goods = [(i, n, "abc"[i % 3] * 3, 1.5 * i + 1) for i, n in enumerate(names)]
        cities = ["Rome", "Oslo", "Bern", "Lima"]
        sales = [(i, i % 6, cities[i % 4], i % 7 + 1) for i in range(60)]
        connection.executemany("INSERT INTO goods VALUES (?, ?, ?, ?)", goods)
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", sales)
        connection.commit()
    return path


def test_the_written_file_loads_and_asks_questions_whose_gold_passes(shop, tmp_path):
    questions = tmp_path / "mine.jsonl"
    row = {"question": "How many doors were sold?", "sql": "SELECT COUNT(*) FROM sales"}
    questions.write_text(json.dumps(row) + "\n")
    path = write_task_file(shop, tmp_path / "tasks", questions=questions)
    assert path.name == "my-shop.toml"
    task_file = TaskFile.load(path)
    assert (
        "goods(id, name, shelf, price)" in task_file.build("generator", task_file.generator).system
    )
    tasks = task_file.tasks()
    assert {task.data["split"] for task in tasks} == {"parameters", "phrasings", "yours"}
    assert tasks[-1].prompt == "How many doors were sold?"
    from genwright.core import Samples

    for task in tasks[::7]:
        gold, wrong = task.verifier.check(Samples([task.data["sql"], "SELECT 'nothing'"]))
        assert (gold.passed, wrong.passed) == (True, False)
    trained = {row["question"] for row in task_file.rows(task_file.improve.data)}
    assert not trained & {task.prompt for task in tasks}


def test_what_cannot_be_asked_about_is_said(shop, tmp_path):
    with pytest.raises(MissingFile, match=r"none\.sqlite"):
        write_task_file(tmp_path / "none.sqlite", tmp_path)
    empty = tmp_path / "empty.sqlite"
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("CREATE TABLE a (b)")
    with pytest.raises(UserError, match="no table with two rows"):
        write_task_file(empty, tmp_path)
    write_task_file(shop, tmp_path)
    with pytest.raises(UserError, match="is there already"):
        write_task_file(shop, tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a"}, "needs the texts 'question' and 'sql'"),
        ({"question": "a", "sql": "SELECT x FROM goods"}, "its query fails.*no such column"),
    ],
)
def test_a_wrong_known_answer_is_found_at_once(shop, tmp_path, row, message):
    questions = tmp_path / "mine.jsonl"
    questions.write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=message):
        write_task_file(shop, tmp_path, questions=questions)
