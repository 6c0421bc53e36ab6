"""Forms ask for what constructors take, and refuse what they would not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pytest

from genwright.core import InvalidArgument, MethodInfo
from genwright.serving.studio import forms as module
from genwright.serving.studio.forms import forms_of, made_from
from genwright.steering.compose import Intersection
from genwright.steering.grammar import Regex
from genwright.steering.lexical import Ban
from genwright.steering.token_filter import TokenFilter


@pytest.fixture(scope="module")
def forms():
    return forms_of("constraint")


def test_every_registered_constraint_has_a_form_or_a_reason(forms):
    names = {*forms.forms, *forms.left_out}
    assert names >= {"regex", "grammar", "json_schema", "token_filter", "intersection"}
    assert "'step'" in forms.left_out["python_machine"]
    assert {"ban", "rhyme", "similar"} <= set(forms.inner)
    for form in (*forms.forms.values(), *forms.inner.values()):
        assert json.loads(json.dumps(form.told()))["summary"]
        assert all(field.help for field in form.fields)


def test_a_filled_in_form_is_the_method(forms):
    regex = {"method": "regex", "values": {"pattern": "a+"}}
    assert made_from(forms, regex) == Regex(pattern="a+")
    ban = {"method": "ban", "values": {"strings": ["e", "é"], "fold": False}}
    made = made_from(forms, {"method": "token_filter", "values": {"filters": [ban]}})
    assert made == TokenFilter(filters=(Ban(strings=("e", "é"), fold=False),))
    both = {"method": "intersection", "values": {"parts": [regex, regex]}}
    assert made_from(forms, both) == Intersection(parts=(Regex(pattern="a+"),) * 2)


def nested(depth):
    inner: Any = {"method": "regex", "values": {"pattern": "a"}}
    for _ in range(depth):
        inner = {"method": "intersection", "values": {"parts": [inner]}}
    return inner


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"method": "regx"}, "Did you mean 'regex'"),
        ({"method": "ban", "values": {"strings": ["a"]}}, "no filter 'ban'"),
        ({"method": ["regex"]}, "no filter"),
        ({"method": "regex", "values": []}, "no filter"),
        ({"method": "regex", "values": {}}, "Regex: fill in 'pattern'"),
        ({"method": "regex", "values": {"pattern": 3}}, "'pattern' must be a text, got 3"),
        ({"method": "regex", "values": {"pattern": "a", "x": 1}}, "does not ask for 'x'"),
        ({"method": "json_schema", "values": {"schema": "{}", "engine": "?"}}, "one of auto"),
        ({"method": "token_filter", "values": {"filters": []}}, "at least one"),
        ({"method": "token_filter", "values": {"filters": "a"}}, "must be a list"),
        (
            {
                "method": "token_filter",
                "values": {"filters": [{"method": "ban", "values": {"strings": ["a"], "fold": 1}}]},
            },
            "'fold' must be yes or no, got 1",
        ),
        ({"method": "sql_grammar", "values": {"database": "a", "max_joins": True}}, "whole number"),
        (nested(5), "inside one another"),
    ],
)
def test_what_is_filled_in_wrongly_is_told(forms, table, told):
    with pytest.raises(InvalidArgument, match=told):
        made_from(forms, table)


class Judge(Protocol):
    def judges(self, text: str) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Odd:
    """Odd.

    Says more.

    Args:
        one: the `first`,
            in two lines.
        many: numbers.
        word: a word.
        judge: of texts.
        act: never shown.
    """

    one: int | None
    many: Sequence[float] = (1, 2)
    word: Literal["a", "b"] = "b"
    judge: Judge | None = None
    act: Callable[[], int] | None = None

    def compile(self, vocabulary):
        return None


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Judges."""

    strict: bool = False

    def judges(self, text: str) -> bool:
        return self.strict


def test_a_field_is_what_its_type_says(monkeypatch):
    known = [
        MethodInfo("odd", "constraint", "", Odd), MethodInfo("judging", "filter", "", Judging)
    ]  # fmt: skip
    monkeypatch.setattr(module, "methods", lambda: known)
    made = forms_of("constraint")
    form = made.forms["odd"]
    shown = [(f.name, f.kind, f.required, f.default, f.choices) for f in form.fields]
    assert shown == [
        ("one", "integer", True, None, ()),
        ("many", "numbers", False, [1, 2], ()),
        ("word", "choice", False, "b", ("a", "b")),
        ("judge", "method", False, None, ("judging",)),
    ]
    assert form.fields[0].help == "the first, in two lines."
    assert (form.help, list(made.inner)) == ("Says more.", ["judging"])
    values = {
        "one": 0,
        "many": [3, 0.5],
        "judge": {"method": "judging", "values": {"strict": True}},
    }
    assert made_from(made, {"method": "odd", "values": values}) == Odd(
        one=0, many=(3, 0.5), judge=Judging(strict=True)
    )
