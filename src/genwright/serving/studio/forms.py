"""Forms for methods, made from the signatures of their constructors.

Choose it to let a person pick and fill in any registered method: what is registered tomorrow has a
form without another line. A field's type says what is asked for, its docstring says what it means.

Ours throughout. What no form can ask for (a function, a table of a database) stays away from forms:
a field with a default keeps it, a method that needs such a field is told apart with the reason.
"""

import inspect
import re
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from genwright.core import Constraint, InvalidArgument, MethodInfo, describe, methods, nearest

Kind = Literal[
    "text", "number", "integer", "toggle", "choice", "texts", "numbers", "method", "methods"
]

MOST_NESTED = 4
"""Methods inside methods; a form deeper than this is a program and belongs in Python."""

_MANY = {Sequence, list, tuple, set, frozenset, AbstractSet}
_PREFERRED: tuple[Kind, ...] = (
    "methods", "method", "texts", "numbers", "choice", "text", "number", "integer", "toggle",
)  # fmt: skip
"""Of the members of a union, the one that says most."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing that a form asks for.

    Args:
        name: of the constructor's argument.
        kind: what is asked for.
        help: what the docstring says of it.
        required: whether it must be filled in.
        default: what it is when left alone, as JSON.
        choices: the words to choose from, or the names of the methods that fit.
    """

    name: str
    kind: Kind
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Form:
    """What one method asks for.

    Args:
        name: of the method.
        title: the same for people.
        summary: what it does, in a line.
        help: what else its docstring says.
        paper: its reference.
        fields: in the order of the constructor.
        cls: the method.
    """

    name: str
    title: str
    summary: str
    help: str
    paper: str
    fields: tuple[Field, ...]
    cls: type

    def told(self) -> dict[str, Any]:
        """Return the form as JSON."""
        words = {key: getattr(self, key) for key in ("name", "title", "summary", "help", "paper")}
        return {**words, "fields": [asdict(each) for each in self.fields]}


@dataclass(frozen=True, kw_only=True)
class Forms:
    """The forms of one slot.

    Args:
        forms: by name of the method.
        inner: forms of methods that are only ever parts of others.
        left_out: methods that no form can make, and why.
    """

    forms: Mapping[str, Form]
    inner: Mapping[str, Form]
    left_out: Mapping[str, str]


def forms_of(slot: str, base: type = Constraint) -> Forms:
    """Return the forms of the registered methods of a slot.

    Args:
        slot: of the registry.
        base: what its methods are.
    """
    known = {info.name: info for info in methods()}
    made: dict[str, Form] = {}
    left_out: dict[str, str] = {}
    inner: dict[str, Form] = {}
    waiting = [info for info in known.values() if info.slot == slot]
    outer = {info.name for info in waiting}
    while waiting:
        info = waiting.pop()
        try:
            form = _form(info, list(known.values()), slot, base)
        except InvalidArgument as error:
            left_out[info.name] = str(error)
            continue
        (made if info.name in outer else inner)[info.name] = form
        wanted = {
            name for field in form.fields if field.kind.startswith("method")
            for name in field.choices
        }  # fmt: skip
        for name in wanted - {*made, *inner, *left_out, *(w.name for w in waiting)}:
            waiting.append(known[name])
    return Forms(
        forms=dict(sorted(made.items())),
        inner=dict(sorted(inner.items())),
        left_out={name: left_out[name] for name in sorted(left_out) if name in outer},
    )


def made_from(forms: Forms, table: Any, depth: int = 0) -> Any:
    """Make a method from a filled-in form: `{"method": "regex", "values": {"pattern": "a+"}}`.

    Raises:
        InvalidArgument: an unknown method or field, a field of another type or left empty; or what
            the constructor refuses.
    """
    if depth > MOST_NESTED:
        raise InvalidArgument(f"more than {MOST_NESTED} methods inside one another.")
    name = table.get("method") if isinstance(table, Mapping) else None
    values = table.get("values", {}) if isinstance(table, Mapping) else None
    every = {**forms.forms, **(forms.inner if depth else {})}
    if not isinstance(name, str) or name not in every or not isinstance(values, Mapping):
        names = ", ".join(every)
        raise InvalidArgument(
            f"there is no filter {name!r:.60}; there are: {names}.{nearest(str(name), list(every))}"
        )
    form = every[name]
    asked = {field.name: field for field in form.fields}
    for key in values:
        if key not in asked:
            raise InvalidArgument(
                f"{form.title} does not ask for {key!r:.60}; it asks for: {', '.join(asked)}."
            )
    arguments: dict[str, Any] = {}
    for key, field in asked.items():
        given = values.get(key)
        if given is None or (given == "" and field.kind not in ("text", "choice")):
            if field.required:
                raise InvalidArgument(f"{form.title}: fill in {label(key)!r}.")
            continue
        arguments[key] = _read(form, field, given, forms, depth)
    return form.cls(**arguments)


def label(name: str) -> str:
    """Return a name as a person reads it: `max_tokens` is "max tokens"."""
    return name.replace("_", " ")


