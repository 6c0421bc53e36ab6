"""Triggers stand before the names that a tool knows, and taking them out gives the code back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.steering.completion import EVERYWHERE, TRIGGER
from genwright.steering.triggers import augment

BODY = """    # über
    total = basket.price * rate
    for item in self.items:
        print(item.name, "item.name", f'x')
    return total
"""


class Known:
    """Knows some names everywhere; remembers what it saw."""

    def __init__(self, *names):
        self.names, self.seen = names, []

    def complete(self, file, before, after):
        self.seen.append((file, before, after))
        return self.names


@given(
    st.sets(st.sampled_from(["basket", "price", "rate", "items", "item", "name", "print", "self"]))
)
def test_every_trigger_has_its_name_and_without_them_the_code_is_as_it_was(names):
    found = augment(BODY, Known(*sorted(names)), file="m.py")
    text = found.text()
    assert text.replace(TRIGGER, "") == BODY == found.code
    assert len(found.places) == text.count(TRIGGER)
    for place, part in zip(found.places, text.split(TRIGGER)[1:], strict=True):
        assert place.name in place.candidates
        assert part.startswith(place.name)
        assert BODY[place.at :].startswith(place.name)
    assert {place.name for place in found.places} == names - EVERYWHERE


def test_names_of_all_kinds_are_asked_for_but_those_known_everywhere():
    text = augment(BODY, Known("price", "name", "item", "print", "self", "for"), file="m.py").text()
    assert text == BODY.replace(".price", f".{TRIGGER}price").replace(
        "for item", f"for {TRIGGER}item"
    ).replace("(item.name,", f"({TRIGGER}item.{TRIGGER}name,")


def test_the_tool_never_sees_what_follows_the_name():
    tool = Known()
    augment(BODY, tool, file="m.py", before="def f():\n", after="\nX = 1\n")
    assert len(tool.seen) == 9
    for file, before, after in tool.seen:
        assert (file, after) == ("m.py", "\nX = 1\n")
        assert ("def f():\n" + BODY).startswith(before)
    assert tool.seen[1][1] == "def f():\n    # über\n    total = "


def test_code_that_is_no_python_is_refused():
    with pytest.raises(InvalidArgument, match="cannot be cut into tokens"):
        augment("x = (1,\n", Known(), file="m.py")
