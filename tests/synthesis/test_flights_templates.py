"""The flights bank is sound, large enough, and apart from what it is tested on."""

from collections import Counter, defaultdict
from functools import partial

import pytest

from genwright.synthesis.dedup import grams, normalised, separation
from genwright.synthesis.flights_templates import flights_bank, flights_questions
from genwright.synthesis.gates import fault
from genwright.synthesis.templates import render
from genwright.synthesis.vet import vet
from genwright.verifiers.sql_query import run_query


@pytest.fixture(scope="module")
def bank(flights):
    return flights_bank(flights)


def test_there_are_enough_templates_and_wordings(bank):
    trained, novel = bank.only(held_out=False), bank.only(held_out=True)
    assert len(trained) >= 60
    assert len(novel) >= 8
    assert all(len(t.frames.train) >= 4 and len(t.frames.held_out) >= 2 for t in trained)
    assert {t.structure for t in trained}.isdisjoint({t.structure for t in novel})


def test_every_template_passes_vetting(bank, flights):
    for template in bank:
        gate = partial(fault, flights)
        report = vet(template, trials=4, gate=gate, cues=bank.cues, usable=0.5)
        assert report.faults == (), template.name


@pytest.mark.slow
def test_every_template_passes_vetting_in_full(bank, flights):
    for template in bank:
        report = vet(
            template,
            gate=partial(fault, flights),
            result=lambda q: run_query(flights, q).rows,
            cues=bank.cues,
        )
        assert report.faults == (), template.name


def test_a_question_has_one_query_and_no_held_out_question_shares_13_words(bank):
    """By rendering alone: 60 trained and 60 held-out wordings of every template."""
    queries = defaultdict(set)
    trained = set()
    for template in bank.only(held_out=False):
        for seed in range(60):
            item = render(template, seed)
            queries[normalised(item.question)].add(item.answer)
            trained |= grams(item.question)
    for template in bank:
        for seed in range(1000, 1060):
            item = render(template, seed, held_out_wording=not template.held_out)
            queries[normalised(item.question)].add(item.answer)
            assert not grams(item.question) & trained, item.question
    assert all(len(answers) == 1 for answers in queries.values())


def test_questions_of_all_splits_are_spread_apart_and_short(flights):
    rows = {
        split: flights_questions(split, 40, seed, database=flights)
        for seed, split in enumerate(("train", "parameters", "phrasings", "structures"))
    }
    assert all(len(part) == 40 for part in rows.values())
    assert all(line["apart"] for line in separation(rows).values())
    assert Counter(row["template"] for row in rows["train"]).most_common(1)[0][1] <= 2
    for row in (row for part in rows.values() for row in part):
        assert fault(flights, row["sql"]) is None
        assert len(row["question"].split()) <= 30
        assert len(row["sql"]) <= 260
