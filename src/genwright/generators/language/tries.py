"""Which trie belongs to a prompt and its constraints, in this process and, by name, beyond it.

A trie holds for one model, prompt, set of constraints, temperature and token limit. Within a
process constraints are told apart as objects. To outlive it they need a name that says all of what
they are: constraints of plain data have one; those that hold functions of yours do not, and are
learnt anew by every process.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from genwright.core import CompiledConstraint, Constraint, Memory, codec
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.trie import Trie

KEPT = 16
"""Tries that one model keeps, the last used ones."""

_DECIDES = ("genwright", "llguidance", "xgrammar", "torch", "transformers")
"""Packages whose version may change a mask or a probability."""


@dataclass(frozen=True)
class Entry:
    """A trie, the name under which it is remembered (or `""`), and what it belongs to."""

    trie: Trie
    name: str
    compiled: tuple[CompiledConstraint, ...]  # held, so that their ids are not given to others


class Tries:
    """The tries of one loaded model.

    Args:
        model: names weights and number format.
    """

    def __init__(self, model: Sequence[Any]) -> None:
        self._model = list(model)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], Entry] = OrderedDict()

    def find(
        self,
        prompt: Sequence[int],
        constraints: Sequence[Constraint],
        compiled: tuple[CompiledConstraint, ...],
        sampling: Sampling,
        memory: Memory | None,
    ) -> Entry:
        """Return the trie of a request: known here, read back from memory, or new.

        Args:
            prompt: token ids.
            constraints: as the user wrote them.
            compiled: the same, compiled.
            sampling: temperature and limit belong to what a trie says.
            memory: where earlier processes left what they learnt.
        """
        settings = (sampling.temperature, sampling.max_new_tokens)
        key = (tuple(prompt), *map(id, compiled), *settings)
        with self._lock:
            entry = self._kept.pop(key, None)
            if entry is None:
                told = [written(constraint) for constraint in constraints]
                name = ""
                if all(text is not None for text in told):
                    name = codec.digest([*_versions(), *self._model, list(prompt), told, settings])
                entry = Entry(Trie(), name, compiled)
                entry.trie.name = name
                if memory is not None and name:
                    entry.trie.restore(memory.recall(name))
            self._kept[key] = entry
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return entry


def written(thing: Any) -> Any:
    """Return a constraint as plain data that says all of what it is, or None where none does.

    A constraint with a `grammar` is what that says, whatever files it was made from.
    """
    grammar = getattr(thing, "grammar", None)
    if callable(grammar) and (text := grammar()) is not None:
        return [type(thing).__qualname__, str(text)]
    if is_dataclass(thing) and not isinstance(thing, type):
        kind = f"{type(thing).__module__}:{type(thing).__qualname__}"
        held = [written(getattr(thing, f.name)) for f in fields(thing) if f.init]
        return None if None in held else [kind, held]
    if isinstance(thing, Mapping):
        pairs = cast("Mapping[Any, Any]", thing).items()
        held = [[str(key), written(value)] for key, value in pairs]
        return None if any(value is None for _, value in held) else ["table", held]
    if isinstance(thing, list | tuple):
        held = [written(item) for item in cast("Sequence[Any]", thing)]
        return None if None in held else ["list", held]
    return [type(thing).__name__, repr(thing)] if isinstance(thing, _PLAIN) else None


_PLAIN = (str, bytes, int, float, bool, type(None))


def _versions() -> list[str]:
    found: list[str] = []
    for package in _DECIDES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(package)
    return found
