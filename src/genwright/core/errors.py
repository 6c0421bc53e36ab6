"""Every error genwright raises on purpose, in one tree.

    GenwrightError                 exit code 1: something outside the user's hands went wrong
    ├── UserError                  exit code 2: the user can mend it; the message says how
    │   ├── InvalidArgument        a value out of its range (also a ValueError)
    │   ├── TaskFileError          a task file with a wrong key, type or value
    │   ├── MissingExtra           an optional dependency is not installed (also an ImportError)
    │   ├── MissingFile            a file, database or data set that is not there
    │   ├── ModelNotFound          a model name or folder that leads nowhere
    │   └── ConstraintError        one that cannot be compiled, or allows nothing
    ├── EndpointError              a remote endpoint that is down, refuses, or answers nonsense
    ├── LedgerError                a ledger that cannot be opened, written or understood
    ├── SandboxError               the machinery that runs untrusted code broke
    └── TrainingError              a loss that is not finite, a checkpoint of another configuration

A message holds what came, what is allowed, and what to do:
`Budget: new_tokens must be 0 or more, got -5.`
"""

from difflib import get_close_matches
from importlib import import_module
from types import ModuleType


class GenwrightError(Exception):
    """The root of the tree. `exit_code` is what the command line exits with."""

    exit_code = 1


class UserError(GenwrightError):
    """A mistake the user can mend; the message says what came, what is allowed and what to do."""

    exit_code = 2


class InvalidArgument(UserError, ValueError):
    """A value out of its range."""


class TaskFileError(UserError):
    """A task file with a wrong key, type or value; the message names line, key and nearest name."""


class MissingExtra(UserError, ImportError):
    """An optional dependency is not installed; the message names the install command."""


class MissingFile(UserError):
    """A file, database or data set that is not there."""


class ModelNotFound(UserError):
    """A model name or folder that leads nowhere."""


class ConstraintError(UserError):
    """A constraint that cannot be compiled, contradicts itself, or allows nothing."""


class EndpointError(GenwrightError):
    """A remote endpoint that is down, refuses, or answers nonsense."""


class LedgerError(GenwrightError):
    """A ledger that cannot be opened, written or understood."""


class SandboxError(GenwrightError):
    """The machinery that runs untrusted code broke. What the code itself does is a verdict."""


class TrainingError(GenwrightError):
    """Training that cannot go on: a loss not finite, a checkpoint of another configuration."""


def require(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """Import `module`, or raise `MissingExtra` that names the install command.

    Args:
        module: dotted name of the optional dependency.
        extra: the extra of genwright that brings it, such as `"lm"`.
        needed_by: what asks for it, in words or as a dotted name.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"{needed_by} needs {package}: pip install 'genwright[{extra}]' ({error})."
        ) from error


def nearest(name: str, allowed: list[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest allowed name, or `""` when none is near."""
    close = get_close_matches(name, allowed, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
