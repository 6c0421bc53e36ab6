"""Vetting passes sound templates and finds each kind of injected defect."""

from dataclasses import replace

import pytest

from genwright.synthesis.gates import fault
from genwright.synthesis.templates import Cue, Template, Value, Wordings
from genwright.synthesis.vet import vet
from genwright.verifiers.sql_query import run_query

COUNTRIES = (Value("France", ("France",)), Value("Spain", ("Spain",)))
PRICES = tuple(Value(str(n), (str(n),)) for n in (3, 8, 12, 20, 27))
CUES = (
    Cue(question="average", answer=r"AVG\("),
    Cue(question="over", answer=">"),
    Cue(question="named", answer="FullName IS NOT NULL"),
)
SOUND = Template(
    name="prices",
    structure="join",
    answer='SELECT AVG(price) FROM "Order Details" JOIN Customers USING (CustomerId)'
    " WHERE Country = '{country}' AND price > {price}",
    frames=Wordings(
        train=("What is the average price over {price} in {country}?", "In {country}, {over}?"),
        held_out=("Average of prices over {price} in {country}",),
    ),
    phrases={"over": Wordings(train=("what is the average of prices over {price}",))},
    parameters={"country": COUNTRIES, "price": PRICES},
)


def report(template, database):
    return vet(
        template,
        gate=lambda query: fault(database, query),
        result=lambda query: run_query(database, query).rows,
        cues=CUES,
    )


def frames(*texts):
    return Wordings(train=texts)


DEFECTS = {
    "wrong number in the text": {
        "frames": frames("What is the average price of 7 orders over {price} in {country}?")
    },
    "constant only in the query": {"answer": SOUND.answer + " AND OrderId < 24"},
    "text constant only in the query": {"answer": SOUND.answer + " AND FullName <> 'Bob'"},
    "another statistic than asked": {"answer": SOUND.answer.replace("AVG", "MAX")},
    "the comparison turned": {"answer": SOUND.answer.replace(">", "<")},
    "a condition said but not asked": {
        "frames": frames("What is the average price over {price} of named people in {country}?")
    },
    "swapped operands": {
        "answer": SOUND.answer.replace("{country}", "x")
        .replace("{price}", "{country}")
        .replace("x", "{price}")
    },
    "off by one row": {"answer": SOUND.answer + " LIMIT 2"},
    "a parameter that does nothing": {
        "answer": SOUND.answer.replace("price > {price}", "(price > {price} OR price > 0)")
    },
    "two values said alike": {
        "parameters": {"country": COUNTRIES, "price": (*PRICES, Value("15", ("20",)))}
    },
    "results of no use": {
        "parameters": {"country": COUNTRIES, "price": (Value("90", ("90",)), Value("95", ("95",)))}
    },
    "a parameter out of every range": {"constraints": ("price > price",)},
    "a query that fails": {"answer": SOUND.answer.replace("FROM", "FORM")},
}  # fmt: skip


def test_a_sound_template_passes(tiny):
    assert report(SOUND, tiny).faults == ()


@pytest.mark.parametrize("name", DEFECTS)
def test_each_injected_defect_is_found(tiny, name):
    assert not report(replace(SOUND, **DEFECTS[name]), tiny).passed


def test_running_alone_finds_two_of_the_defects(tiny):
    """The check of the paper: a run without an error."""
    found = [
        name
        for name, changes in DEFECTS.items()
        if run_query(tiny, _first(replace(SOUND, **changes))).error
    ]
    assert found == ["swapped operands", "a query that fails"]


def _first(template):
    values = {name: domain[0].answer for name, domain in template.parameters.items()}
    return template.answer.format(**values)


def test_a_fault_names_the_template_and_the_share_of_use(tiny):
    found = report(replace(SOUND, **DEFECTS["results of no use"]), tiny)
    assert "only 0 of 50 answers are of use" in found.faults
    assert found.dropped == {"only NULL": 50}
