"""`genwright report`: one HTML file that shows what runs did."""

from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json
from genwright.core.ledger import Ledger
from genwright.serving.report import write_report


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("report")
    def report(
        runs: Annotated[
            list[str], typer.Argument(metavar="RUN...", help="Ids of runs, or their beginnings.")
        ],
        out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Write one self-contained HTML file about one run, or several side by side."""
        with Ledger(ledger, create=False) as book:
            found = [book.run(run_id) for run_id in runs]
            notes = write_report(found, out)
        if as_json:
            emit_json({"path": str(out), "bytes": out.stat().st_size, "runs": notes})
            return
        console.print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)", markup=False)
        for run_id, told in notes.items():
            for note in told:
                console.print(f"{run_id}: {note}", markup=False)
