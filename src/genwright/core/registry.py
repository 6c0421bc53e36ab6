"""Methods by name, each with its reference.

`@method(paper="arXiv:2203.11171")` on a frozen dataclass registers it under its file-style name
(`MajorityVote` is `majority_vote`) in the slot its methods show: `run` makes a strategy, `check` a
verifier, and so on. A task file names it (`method = "majority_vote"`), `build` makes it, `describe`
writes it back down for the ledger, and `genwright methods` lists it.

Other packages add methods through the entry-point group `genwright.methods`: each entry point names
a module whose import registers them.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import entry_points, requires
from typing import Any, TypeVar, cast

from genwright.core.errors import InvalidArgument, MissingExtra, TaskFileError, nearest

C = TypeVar("C", bound=type)

SLOTS = {
    "generator": "sample",
    "strategy": "run",
    "verifier": "check",
    "learner": "fit",
    "constraint": "compile",
    "shaper": "start",
    "drafts": "begin",
    "filter": "allows",
    "source": "rows",
    "selector": "select",
    "key": "__call__",
    "loader": "__call__",
}
"""Slot of a task file -> the method that shows a class fills it; the first that fits wins."""

ROOMS = (
    "nets",
    "generators",
    "generators.language",
    "generators.diffusion",
    "steering",
    "verifiers",
    "search",
    "programs",
    "synthesis",
    "learning",
    "learning.distillation",
    "assurance",
    "serving",
)


@dataclass(frozen=True)
class MethodInfo:
    """What the registry knows of a method: its name, slot, reference and class."""

    name: str
    slot: str
    paper: str
    cls: type

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return (self.cls.__doc__ or "").strip().partition("\n")[0]


_methods: dict[tuple[str, str], MethodInfo] = {}
_problems: dict[str, str] = {}
_commands: list[str] = []
"""What would install the packages that modules lacked."""


def method(*, paper: str = "", name: str = "", slot: str = "") -> Callable[[C], C]:
    """Register a frozen dataclass as a method.

    Args:
        paper: its reference (arXiv number, DOI); empty for what no paper introduced.
        name: what task files call it; the class name in snake case by default.
        slot: one of `SLOTS`; found from the class's methods by default.

    Raises:
        InvalidArgument: not a dataclass, no slot fits, or another class has the name.
    """

    def register(cls: C) -> C:
        if not hasattr(cls, "__dataclass_fields__"):  # is_dataclass would narrow the type away
            raise InvalidArgument(f"@method: {cls.__name__} must be a dataclass.")
        call = "__call__" in vars(cls)
        fits = (
            s
            for s, m in SLOTS.items()
            if (call if m == "__call__" else callable(getattr(cls, m, None)))
        )
        found = slot or next(fits, "")
        if found not in SLOTS:
            wanted = ", ".join(f"{m} ({s})" for s, m in SLOTS.items())
            raise InvalidArgument(f"@method: {cls.__name__} has none of {wanted}.")
        info = MethodInfo(name or snake_case(cls.__name__), found, paper, cls)
        known = _methods.get((found, info.name))
        if known is not None and known.cls.__qualname__ != cls.__qualname__:
            raise InvalidArgument(f"@method: {found} {info.name!r} is already {known.cls!r}.")
        _methods[found, info.name] = info
        return cls

    return register


def snake_case(name: str) -> str:
    """`MajorityVote` -> `majority_vote`, `LocalLM` -> `local_lm`, `B4` -> `b4`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def methods() -> list[MethodInfo]:
    """Import every room and every entry point, and return all methods by slot and name."""
    for room in ROOMS:
        _import_below(f"genwright.{room}")
    _import_entry_points()
    return [_methods[key] for key in sorted(_methods)]


def problems() -> dict[str, str]:
    """Modules that `methods` could not import, with the reason (a missing extra, mostly)."""
    return dict(_problems)


def find(slot: str, name: str) -> MethodInfo:
    """Return the method called `name` in `slot`.

    Raises:
        TaskFileError: no such method; the message offers the nearest name.
        MissingExtra: it exists, but an optional dependency is not installed.
    """
    if (slot, name) not in _methods:
        _import_named(name)
    if (slot, name) not in _methods:
        methods()
    if (slot, name) not in _methods:
        for reason in _problems.values():
            if name in reason:
                raise MissingExtra(reason)
        names = [n for s, n in sorted(_methods) if s == slot]
        raise TaskFileError(
            f"no {slot} is called {name!r}; there are: {', '.join(names)}.{nearest(name, names)}"
            + (f" More are there after: {' and '.join(_commands)}." if _commands else "")
        )
    return _methods[slot, name]


