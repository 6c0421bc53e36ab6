"""`genwright`: the command line.

Thin: each command reads its arguments, calls one function of a room, and shows what came back, for
people or (`--json`) for machines. Exit codes: 0 done, 1 something outside the user's hands, 2 a
mistake the user can mend, 130 interrupted.
"""

import json
import os
import sys
from importlib import import_module

import typer
from rich.console import Console

from genwright import __version__
from genwright.core import GenwrightError

# Idle OpenMP threads sleep instead of spinning: beside another busy process a spinning thread
# takes the core that the working one needs. Read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

app = typer.Typer(
    name="genwright",
    help="Generation you can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS = ("solve", "improve", "ask", "runs", "methods", "models", "doctor")
for command in COMMANDS:
    import_module(f"genwright.cli.{command}").register(app)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context, version: bool = typer.Option(False, help="Print the version and stop.")
) -> None:
    """Generation you can check."""
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command line; every error becomes a message and an exit code."""
    as_json = "--json" in sys.argv
    try:
        app(standalone_mode=True)
    except GenwrightError as error:
        _say(type(error).__name__, str(error), as_json)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("Interrupted", "stopped; everything recorded so far is kept.", as_json)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe went away, as `| head` does
        sys.stderr.close()
        sys.exit(0)


def _say(kind: str, message: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": kind, "message": message}))
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]{kind}[/]: ", end="")
    print(message, file=sys.stderr)
