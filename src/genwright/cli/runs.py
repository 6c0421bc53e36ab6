"""`genwright runs`: what the ledger holds."""

import time
from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.output import (
    DEFAULT_LEDGER,
    Json,
    LedgerPath,
    console,
    emit_json,
    readable,
    table,
)
from genwright.cli.solve import describe_cost
from genwright.core import UserError
from genwright.core.export import diff, export
from genwright.core.ledger import Ledger
from genwright.core.run import Run
from genwright.core.training_export import Form

RunId = Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    runs = typer.Typer(help="List, show, export, resume and compare recorded runs.")
    app.add_typer(runs, name="runs", no_args_is_help=True)

    @runs.command("list")
    def list_runs(
        ledger: LedgerPath = DEFAULT_LEDGER,
        limit: Annotated[int, typer.Option(help="The latest ones.")] = 30,
        as_json: Json = False,
    ) -> None:
        """List the latest runs."""
        with Ledger(ledger, create=False) as book:
            rows = [_summary(run) for run in book.runs()[-limit:]]
        if as_json:
            emit_json({"ledger": str(ledger), "runs": rows})
            return
        heads = ["run", "name", "state", "started", "tasks", "passed", "draws", "new_tokens"]
        console.print(table("", heads, [[row[h] for h in heads] for row in rows]))

    @runs.command("show")
    def show(run_id: RunId, ledger: LedgerPath = DEFAULT_LEDGER, as_json: Json = False) -> None:
        """Show one run: what it ran, what it cost, and every task's outcome."""
        with Ledger(ledger, create=False) as book:
            run = book.run(run_id)
            outcomes, prompts, cost = run.outcomes(), run.prompts(), run.cost()
            summary = _summary(run) | {"seed": run.seed, "spec": run.spec, "message": run.message}
        if as_json:
            rows = [
                {
                    "task": key,
                    "prompt": prompts[key],
                    "chosen": None if o.chosen is None else o.chosen.value,
                    "passed": o.passed,
                    "stop": o.stop.value,
                    "draws": len(o.samples),
                }
                for key, o in outcomes.items()
            ]
            emit_json(summary | {"cost": cost.as_dict(), "outcomes": rows})
            return
        for name in ("run", "name", "state", "message", "started", "seed"):
            if summary[name] not in ("", None):
                console.print(f"{name}: {summary[name]}", markup=False)
        console.print(f"cost: {describe_cost(cost)}", markup=False)
        told = {True: "passed", False: "failed", None: "undecided"}
        rows = [
            [
                key,
                told[o.passed],
                len(o.samples),
                "" if o.chosen is None else readable(o.chosen.value),
            ]
            for key, o in outcomes.items()
        ]
        console.print(table("", ["task", "verdict", "draws", "chosen"], rows))

    @runs.command("export")
    def export_run(
        run_id: RunId,
        path: Annotated[Path, typer.Argument(help="A .jsonl or .parquet file.")],
        form: Annotated[
            Form,
            typer.Option(
                "--format",
                help="`draws`: every draw with its verdict and outcome. For TRL: `sft` (draws that "
                "passed), `preference` (passed against failed), `reward` (each with a label).",
            ),
        ] = "draws",
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Write a run's draws to a file that `datasets` loads, or that TRL trains on."""
        with Ledger(ledger, create=False) as book:
            rows = export(book.run(run_id), path, form)
        if as_json:
            emit_json({"path": str(path), "format": form, "rows": rows})
        else:
            what = "draws" if form == "draws" else f"{form} rows"
            console.print(f"{rows} {what} written to {path}", markup=False)

    @runs.command("resume")
    def resume(context: typer.Context, run_id: RunId, ledger: LedgerPath = DEFAULT_LEDGER) -> None:
        """Go on with a run that was killed, interrupted or failed."""
        with Ledger(ledger, create=False) as book:
            run = book.run(run_id)
            comparison = run.id.partition(".")[0]
            command = ""
            if run.name.partition(": ")[2].startswith("compare"):
                command = book.run(comparison).spec.get("command", "the script that began it")
        if command:
            raise UserError(f"run {run.id} belongs to a comparison; go on with: {command}")
        solve = context.find_root().command.get_command(context, "solve")  # pyright: ignore
        task, _, stage = run.name.partition(": ")
        if stage:
            raise UserError(
                f"run {run.id} belongs to a longer job; go on with: genwright improve {task}"
                if stage != "ask"
                else f"run {run.id} answered one question; ask it again."
            )
        context.invoke(
            solve.callback,
            task=task,
            model=str(run.spec["generator"].get("model", "improved")),
            limit=int(run.spec["tasks"]),
            seed=run.seed,
            workers=None,
            resume=run.id,
            ledger=ledger,
            as_json=False,
        )

    @runs.command("diff")
    def compare(
        first: RunId, second: RunId, ledger: LedgerPath = DEFAULT_LEDGER, as_json: Json = False
    ) -> None:
        """Compare two runs task by task."""
        with Ledger(ledger, create=False) as book:
            found = diff(book.run(first), book.run(second))
        if as_json:
            emit_json(found)
        else:
            console.print(found)


def _summary(run: Run) -> dict[str, object]:
    outcomes = run.outcomes()
    cost = run.cost()
    return {
        "run": run.id,
        "name": run.name,
        "state": run.state.value,
        "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)),
        "tasks": len(outcomes),
        "passed": sum(o.passed is True for o in outcomes.values()),
        "draws": cost.draws,
        "new_tokens": cost.new_tokens,
        "seconds": round(cost.seconds, 1),
        "joules": round(cost.joules, 1),
    }