def build(slot: str, table: Mapping[str, Any]) -> Any:
    """Make a method from a table: `{"method": "majority_vote", "k": 16}`.

    A value that is itself a table with `method` is built first, in whatever slot has that name.

    Raises:
        TaskFileError: no `method` key, an unknown method, a key it does not have, or a missing key.
    """
    if "method" not in table:
        raise TaskFileError(f"[{slot}] needs the key 'method'.")
    info = find(slot, str(table["method"]))
    known = {f.name: f for f in fields(info.cls) if f.init}
    arguments: dict[str, Any] = {}
    for key, value in table.items():
        if key == "method":
            continue
        if key not in known:
            hint = nearest(key, list(known))
            raise TaskFileError(
                f"[{slot}] {info.name} has no key {key!r}; it has: {', '.join(known)}.{hint}"
            )
        arguments[key] = _build_value(value)
    missing = [
        n
        for n, f in known.items()
        if f.default is MISSING and f.default_factory is MISSING and n not in arguments
    ]
    if missing:
        raise TaskFileError(f"[{slot}] {info.name} also needs: {', '.join(missing)}.")
    return info.cls(**arguments)


def _build_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        table = cast("Mapping[str, Any]", value)
        if "method" in table:
            return build(slot_of(str(table["method"])), table)
        return table
    if isinstance(value, list):
        return tuple(_build_value(item) for item in cast("list[Any]", value))
    return value


def slot_of(name: str) -> str:
    """Return the slot in which `name` is registered.

    Raises:
        TaskFileError: in none.
    """
    for look in (lambda: None, lambda: _import_named(name), methods):
        look()
        for slot, known in _methods:
            if known == name:
                return slot
    names = sorted({n for _, n in _methods})
    raise TaskFileError(f"no method is called {name!r}.{nearest(name, names)}")


def describe(thing: Any) -> Any:
    """Write a method down as JSON-like data; `build` undoes it for registered dataclasses."""
    if is_dataclass(thing) and not isinstance(thing, type):
        name = next((i.name for i in _methods.values() if i.cls is type(thing)), None)
        label = name or f"{type(thing).__module__}:{type(thing).__qualname__}"
        shown = (f for f in fields(thing) if f.init and f.repr)
        return {"method": label} | {f.name: describe(getattr(thing, f.name)) for f in shown}
    if isinstance(thing, Mapping):
        pairs = cast("Mapping[Any, Any]", thing).items()
        return {str(k): describe(v) for k, v in pairs}
    if isinstance(thing, list | tuple):
        return [describe(item) for item in cast("list[Any]", thing)]
    if thing is None or isinstance(thing, str | int | float | bool):
        return cast("Any", thing)
    if callable(thing):
        name = getattr(thing, "__qualname__", type(thing).__qualname__)
        return f"{getattr(thing, '__module__', '')}:{name}"
    return str(thing)


def _import_named(name: str) -> None:
    """Import the file named for a method, in whatever room it is: the common case, and quick."""
    for room in ROOMS:
        try:
            importlib.import_module(f"genwright.{room}.{name}")
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("genwright"):
                raise MissingExtra(f"{name} {_needs(error)}") from error


def _import_below(package: str) -> None:
    """Import every module below a package; what cannot be imported is a problem, not an error."""
    try:
        found = importlib.import_module(package)
    except ImportError as error:
        _problems[package] = str(error)
        return
    for module in pkgutil.iter_modules(found.__path__, f"{package}."):
        if module.ispkg:
            _import_below(module.name)
            continue
        if module.name.rpartition(".")[2].startswith("_"):
            continue  # programs of child processes
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            _problems[module.name] = f"{module.name} {_needs(error)}"
        except ImportError as error:
            _problems[module.name] = f"{module.name}: {error}"


def _needs(error: ModuleNotFoundError) -> str:
    """Return what an import lacked and the command that installs it, and remember the command."""
    package = (error.name or "").partition(".")[0]
    extra = _extras().get(package.lower())
    command = f"pip install 'genwright[{extra}]'" if extra else f"pip install {package}"
    if command not in _commands:
        _commands.append(command)
    return f"needs {package}: {command} ({error})."


@cache
def _extras() -> dict[str, str]:
    """Return the smallest extra that brings each optional package, as the metadata has them."""
    brought: dict[str, list[str]] = {}
    for line in requires("genwright") or ():
        if extra := re.search(r"extra == ['\"]([\w-]+)", line):
            package = re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("-", "_").lower()
            brought.setdefault(extra[1], []).append(package)
    found: dict[str, str] = {}
    for extra, packages in sorted(brought.items(), key=lambda pair: (len(pair[1]), pair[0])):
        for package in packages:
            found.setdefault(package, extra)
    return found


def _import_entry_points() -> None:
    for point in entry_points(group="genwright.methods"):
        try:
            point.load()
        except Exception as error:  # a third party's fault must not take the listing down
            _problems[point.value] = f"{point.value}: {error}"
