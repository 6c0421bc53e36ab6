"""What selective-tokens measures by: slots that are said, ROUGE-L, letters that are right."""

import pytest

from genwright.claims.selective_tokens import letters_right, rouge_l, said_and_alike

ROW = {
    "mr": "name[The Mill], eatType[pub], priceRange[less than £20], area[city centre]",
    "refs": ["The Mill is a pub.", "A cheap pub in the city centre, The Mill."],
}


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("police killed the gunman", "police kill the gunman", 3 / 4),
        ("the gunman kill police", "police kill the gunman", 2 / 4),
        ("The Mill, a pub!", "the mill is a pub", 2 * 4 / 9),
        ("", "a pub", 0),
        ("a a a a", "a", 2 / 5),
    ],
    ids=["paper", "paper turned", "case", "empty", "repeats"],
)
def test_rouge_l_is_the_longest_common_subsequence(text, reference, score):
    """The first two are the example of Lin 2004, Section 3.2, where F1 equals recall."""
    assert rouge_l(text, reference) == pytest.approx(score)
    assert rouge_l(reference, text) == pytest.approx(score)


def test_slots_are_said_verbatim_in_any_case():
    said, alike = said_and_alike("A pub in the City Centre, the mill.", ROW)
    assert said == pytest.approx(2 / 3)  # eatType does not count, the price is missing
    assert alike == pytest.approx(2 * 8 / (8 + 9))
    assert said_and_alike("The Mill, city centre, less than £20", ROW)[0] == 1


def test_letters_are_compared_by_place():
    assert letters_right("Abc", {"completion": "Abc"}) == (1, 1)
    assert letters_right("abc", {"completion": "Abc"}) == (pytest.approx(2 / 3), 0)
    assert letters_right("Abcc", {"completion": "Abc"}) == (3 / 4, 0)
    assert letters_right("", {"completion": "Abc"}) == (0, 0)
