"""The report: one HTML file that shows what runs drew, what it cost, and what came out.

Choose it to look at a run, to hand a result to somebody, or to set runs side by side. The file
needs no network: styles, data and plotly.js stand in it. Draws are hostile text, so everything
that comes from the ledger is escaped where it is written (`markup.py`), and the page's own policy
allows no script but those whose hashes it names, and no connection at all.

The numbers come from the ledger alone, through `core.statistics` and `search.coverage`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from genwright.core import InvalidArgument, MissingFile
from genwright.core.run import Run
from genwright.search.compare import Comparison
from genwright.serving.report.facts import RunFacts, read_run
from genwright.serving.report.page import document, page
from genwright.serving.report.strategies import strategies

__all__ = ["RunFacts", "read_run", "report_html", "writable", "write_report", "write_strategies"]


def report_html(runs: Sequence[Run]) -> tuple[str, dict[str, list[str]]]:
    """Return (HTML, what a reader should know): the page of one run, or of several compared.

    Args:
        runs: of one ledger or several, in the order in which they are shown.

    Returns:
        the page, and by id of the run what it lacks: draws, verdicts, tasks that did not finish.

    Raises:
        InvalidArgument: no run, or one named twice.
        MissingExtra: plotly is not installed (`genwright[report]`).
    """
    ids = [run.id for run in runs]
    if not ids or len(set(ids)) < len(ids):
        told = ", ".join(ids) or "none"
        raise InvalidArgument(f"report: give one run or more, each once; got {told}.")
    facts = [read_run(run) for run in runs]
    return page(facts), {f.run.id: f.notes for f in facts}


def write_report(runs: Sequence[Run], path: str | Path) -> dict[str, list[str]]:
    """Write the page of `report_html` to a file; it appears when it is complete.

    Returns:
        what each run lacks, by its id.

    Raises:
        MissingFile: no such folder.
    """
    path = writable(path)
    text, notes = report_html(runs)
    write(text, path)
    return notes


def write_strategies(found: Comparison, path: str | Path, title: str, command: str) -> None:
    """Write the page of strategies compared at equal budgets (`search.compare`).

    Raises:
        MissingFile: no such folder.
        MissingExtra: plotly is not installed (`genwright[report]`).
    """
    path = writable(path)
    write(document(title, strategies(found), command), path)


def writable(path: str | Path) -> Path:
    """Return the path if a page can be written there.

    Raises:
        MissingFile: no such folder, or a folder is there.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise MissingFile(f"report: there is no folder {path.parent}; make it first.")
    if path.is_dir():
        raise MissingFile(f"report: {path} is a folder; name a file in it.")
    return path


def write(text: str, path: Path) -> None:
    """Write a page; it appears when it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
