"""Where claims find data that is too large for the package."""

import os
from pathlib import Path

from genwright.core import MissingFile

VARIABLE = "GENWRIGHT_DATA"


def data_folder() -> Path:
    """Return the folder of `GENWRIGHT_DATA`, or `../shared/data` from here where it is not set."""
    return Path(os.environ.get(VARIABLE) or Path("..") / "shared" / "data")


def data_file(name: str) -> Path:
    """Return the path of a data file such as `"code/humaneval.jsonl.gz"`.

    Raises:
        MissingFile: it is not there; the message says what to set.
    """
    path = data_folder() / name
    if not path.is_file():
        raise MissingFile(
            f"needs {name}, and {path} is not there: set {VARIABLE} to the folder that holds it."
        )
    return path
