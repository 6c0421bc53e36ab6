"""Near-duplicates and shared runs agree with comparing all pairs; leakage is found where it is."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.synthesis.dedup import Dedup, grams, jaccard, normalised, separation

texts = st.lists(st.text(alphabet="ab ", max_size=12), max_size=8)


def row(question, sql="SELECT 1", template="t", phrasing="t/0", structure="s"):
    return {
        "question": question,
        "sql": sql,
        "template": template,
        "phrasing": phrasing,
        "structure": structure,
    }


@given(texts, st.sampled_from([0.3, 0.5, 0.8]))
def test_no_two_kept_texts_are_near_and_each_dropped_one_is_near_a_kept_one(rows, threshold):
    reasons = Dedup(threshold=threshold, n=2).reasons(rows)
    kept = [text for text, reason in zip(rows, reasons, strict=True) if reason is None]

    def near(a, b):
        ga, gb = grams(a, 2), grams(b, 2)
        return normalised(a) == normalised(b) or (bool(ga & gb) and jaccard(ga, gb) >= threshold)

    assert not any(near(a, b) for a, b in combinations(kept, 2))
    for text, reason in zip(rows, reasons, strict=True):
        assert reason is None or any(near(text, other) for other in kept)


def test_case_and_punctuation_make_no_new_text():
    assert Dedup().reasons(["How many?", "how MANY", "How many 2?"]) == [None, "duplicate", None]


def test_texts_of_the_test_set_are_dropped_when_13_words_in_a_row_return():
    test = " ".join(f"w{i}" for i in range(20))
    twelve = " ".join(f"w{i}" for i in range(12)) + " end"
    thirteen = "start " + " ".join(f"w{i}" for i in range(5, 18))
    dedup = Dedup(against=(test, "short one"))
    assert dedup.reasons([twelve, thirteen, "Short one!"]) == [
        None,
        "in the test set",
        "in the test set",
    ]


def test_a_text_exactly_at_the_threshold_is_a_near_duplicate():
    """Two of four different pairs of words are shared: the index is exactly one half."""
    assert Dedup(threshold=0.5, n=2).reasons(["a b c d", "a b c e"]) == [None, "near-duplicate"]


def test_grams_of_known_texts():
    assert grams("a b c", 2) == {("a", "b"), ("b", "c")}
    assert grams("a", 2) == {("a",)}
    assert grams("", 2) == frozenset()
    assert jaccard(grams("a b c", 2), grams("b c d", 2)) == pytest.approx(1 / 3)


def test_separation_counts_what_is_shared():
    train = [row("how many flights", "SELECT 1"), row("which airline", "SELECT 2", phrasing="t/1")]
    new = row("count the flights", "SELECT 3", phrasing="t/2")
    report = separation({"train": train, "phrasings": [new]})["phrasings"]
    assert report == {
        "rows": 1, "question": 0, "sql": 0, "phrasing": 0, "template": 1, "structure": 1,
        "13-gram": 0, "apart": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("split", "leak", "apart"),
    [
        ("parameters", row("How many flights?", "SELECT 9"), False),
        ("parameters", row("new", "select 1"), False),
        ("parameters", row("new", "SELECT 9"), True),
        ("phrasings", row("new", "SELECT 9"), False),
        ("phrasings", row("new", "SELECT 9", phrasing="t/9"), True),
        ("phrasings", row("so " + "word " * 13, "SELECT 9", phrasing="t/9"), False),
        ("structures", row("new", "SELECT 9", phrasing="u/0", template="u"), False),
        ("structures", row("new", "SELECT 9", phrasing="u/0", structure="z"), False),
        ("structures", row("new", "SELECT 9", "u", "u/0", "z"), True),
    ],
)
def test_each_split_promises_more(split, leak, apart):
    train = [row("how many flights"), row("word " * 14, phrasing="t/1")]
    assert separation({"train": train, split: [leak]})[split]["apart"] is apart


def test_without_training_rows_nothing_can_be_proved():
    with pytest.raises(InvalidArgument, match="no split 'train'"):
        separation({"phrasings": []})


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(InvalidArgument, match="threshold"):
        Dedup(threshold=threshold)
