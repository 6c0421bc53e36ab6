"""Documented functions of a Python project, each with the file around it.

What repository-level code generation is trained and tested on: the file up to the body, the body,
and the rest of the file.

Wang et al. 2024, arXiv:2401.06391, Section 3.2 and the authors' code: functions of at most 50
lines in files of at most 1,000, with a docstring of which the first sentence is kept; tests and
empty bodies are left out. Ours: a body is written anew from its syntax tree, which drops comments
and gives all projects one style.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genwright.core import MissingFile

FILE_LINES, BODY_LINES = 1000, 50


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function of a file.

    Args:
        file: path within the project.
        name: of the function.
        above: the file's text up to the line of its `def`.
        head: `def` line or lines and docstring, whole lines.
        body: the lines below them, without the last line's end.
        below: the file's text behind it.
    """

    file: str
    name: str
    above: str
    head: str
    body: str
    below: str

    @property
    def before(self) -> str:
        """The file's text up to the body."""
        return self.above + self.head


def documented_functions(project: str | Path) -> list[Function]:
    """Return the functions of all files of a project that are documented, by file and line.

    Raises:
        MissingFile: there is no such folder.
    """
    root = Path(project)
    if not root.is_dir():
        raise MissingFile(f"documented_functions: there is no folder {str(project)!r}.")
    files = (path for path in sorted(root.rglob("*.py")) if path.is_file())
    return [function for path in files for function in _functions(path, root)]


def _functions(path: Path, root: Path) -> Iterator[Function]:
    try:
        code = path.read_text(encoding="utf-8").replace("\f", "")
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    lines = code.splitlines(keepends=True)
    if len(lines) > FILE_LINES or code.count("\n") not in (len(lines), len(lines) - 1):
        return
    for node in sorted(
        (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), key=lambda n: n.lineno
    ):
        made = _function(node, lines, str(path.relative_to(root)))
        if made is not None:
            yield made


def _function(node: ast.FunctionDef, lines: list[str], file: str) -> Function | None:
    said = first_sentence(ast.get_docstring(node) or "")
    rest = node.body[1:]
    end = node.end_lineno or 0
    if not said or not rest or _says_nothing(rest) or node.name.startswith("test_"):
        return None
    if end - node.lineno >= BODY_LINES or node.body[0].lineno == node.lineno:
        return None
    signature = lines[node.lineno - 1 : node.body[0].lineno - 1]
    if not signature or not signature[-1].rstrip().endswith(":"):
        return None  # a comment, or the docstring on a line that is shared
    indent = " " * node.body[0].col_offset
    body = textwrap.indent("\n".join(ast.unparse(statement) for statement in rest), indent)
    return Function(
        file=file,
        name=node.name,
        above="".join(lines[: node.lineno - 1]),
        head="".join(signature) + f'{indent}"""{said}"""\n',
        body=body,
        below="\n" + "".join(lines[end:]),
    )


def first_sentence(docstring: str) -> str:
    """Return the first sentence of a docstring on one line, or nothing where it says little."""
    paragraph = re.split(r"\n\s*\n|:param|:return", docstring.strip())[0]
    text = re.split(r"(?<=[.!?])\s", " ".join(paragraph.split()))[0].rstrip(".").strip()
    if "\\" in text or '"' in text or not text[:1].isalpha():
        return ""
    return text if 3 <= len(text.split()) <= 40 else ""


def _says_nothing(body: list[ast.stmt]) -> bool:
    """Whether a body does nothing: `pass`, `...`, `return`, an abstract method's error."""
    if len(body) > 1:
        return False
    (only,) = body
    if isinstance(only, ast.Raise):
        raised = only.exc.func if isinstance(only.exc, ast.Call) else only.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    if isinstance(only, ast.Expr):
        return isinstance(only.value, ast.Constant)
    return isinstance(only, ast.Pass) or ast.unparse(only) in ("return", "return None")
