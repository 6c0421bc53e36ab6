"""Where claims find data that is too large for the package."""

from pathlib import Path

from genwright.core import MissingFile
from genwright.core.environment import data_folder


def data_file(name: str) -> Path:
    """Return the path of a data file such as `"code/humaneval.jsonl.gz"`.

    Raises:
        MissingFile: it is not there; the message says what to set.
    """
    path = data_folder() / name
    if not path.is_file():
        raise MissingFile(
            f"needs {name}, and {path} is not there: set GENWRIGHT_DATA to the folder that holds "
            "it."
        )
    return path
