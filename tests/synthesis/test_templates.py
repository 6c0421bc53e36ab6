"""A rendered item says what its answer computes, and the seed alone decides which item it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.synthesis.templates import (
    Template,
    TemplateBank,
    Value,
    Wordings,
    draw_parameters,
    render,
)

NUMBERS = tuple(Value(str(n), (str(n), f"no. {n}")) for n in range(1, 7))


def template(**changes):
    settings = {
        "name": "between",
        "structure": "range",
        "answer": "BETWEEN {low} AND {high}",
        "frames": Wordings(
            train=("{range}?", "is it {range}?"), held_out=("does {low} to {high} hold?",)
        ),
        "parameters": {"low": NUMBERS, "high": NUMBERS},
        "phrases": {
            "range": Wordings(
                train=("from {low} to {high}", "{low} up to {high}"), held_out=("in {low}-{high}",)
            )
        },
        "constraints": ("low < high",),
    }
    return Template(**{**settings, **changes})


@given(st.integers(0, 10**6), st.booleans())
def test_question_and_answer_show_the_same_parameters(seed, held_out):
    item = render(template(), seed, held_out_wording=held_out)
    low, high = item.parameters["low"], item.parameters["high"]
    assert int(low) < int(high)
    assert item.answer == f"BETWEEN {low} AND {high}"
    assert low in item.question
    assert high in item.question


def test_the_seed_decides_everything_and_seeds_differ():
    items = [render(template(), seed) for seed in range(200)]
    assert items == [render(template(), seed) for seed in range(200)]
    assert len({item.answer for item in items}) == 15  # all pairs of 6 numbers in order
    assert {item.phrasing for item in items} == {
        f"between/{frame}/range.{phrase}" for frame in (0, 1) for phrase in (0, 1)
    }


def test_held_out_wordings_never_occur_in_training():
    trained = {render(template(), seed).phrasing for seed in range(200)}
    held = {render(template(), seed, held_out_wording=True).phrasing for seed in range(200)}
    assert trained.isdisjoint(held)
    assert held == {"between/2"}


def test_held_out_phrases_occur_in_held_out_frames_alone():
    both = template(frames=Wordings(train=("{range}?",), held_out=("is it true: {range}?",)))
    trained = {render(both, seed).phrasing for seed in range(200)}
    held = {render(both, seed, held_out_wording=True).phrasing for seed in range(200)}
    assert trained == {"between/0/range.0", "between/0/range.1"}
    assert held == {f"between/1/range.{i}" for i in (0, 1, 2)}


def test_parameters_that_share_a_list_differ():
    same = template(constraints=())
    for seed in range(100):
        values = draw_parameters(same, seed)
        assert values["low"] != values["high"]


def test_only_allowed_combinations_are_drawn():
    pairs = frozenset({("1", "4"), ("2", "6")})
    limited = template(allowed={("low", "high"): pairs})
    drawn = {
        tuple(value.answer for value in draw_parameters(limited, seed).values())
        for seed in range(100)
    }
    assert drawn == pairs


def test_constraints_that_nothing_meets_are_an_error_and_not_an_endless_loop():
    with pytest.raises(InvalidArgument, match="widen the lists"):
        render(template(constraints=("low < high", "high < low")), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": "BETWEEN {low} AND {top}"}, "no parameter"),
        ({"frames": Wordings(train=("from {low} to {somewhere}?",))}, "is new"),
        ({"frames": Wordings(train=("from {low}?",))}, "differ"),
        ({"answer": "> {low}"}, "differ"),
    ],
)
def test_a_wording_that_does_not_fit_its_answer_is_refused(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        template(**changes)


def test_a_value_with_braces_is_left_as_it_is():
    odd = template(parameters={"low": (Value("{high}", ("{high}",)),), "high": NUMBERS})
    item = render(Template(**{**odd.__dict__, "constraints": ()}), 1)
    assert "{high}" in item.question
    assert item.answer.startswith("BETWEEN {high} AND ")


def test_a_bank_refuses_two_templates_of_one_name():
    with pytest.raises(InvalidArgument, match="more than one"):
        TemplateBank((template(), template()))


def test_a_template_without_held_out_wording_says_so():
    with pytest.raises(InvalidArgument, match="no held-out wording"):
        render(template(frames=Wordings(train=("{range}?",))), 0, held_out_wording=True)
