"""Rows of any file that the library `datasets` reads: Parquet, JSON, JSON Lines, CSV, Arrow.

Choose it for prompts that somebody else wrote down; a plain JSONL file needs only `file = ...` in
`[prompts]`.

Lhoest et al. 2021, "Datasets: A Community Library for Natural Language Processing",
arXiv:2109.02846. Ours: files on this machine alone, nothing is fetched, and the library's cache
goes into a folder that is removed.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, MissingFile, method, require

BUILDERS = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
    ".txt": "text",
}
"""Ending of a file -> what `datasets.load_dataset` calls its format; .gz may follow a text's."""


@method(paper="arXiv:2109.02846")
@dataclass(frozen=True, kw_only=True)
class DatasetsFile:
    """The rows of one file.

    Args:
        path: the file; in a task file a name of `[data]`, such as `"{questions}"`.
        field: in a JSON file, the key that holds the list of rows; empty where it is the list.
    """

    path: str
    field: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, with the names of the columns as keys.

        Raises:
            MissingFile: no such file.
            InvalidArgument: an ending that none of `BUILDERS` has, or a file that is not what its
                ending says.
            MissingExtra: datasets is not installed.
        """
        path = Path(self.path)
        if not path.is_file():
            raise MissingFile(f"DatasetsFile: there is no file {self.path!r}.")
        suffix = Path(path.name.removesuffix(".gz")).suffix
        if suffix not in BUILDERS:
            raise InvalidArgument(
                f"DatasetsFile: {path.name!r} must end in one of {', '.join(BUILDERS)}."
            )
        settings: dict[str, Any] = {"delimiter": "\t"} if suffix == ".tsv" else {}
        if self.field:
            settings["field"] = self.field
        datasets: Any = require("datasets", extra="data", needed_by="synthesis.datasets_file")
        error: Any = require(
            "datasets.exceptions", extra="data", needed_by="datasets"
        ).DatasetsError
        shown = not datasets.are_progress_bars_disabled()
        with tempfile.TemporaryDirectory() as cache:
            datasets.disable_progress_bars()  # they would run through the command line's own
            try:
                loaded = datasets.load_dataset(
                    BUILDERS[suffix],
                    data_files=str(path),
                    split="train",
                    cache_dir=cache,
                    keep_in_memory=True,
                    **settings,
                )
            except (error, ValueError, OSError) as wrong:
                raise InvalidArgument(
                    f"DatasetsFile: {path.name} cannot be read as {BUILDERS[suffix]}: {wrong}."
                ) from wrong
            finally:
                if shown:
                    datasets.enable_progress_bars()
            return loaded.to_list()
