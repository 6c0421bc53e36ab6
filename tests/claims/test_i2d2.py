"""The parts of i2d2's claim that need no language model: sets, nouns, formulas, counting."""

import pytest

from genwright.claims import generics, i2d2
from genwright.core import MissingFile, Samples
from genwright.verifiers.wordnet import wordnet


def test_a_concept_is_covered_by_any_of_its_inflections_as_a_word():
    row = {"constraint": [["dance", "dancing"], ["kid", "kids"], ["room"]]}
    assert i2d2._covered(" Kids are dancing in the bedroom.", row) == [True, True, False]
    assert i2d2._covered(" A dancer kidded.", row) == [False, False, False]


def test_the_sets_hold_clauses_and_references(shared_data, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_DATA", str(shared_data(i2d2.SETS).parents[1]))
    rows = i2d2.concept_sets("dev")
    assert len(rows) > 500
    for row in rows:
        assert len(row["constraint"]) == len(row["concepts"])
        assert all(row["constraint"])
        assert row["refs"]


def test_a_formula_forbids_the_noun_and_empty_words():
    kind, part = (row["prompt"] for row in generics.rows(["oak"]))
    assert (kind.splitlines()[-1], part.splitlines()[-1]) == ("An oak is a kind of", "An oak has")
    formula = generics.formula(kind)
    assert formula.holds(" a large tree.")
    assert not any(formula.holds(text) for text in (" oak.", " some Oaks.", " a living thing."))


def test_precision_and_statements_count_draws():
    rows = [
        {"noun": "oak", "relation": "kind", "text": f" {text}.", "said": said, "true": true}
        for text, said, true in (
            ("tree", "tree", True),
            ("trees", "tree", True),
            ("zz", "", False),
            ("car", "car", False),
        )
    ]
    assert generics.precision(rows) == 0.5
    assert len(generics.statements(rows)) == 3
    assert generics.precision([]) == 0


def test_a_prompt_is_decoded_once():
    made = []

    class Once:
        def sample(self, prompt, n, *, seed, first=0):
            made.append(prompt)
            return Samples([f"{prompt}{k}" for k in range(n)])

    source = generics.Decoded(lambda prompt: Once(), 4)
    first = source.sample("p", 3, seed=0)
    assert source.sample("p", 2, seed=5, first=1).values == first.values[1:]
    assert len(source.sample("p", 2, seed=5, first=3)) == 1
    assert made == ["p"]


def test_common_nouns_are_things_of_which_nothing_is_trained_on():
    try:
        wordnet()
    except MissingFile as error:
        pytest.skip(str(error))
    nouns = generics.common_nouns(400)
    assert len(set(nouns)) == 400
    assert {"tree", "car", "dog", "book"} <= set(nouns)
    assert not {"man", "friend", "america", "idea", "rose", "hammer"} & set(nouns)
