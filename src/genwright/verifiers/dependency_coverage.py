"""The share of a project's names that a draw uses as its reference does.

Choose it beside other checks: it asks whether code found the functions and attributes that its
author used, not whether it works.

Wang et al. 2024, arXiv:2401.06391, Section 4.2 and the authors' code: the names are those that a
completion tool knew in the reference (`steering.triggers.augment`), each with the qualifier right
before it (`client.send` of `self.client.send(...)`), without names in the middle of a chain, names
passed by keyword, local variables, imports and parameters. A draw covers one where it occurs as it
is written, outside of strings. Ours: local names are found in the syntax tree; the
authors' regular expressions drop a name behind a space once an assignment follows it anywhere.
"""

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from genwright.core import InvalidArgument, Samples, Verdict, method
from genwright.steering.triggers import Augmented

_STRINGS = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|\"[^\"\n]*\"", re.S)


@method(paper="arXiv:2401.06391")
@dataclass(frozen=True, kw_only=True)
class DependencyCoverage:
    """Scores a draw by the share of names that occur in it; all of them pass it.

    Args:
        names: such as `("client.send", "Request")`; `dependencies` finds those of a reference.

    Raises:
        InvalidArgument: no names.
    """

    names: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))  # a task file gives a list
        if not all(self.names) or not self.names:
            raise InvalidArgument("DependencyCoverage: names must hold at least one, none empty.")

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Look for every name in every draw."""
        return [self._check(value) for value in samples.values]

    def _check(self, draw: str) -> Verdict:
        code = _STRINGS.sub("''", draw)
        missing = [n for n in self.names if not re.search(rf"(?<!\w){re.escape(n)}(?!\w)", code)]
        score = 1 - len(missing) / len(self.names)
        return Verdict.fail({"missing": missing}, score=score) if missing else Verdict.ok()


def dependencies(head: str, body: Augmented) -> tuple[str, ...]:
    """Return the names of a project that a function depends on, in the order of their first use.

    Args:
        head: the function's lines above its body.
        body: where a tool knew the next name.

    Raises:
        InvalidArgument: head and body are not one function.
    """
    parameters, local = _bound(head + body.code)
    found: list[str] = []
    for place in body.places:
        end = place.at + len(place.name)
        if body.code[end : end + 1] in (".", "="):
            continue
        qualifier = re.search(r"(?:\w+\.)?$", body.code[: place.at])
        name = (qualifier[0] if qualifier else "") + place.name
        first = name.partition(".")[0]
        if first not in local and name not in parameters:
            found.append(name)
    return tuple(dict.fromkeys(found))


def _bound(code: str) -> tuple[set[str], set[str]]:
    """Return (parameters, other names that a function binds)."""
    try:
        function = ast.parse(textwrap.dedent(code)).body[-1]
    except (SyntaxError, IndexError) as error:
        raise InvalidArgument(f"dependencies: the code is no function: {error}.") from error
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        raise InvalidArgument("dependencies: the code is no function.")
    nodes = [node for statement in function.body for node in ast.walk(statement)]
    local = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    given = [a.asname or "" for n in imports for a in n.names]
    given += [a.name for n in imports for a in n.names]
    given += [n.module or "" for n in imports if isinstance(n, ast.ImportFrom)]
    local |= {part for name in given for part in name.split(".")}
    local |= {n.name for n in nodes if isinstance(n, ast.ExceptHandler) and n.name}
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    local |= {n.name for n in nodes if isinstance(n, inner)}
    parameters = {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}
    return parameters, local
