"""A bank is read as it is written, and its splits share nothing whatever the seeds."""

import pytest

from genwright.core import InvalidArgument, MissingFile, describe, find
from genwright.synthesis.dedup import separation
from genwright.synthesis.sql_templates import (
    SPLITS,
    TemplateQuestions,
    draw_questions,
    load_bank,
    question_row,
    split_of,
)

BANK = """
[values.country]
query = "SELECT DISTINCT Country FROM Customers"
France = ["France", "the French"]

[values.price]
range = [1, 35]

[values.few]
list = [2, 4, 6, 8]

[phrases.over]
train = ["over {price}", "above {price}"]
held_out = ["beyond {price}"]

[cues]
'how many' = 'COUNT'

[[template]]
name = "over"
structure = "count"
sql = 'SELECT COUNT(*) FROM "Order Details" WHERE price > {price}'
train = ["How many details are {over}?", "Count details {over}."]
held_out = ["Details {over}: how many?"]

[[template]]
name = "between"
structure = "range"
sql = 'SELECT COUNT(*) FROM "Order Details" WHERE price BETWEEN {price1} AND {price2}'
constraints = ["price1 < price2"]
train = ["How many details between {price1} and {price2}?"]
held_out = ["Details from {price1} to {price2}: how many?"]

[[template]]
name = "where"
structure = "pair"
sql = "SELECT FullName FROM Customers WHERE Country = '{country}' AND CustomerId < {few}"
allowed = [{ of = ["country", "few"], query = "VALUES ('France', 6), ('Spain', 4)" }]
train = ["Customers of {country} before {few}"]

[[template]]
name = "novel"
structure = "novel"
split = "structures"
sql = 'SELECT MAX(price) FROM "Order Details" WHERE price < {price}'
train = ["What is the highest price below {price}?"]
"""


@pytest.fixture
def bank(tmp_path):
    path = tmp_path / "bank.toml"
    path.write_text(BANK)
    return path


def test_values_come_from_lists_ranges_and_the_database(bank, tiny):
    where = load_bank(bank, tiny)["where"]
    said = {value.answer: value.words for value in where.parameters["country"]}
    assert said == {"France": ("France", "the French"), "Spain": ("Spain",)}
    assert [value.answer for value in where.parameters["few"]] == ["2", "4", "6", "8"]
    assert where.allowed == {("country", "few"): {("France", "6"), ("Spain", "4")}}
    between = load_bank(bank, tiny)["between"]
    assert between.parameters["price1"] is between.parameters["price2"]


def test_splits_are_apart_for_any_seeds(bank, tiny):
    loaded = load_bank(bank, tiny)
    drawn = {
        split: draw_questions(loaded, tiny, split=split, n=60, seed=seed).items
        for seed, split in enumerate(SPLITS)
    }
    assert all(len(items) > 5 for items in drawn.values())
    rows = {s: [question_row(item, s) for item in items] for s, items in drawn.items()}
    report = separation(rows)
    assert all(report[split]["apart"] for split in SPLITS[1:])
    trained = {row["phrasing"] for row in rows["train"]}
    assert {row["phrasing"] for row in rows["parameters"]} <= trained


def test_the_text_of_a_query_alone_decides_its_split(bank, tiny):
    loaded = load_bank(bank, tiny)
    for split in SPLITS[:3]:
        items = draw_questions(loaded, tiny, split=split, n=40, seed=3).items
        assert {split_of(item.answer) for item in items} == {split}
    shares = [split_of(f"query {i}") for i in range(10_000)]
    for split, share in [("train", 0.7), ("parameters", 0.15), ("phrasings", 0.15)]:
        assert shares.count(split) / 10_000 == pytest.approx(share, abs=0.02)


def test_held_out_splits_ask_no_query_twice_and_no_split_asks_a_question_twice(bank, tiny):
    loaded = load_bank(bank, tiny)
    for split in SPLITS:
        items = draw_questions(loaded, tiny, split=split, n=60, seed=0).items
        assert len({item.question for item in items}) == len(items)
        if split != "train":
            assert len({item.answer for item in items}) == len(items)


def test_trivial_answers_are_dropped_and_counted(bank, tiny):
    drawn = draw_questions(load_bank(bank, tiny), tiny, split="structures", n=60, seed=0)
    assert drawn.dropped["only NULL"] == 1  # no price is below 1


def test_the_seed_decides_the_questions(bank, tiny):
    loaded = load_bank(bank, tiny)
    first = draw_questions(loaded, tiny, split="train", n=10, seed=1)
    assert first == draw_questions(loaded, tiny, split="train", n=10, seed=1)
    assert first != draw_questions(loaded, tiny, split="train", n=10, seed=2)
    assert {item.template for item in first.items} == {"over", "between", "where"}


def test_questions_are_a_registered_source(bank, tiny):
    source = TemplateQuestions(database=tiny, bank=str(bank), split="phrasings", n=3, seed=0)
    rows = source.rows()
    assert len(rows) == 3
    assert {"question", "sql", "template", "phrasing", "structure", "split"} <= rows[0].keys()
    assert find("source", "template_questions").cls is TemplateQuestions
    assert describe(source)["method"] == "template_questions"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{price}'", "{prize}'", "Did you mean 'price'"),
        ("SELECT DISTINCT Country", "SELECT DISTINCT Land", "no such column"),
    ],
)
def test_a_mistake_in_a_bank_is_named(bank, tiny, old, new, message):
    bank.write_text(BANK.replace(old, new))
    with pytest.raises(InvalidArgument, match=message):
        load_bank(bank, tiny)


def test_a_bank_and_a_split_that_are_not_there(bank, tiny):
    with pytest.raises(MissingFile, match="no bank"):
        load_bank("nowhere.toml", tiny)
    with pytest.raises(InvalidArgument, match="Did you mean 'phrasings'"):
        draw_questions(load_bank(bank, tiny), tiny, split="phrasing", n=1, seed=0)
