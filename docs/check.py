"""Checks the code blocks of Markdown pages, each in a way of its own.

    python docs/check.py docs/start.md ...

python: the blocks of a page run in order in one namespace, in an empty folder.
toml: a task file, valid; with `title="NAME"` it is also written to the folder.
json: parses; with a title it is written too.
bash: every line that starts with `genwright` parses as that command would, and is run where it is
cheap.

In running text, a command such as `genwright solve --limit 3` must exist with every option named.
"""

import os
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

from genwright.cli.main import app
from genwright.core.task_file import TaskFile

CHEAP = {
    ("--version",),
    ("claims",),
    ("methods",),
    ("models",),
    ("report",),
    ("runs", "diff"),
    ("runs", "export"),
    ("runs", "list"),
    ("runs", "show"),
    ("solve",),
}
"""Commands that are run, where the page itself has made the ledger or task file they read."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<lang>\w+)?(?P<rest>[^\n]*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file name of its title, its first line of code."""

    page: Path
    lang: str
    title: str
    line: int
    code: str

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


class BrokenDocs(AssertionError):
    """A block that is not right; the message starts with file and line."""


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    opened: tuple[int, str, str] | None = None
    code: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            title = re.search(r'title="([^"]+)"', fence["rest"])
            opened = (number + 1, fence["lang"] or "", title[1] if title else "")
            code = []
        elif opened is not None and fence and not fence["lang"]:
            first, lang, name = opened
            yield Block(page, lang, name, first, "\n".join(code) + "\n")
            opened = None
        else:
            code.append(line)
    if opened is not None:
        raise BrokenDocs(f"{page.name}:{opened[0] - 1}: the block is never closed.")


def check_page(page: Path, folder: Path) -> int:
    """Check every block of a page; return how many were checked. `folder` is the working folder.

    Raises:
        BrokenDocs: at the first block that is not right.
    """
    namespace: dict[str, Any] = {"__name__": "docs"}
    checked = 0
    for block in blocks(page):
        if block.lang == "python":
            _run(block, namespace)
        elif block.lang == "toml":
            _task_file(block, folder)
        elif block.lang in ("json", "jsonl"):
            (folder / (block.title or "unnamed.json")).write_text(block.code)
        elif block.lang == "bash":
            _commands(block)
        else:
            continue
        checked += 1
    _named(page)
    return checked


def _run(block: Block, namespace: dict[str, Any]) -> None:
    name = str(block.page)
    try:
        exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), namespace)
    except SyntaxError as error:
        raise BrokenDocs(f"{block.page.name}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
        line = lines[-1] if lines else block.line
        raise BrokenDocs(f"{block.page.name}:{line}: {type(error).__name__}: {error}") from error


def _task_file(block: Block, folder: Path) -> None:
    path = folder / (block.title or "page.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.code, encoding="utf-8")
    try:
        TaskFile.load(path)
    except Exception as error:
        raise BrokenDocs(f"{block.where}: not a valid task file: {error}") from error


def _commands(block: Block) -> None:
    text = re.sub(r"\\\n", "  ", block.code)  # a command that goes on in the next line
    for offset, line in enumerate(text.splitlines()):
        words = shlex.split(line, comments=True)
        if words[:1] != ["genwright"]:
            continue
        where = f"{block.page.name}:{block.line + offset}"
        try:
            path = parse(words[1:])
        except Exception as error:
            raise BrokenDocs(f"{where}: {line.strip()}: {error}") from error
        if path in CHEAP and _has_what_it_reads(path, words):
            done = CliRunner().invoke(app, words[1:])
            if done.exit_code:
                raise BrokenDocs(
                    f"{where}: {line.strip()} exits with {done.exit_code}: {done.output}"
                )


def _named(page: Path) -> None:
    """Check the commands that running text and tables name; `a|b` stands for either."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", lambda m: "\n" * m[0].count("\n"), text)
    for found in re.finditer(r"`genwright ([^`\n]+)`", prose):
        where = f"{page.name}:{prose.count(chr(10), 0, found.start()) + 1}"
        words = found[1].replace("\\|", "|").replace("[", " ").replace("]", " ").split()
        command: Any = typer.main.get_command(app)
        while (below := getattr(command, "commands", None)) and words and words[0][0] != "-":
            names = words.pop(0).split("|")
            if missing := [name for name in names if name not in below and name != "COMMAND"]:
                raise BrokenDocs(f"{where}: no command is called {missing[0]!r}.")
            if names == ["COMMAND"]:
                break
            command = below[names[0]]
        known = {"--help", *(o for p in command.params for o in (*p.opts, *p.secondary_opts))}
        if wrong := [word for word in words if word.startswith("--") and word not in known]:
            raise BrokenDocs(f"{where}: `genwright {found[1]}` has no option {wrong[0]}.")


def _has_what_it_reads(path: tuple[str, ...], words: list[str]) -> bool:
    """Tell whether the task file or the ledger that a command reads is there."""
    if path == ("solve",):
        return Path(words[2]).is_file()
    if path[0] not in ("runs", "report"):
        return True
    named = "--ledger" in words
    return Path(words[words.index("--ledger") + 1] if named else "runs/ledger.sqlite").is_file()


def parse(words: list[str]) -> tuple[str, ...]:
    """Parse a command line without running it; return the command, `--help` or `--version` last.

    Raises:
        ValueError: no such command.
        Exception: of the parser, for an option or argument that the command does not have.
    """
    command: Any = typer.main.get_command(app)
    path: list[str] = []
    while below := getattr(command, "commands", None):
        if not words or words[0].startswith("-"):
            break
        if words[0] not in below:
            raise ValueError(f"no command is called {words[0]!r}; there are: {', '.join(below)}.")
        path.append(words[0])
        command, words = below[words[0]], words[1:]
    if words in (["--help"], ["--version"]):
        return (*path, words[0])
    command.make_context("genwright", list(words))
    return tuple(path)


def main(pages: list[str]) -> None:
    """Check pages, each in an empty folder of its own."""
    for page in [Path(name).resolve() for name in pages]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            print(f"{check_page(page, Path(folder))} blocks of {page.name} are right")
            os.chdir(page.parent)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BrokenDocs as error:
        sys.exit(str(error))