def _form(info: MethodInfo, known: Sequence[MethodInfo], slot: str, base: type) -> Form:
    hints = get_type_hints(info.cls)
    told = arguments_told(info.cls)
    asked: list[Field] = []
    for field in fields(info.cls):
        if not field.init:
            continue
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        required = default is MISSING
        found = _kind(hints[field.name], known, slot, base)
        if found is None:
            if required:
                raise InvalidArgument(
                    f"it needs {label(field.name)!r}, which no form can ask for: use it from "
                    "Python or a task file."
                )
            continue
        kind, choices = found
        asked.append(
            Field(
                name=field.name,
                kind=kind,
                help=told.get(field.name, ""),
                required=required,
                default=None if required else describe(default),
                choices=choices,
            )
        )
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", info.cls.__name__)
    return Form(
        name=info.name,
        title=title[0] + title[1:].lower() if not title.isupper() else title,
        summary=info.summary,
        help=_about(info.cls),
        paper=info.paper,
        fields=tuple(asked),
        cls=info.cls,
    )


def _kind(
    hint: Any, known: Sequence[MethodInfo], slot: str, base: type
) -> tuple[Kind, tuple[str, ...]] | None:
    """Return what a form asks for where the constructor takes this type, or None."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        every = [_kind(member, known, slot, base) for member in inside]
        found = [kind for kind in every if kind is not None]
        return min(found, key=lambda kind: _PREFERRED.index(kind[0]), default=None)
    if origin is Literal and all(isinstance(word, str) for word in inside):
        return "choice", tuple(inside)
    if origin in _MANY and inside:
        one = _kind(inside[0], known, slot, base)
        many: dict[str, Kind] = {
            "text": "texts", "choice": "texts", "integer": "numbers", "number": "numbers",
            "method": "methods",
        }  # fmt: skip
        return (many[one[0]], one[1]) if one is not None and one[0] in many else None
    plain: dict[Any, Kind] = {bool: "toggle", int: "integer", float: "number", str: "text"}
    if hint in plain:
        return plain[hint], ()
    fitting = _fitting(hint, known, slot, base)
    return ("method", fitting) if fitting else None


def _fitting(hint: Any, known: Sequence[MethodInfo], slot: str, base: type) -> tuple[str, ...]:
    """Return the names of the methods that are of a type: a class, or a protocol's methods."""
    if not inspect.isclass(hint) or hint is object or hint.__module__ == "builtins":
        return ()
    if hint is base:
        return tuple(info.name for info in known if info.slot == slot)
    if getattr(hint, "_is_protocol", False):
        wanted = [
            name for name, value in vars(hint).items()
            if inspect.isfunction(value) and not name.startswith("_")
        ]  # fmt: skip
        return tuple(
            info.name for info in known
            if wanted and all(callable(getattr(info.cls, name, None)) for name in wanted)
        )  # fmt: skip
    return tuple(info.name for info in known if issubclass(info.cls, hint))


def _read(form: Form, field: Field, given: Any, forms: Forms, depth: int) -> Any:
    """Return what a person filled in as the constructor takes it."""
    where = f"{form.title}: {label(field.name)!r}"
    if field.kind == "method":
        return made_from(forms, given, depth + 1)
    if field.kind in ("methods", "texts", "numbers"):
        if not isinstance(given, list):
            raise InvalidArgument(f"{where} must be a list, got {given!r:.60}.")
        if field.required and not given:
            raise InvalidArgument(f"{where} must hold at least one.")
        one: dict[str, Kind] = {"methods": "method", "texts": "text", "numbers": "number"}
        part = Field(name=field.name, kind=one[field.kind], required=True)
        if field.kind == "texts" and field.choices:
            part = Field(name=field.name, kind="choice", choices=field.choices)
        return tuple(_read(form, part, item, forms, depth) for item in given)
    allowed: dict[str, tuple[type | tuple[type, ...], str]] = {
        "text": (str, "a text"),
        "choice": (str, "one of " + ", ".join(field.choices)),
        "toggle": (bool, "yes or no"),
        "integer": (int, "a whole number"),
        "number": ((int, float), "a number"),
    }
    kind, words = allowed[field.kind]
    wrong = isinstance(given, bool) != (field.kind == "toggle")
    if not isinstance(given, kind) or wrong:
        raise InvalidArgument(f"{where} must be {words}, got {given!r:.60}.")
    if field.kind == "choice" and given not in field.choices:
        raise InvalidArgument(f"{where} must be {words}, got {given!r:.60}.")
    return given


def arguments_told(cls: type) -> dict[str, str]:
    """Return what the docstring of a class says of each argument (Google style)."""
    _, _, rest = (inspect.getdoc(cls) or "").partition("\nArgs:\n")
    told: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        started = re.match(r"    (\w+): (.*)", line)
        if started:
            name = started[1]
            told[name] = started[2]
        elif name and line.strip():
            told[name] += " " + line.strip()
    return {name: text.replace("`", "") for name, text in told.items()}


def _about(cls: type) -> str:
    """Return what a docstring says between its first line and its sections."""
    _, _, rest = (inspect.getdoc(cls) or "").partition("\n")
    kept = re.split(r"(?m)^(?:Args|Raises|Returns|Attributes):$", rest)[0]
    return " ".join(kept.split()).replace("`", "")
