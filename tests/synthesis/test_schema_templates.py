"""Templates made from a schema say its names in words, and their queries run on it."""

import duckdb
import pytest

from genwright.synthesis.schema import read_schema, said
from genwright.synthesis.schema_templates import plural, schema_templates, singular
from genwright.synthesis.sql_templates import draw_questions
from genwright.synthesis.vet import vet


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SupportRepId", "support rep id"),
        ("Order Details", "order details"),
        ("cre_Doc_Template", "cre doc template"),
        ("HTTPCode", "http code"),
        ("name", "name"),
    ],
)
def test_a_name_is_said_in_words(name, words):
    assert said(name) == words


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("country", "countries"),
        ("match", "matches"),
        ("bus stop", "bus stops"),
        ("tax", "taxes"),
        ("person", "people"),
        ("day", "days"),
        ("class", "classes"),
        ("order details", "order details"),
    ],
)
def test_one_and_many(one, many):
    assert (plural(one), plural(many), singular(many), singular(one)) == (many, many, one, one)


def test_roles_and_joins_of_a_schema(tiny):
    schema = read_schema(tiny)
    roles = {(t.written, c.written): c.role for t in schema.tables for c in t.columns}
    assert roles == {
        ("Customers", "CustomerId"): "key",
        ("Customers", "FullName"): "label",
        ("Customers", "Country"): "category",
        ('"Order Details"', "OrderId"): "key",
        ('"Order Details"', "CustomerId"): "key",
        ('"Order Details"', "price"): "measure",
        ('"Order Details"', '"group"'): "category",
    }
    (join,) = schema.joins
    assert (join.child.name, join.key, join.parent.name) == (
        "Order Details",
        "CustomerId",
        "Customers",
    )


def test_without_foreign_keys_columns_join_the_primary_key_of_their_name(tmp_path):
    path = tmp_path / "named.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE shop (shop_id INTEGER PRIMARY KEY, name VARCHAR)")
        connection.execute("CREATE TABLE sale (sale_id INTEGER PRIMARY KEY, shop_id INTEGER)")
        connection.execute("INSERT INTO shop VALUES (1, 'North'), (2, 'South')")
        connection.execute("INSERT INTO sale VALUES (1, 1), (2, 1), (3, 2)")
    (join,) = read_schema(path).joins
    assert (join.child.name, join.key, join.parent.name, join.target) == (
        "sale", "shop_id", "shop", "shop_id",
    )  # fmt: skip
    drawn = draw_questions(schema_templates(path), path, split="train", n=20, seed=0)
    asked = {item.question: item.answer for item in drawn.items}
    assert any("of the shop North" in q and "JOIN shop" in asked[q] for q in asked)


def test_all_queries_of_a_small_database_run_and_quote_what_needs_quotes(tiny):
    bank = schema_templates(tiny)
    assert {t.structure for t in bank} >= {
        "join, count",
        "count, missing value",
        "join, missing row",
    }
    drawn = draw_questions(bank, tiny, split="train", n=80, seed=0)
    assert not [reason for reason in drawn.dropped if reason.startswith(("failed", "slow"))]
    answers = {item.answer for item in drawn.items}
    assert any("O''Neil" in answer for answer in answers)
    assert any('"group" = ' in answer for answer in answers)
    assert any("of the customer Ann O'Neil" in item.question for item in drawn.items)


def test_the_statements_of_schema_templates_show_every_parameter(tiny):
    for template in schema_templates(tiny):
        report = vet(template, trials=20)
        assert report.faults == (), template.name


DATABASES = [
    "chinook", "northwind", "defog/atis", "defog/geography", "spider/car_1",
    "spider/concert_singer", "spider/dog_kennels", "spider/world_1", "spider/tvshow",
]  # fmt: skip


@pytest.mark.parametrize("name", DATABASES)
def test_real_databases_give_questions_whose_queries_run(shared_data, name):
    database = shared_data(f"sql/{name}.sqlite")
    drawn = draw_questions(schema_templates(database), database, split="train", n=60, seed=0)
    assert len(drawn.items) == 60
    assert len({item.structure for item in drawn.items}) >= 8
    assert not [reason for reason in drawn.dropped if reason.startswith(("failed", "slow"))]
