"""`genwright`: the command line.

Thin: each command reads its arguments, calls one function of a room, and shows what came back, for
people or (`--json`) for machines. Exit codes: 0 done, 1 something outside the user's hands, 2 a
mistake the user can mend, 130 interrupted.
"""

import errno
import json
import os
import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from genwright import __version__
from genwright.core import GenwrightError
from genwright.core.runner import RunInterrupted

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

USERS_ERRNO = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EEXIST)
"""File errors that the user can mend: a wrong path, a missing permission."""


class Commands(TyperGroup):
    """Turns every error of a command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except GenwrightError as error:
            _end(type(error).__name__, str(error), error.exit_code)
        except RunInterrupted as stop:
            go_on = f"go on with: genwright runs resume {stop.run_id}"
            _end("Interrupted", f"everything drawn so far is kept; {go_on}", 130)
        except KeyboardInterrupt:
            _end("Interrupted", "everything recorded so far is kept.", 130)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe went away, as `| head` does
                raise
            what = f"{error.strerror or error}: {error.filename or ''}"
            _end("File", what, 2 if error.errno in USERS_ERRNO else 1)


app = typer.Typer(
    name="genwright",
    cls=Commands,
    help="Generation you can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    "solve",
    "improve",
    "ask",
    "draw",
    "serve",
    "studio",
    "runs",
    "compare",
    "scale",
    "report",
    "footprint",
    "methods",
    "models",
    "claims",
    "doctor",
)
for command in COMMANDS:
    import_module(f"genwright.cli.{command}").register(app)


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context, version: bool = typer.Option(False, help="Print the version and stop.")
) -> None:
    """Generation you can check."""
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command line."""
    app()


def _end(kind: str, message: str, code: int) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": kind, "message": message}))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{kind}[/]: ", end="")
    console.print(message, markup=False)
    sys.exit(code)
