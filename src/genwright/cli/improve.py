"""`genwright improve`: the whole loop on one task, or on a database one brings."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.cli.progress import stages
from genwright.cli.solve import MODELS, show_failures
from genwright.core import TaskFileError, describe
from genwright.core.ledger import Ledger
from genwright.core.task_file import TaskFile, find_task
from genwright.learning.improve import improve
from genwright.learning.model_card import model_folder
from genwright.learning.scores import result_table


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("improve")
    def improve_task(
        task: Annotated[str, typer.Argument(help="A task file, or its name in tasks/.")] = "",
        db: Annotated[
            Path | None,
            typer.Option(help="A database of your own: writes tasks/NAME.toml, then improves it."),
        ] = None,
        questions: Annotated[
            Path | None,
            typer.Option(help="With --db: a JSONL file of your own `question` and `sql` rows."),
        ] = None,
        write_only: Annotated[
            bool, typer.Option(help="With --db: write the task file and stop.")
        ] = False,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Measure, train on checked rows, sample and check, train again, measure again."""
        if bool(task) == (db is not None):
            raise TaskFileError("improve: give a task or --db, and not both.")
        if db is not None:
            from genwright.synthesis.database_task import write_task_file

            path = write_task_file(db, Path("tasks"), questions=questions)
            console.print(f"wrote {path}", markup=False)
            if write_only:
                return
        else:
            path = find_task(task)
        task_file = TaskFile.load(path)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        folder = MODELS / task_file.name
        with Ledger(ledger) as book, stages() as shown:
            found = improve(
                task_file,
                book,
                folder,
                watch=shown.watch,
                on_event=shown.event,
                stage=shown.begin,
            )
        if as_json:
            emit_json(
                {
                    "task": task_file.name,
                    "runs": found.runs,
                    "training_rows": found.rows,
                    "left_out": found.left_out,
                    "accepted": found.accepted,
                    "shared_with_training": found.shared,
                    "generator": describe(found.generator),
                    "measurements": [asdict(m) for m in found.measurements],
                }
            )
            return
        heads, rows = result_table(found.measurements)
        console.print(table(f"{task_file.name}: share passed [95% interval]", heads, rows))
        console.print(
            f"trained on {found.rows} rows ({found.left_out} left out because their prompt is held "
            f"out), then on {sum(found.accepted)} draws that passed",
            markup=False,
        )
        if found.shared:
            kinds = ["question", "sql", "phrasing", "template", "structure", "13-gram"]
            rows = [[g, *(line[k] for k in ("rows", *kinds))] for g, line in found.shared.items()]
            title = (
                f"held-out rows that share something with training (run {found.runs['training']})"
            )
            console.print(table(title, ["group", "rows", *kinds], rows))
        console.print(f"model: {model_folder(found.generator)}   ledger: {ledger}", markup=False)
        show_failures(found.measurements[-1].failures)
