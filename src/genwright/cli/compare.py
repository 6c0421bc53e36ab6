"""`genwright compare`: strategies on the same prompts at equal budgets."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.cli.progress import stages
from genwright.cli.solve import Model, pick_generator
from genwright.core import TaskFileError, nearest
from genwright.core.ledger import Ledger, new_id
from genwright.core.task_file import TaskFile, find_task
from genwright.learning.improve import steer
from genwright.search.compare import Comparison, compare
from genwright.search.contenders import contenders
from genwright.serving.report import writable, write_strategies
from genwright.serving.report.strategies import account
from genwright.serving.report.wording import interval, percent, points

SHORT = {
    "draws": "draws",
    "prompt_tokens": "read",
    "new_tokens": "written",
    "network_evaluations": "NFE",
    "verifier_calls": "checks",
    "seconds": "s",
    "money": "money",
    "joules": "J",
}
"""Heads of the columns of costs; tokens are read and written."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("compare")
    def compare_strategies(
        task: Annotated[str, typer.Argument(help="A task file, or its name in tasks/.")],
        strategies: Annotated[
            str,
            typer.Option(
                help="Registered names or single, repeated, vote, best, b4, codet; settings follow "
                "as :key=value. The first is the baseline."
            ),
        ] = "single,repeated,vote",
        budgets: Annotated[str, typer.Option(help="Limits for each prompt.")] = "1,2,4,8",
        unit: Annotated[
            str, typer.Option(help="What the budgets limit: draws, new_tokens, seconds, ...")
        ] = "draws",
        grade: Annotated[
            str, typer.Option(help="A check of [metrics] that grades, instead of the verifier.")
        ] = "",
        model: Model = "improved",
        limit: Annotated[int | None, typer.Option(help="Only the first prompts.")] = None,
        seed: Annotated[int | None, typer.Option(help="Instead of the task file's.")] = None,
        workers: Annotated[int | None, typer.Option(help="Prompts in flight.")] = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Draw anew, instead of going on where it stopped.")
        ] = False,
        out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("compare.html"),
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Draw accuracy against cost: every draw is made once and serves every strategy.

        The same command goes on where it was cut off; with further strategies or budgets it pays
        only for draws that are new.
        """
        writable(out)
        task_file = TaskFile.load(find_task(task))
        tasks = task_file.tasks()[:limit]
        graders = None
        if grade:
            if grade not in task_file.metrics:
                names = list(task_file.metrics)
                raise TaskFileError(
                    f"compare: [metrics] has no {grade!r}; it has: {', '.join(names) or 'none'}."
                    f"{nearest(grade, names)}"
                )
            metric = task_file.metrics[grade]
            graders = {t.key: task_file.build("verifier", metric, t.data) for t in tasks}
        named = contenders(strategies, task_file.strategy.model_dump())
        asked = {
            "strategies": strategies,
            "budgets": budgets,
            "unit": unit,
            "grade": grade,
            "model": model,
            "limit": limit,
            "seed": seed,
        }
        told = [
            [f"--{name}", str(value)] for name, value in asked.items() if value not in ("", None)
        ]
        command = shlex.join(
            ["genwright", "compare", task, *(word for pair in told for word in pair)]
        )
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with Ledger(ledger) as book, stages() as shown:
            found = compare(
                tasks,
                steer(task_file, pick_generator(task_file, model)),
                named,
                _amounts(budgets, whole=unit not in ("seconds", "money", "joules")),
                unit=unit,
                ledger=book,
                comparison=new_id() if fresh else "",
                name=task_file.name,
                seed=task_file.seed if seed is None else seed,
                workers=workers or task_file.workers,
                graders=graders,
                spec={"command": command},
                on_event=shown.event,
                on_run=lambda what: shown.begin(f"{task_file.name}: {what}", total=len(tasks)),
            )
        write_strategies(found, out, f"{task_file.name}: strategies compared", command)
        if as_json:
            emit_json(_as_json(found) | {"page": str(out)})
            return
        heads = ["strategy", "budget", "right", "95%", f"less {found.strategies[0]}"]
        console.print(table("", heads, [_cells(found, cell) for cell in found.cells]))
        heads = ["strategy", "budget", *(SHORT[amount] for amount in found.amounts)]
        rows = [[cell.strategy, f"{cell.budget:g}", *_costs(found, cell)] for cell in found.cells]
        console.print(table("charged for a prompt", heads, rows))
        console.print(account(found), markup=False)
        console.print(f"wrote {out}; the draws are run {found.id}", markup=False)


def _amounts(text: str, *, whole: bool) -> list[float]:
    """Read budgets such as `1,4,16`."""
    try:
        return [int(part) if whole else float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise TaskFileError(
            f"compare: budgets must be numbers separated by commas, got {text!r}."
        ) from error


def _cells(found: Comparison, cell: Any) -> list[Any]:
    accuracy, against = cell.accuracy, found.against(cell)
    right = ["", ""] if accuracy is None else [percent(accuracy.estimate), interval(accuracy)]
    told = ""
    if against is not None:
        gain, _ = against
        told = f"{points(gain.estimate)} [{points(gain.low)}, {points(gain.high)}]"
    return [cell.strategy, f"{cell.budget:g}", *right, told]


def _costs(found: Comparison, cell: Any) -> list[str]:
    return [f"{cell.mean(amount):.4g}" for amount in found.amounts]


def _as_json(found: Comparison) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for cell in found.cells:
        accuracy, against = cell.accuracy, found.against(cell)
        row: dict[str, Any] = {
            "strategy": cell.strategy,
            "budget": cell.budget,
            "accuracy": None if accuracy is None else accuracy.estimate,
            "interval95": None if accuracy is None else [accuracy.low, accuracy.high],
            "undecided": cell.passed.count(None),
            "charged": {amount: cell.mean(amount) for amount in found.amounts},
            "run": cell.run,
        }
        if against is not None:
            gain, test = against
            row["against_first"] = {
                "difference": gain.estimate,
                "interval95": [gain.low, gain.high],
                "only_it": test.first_only,
                "only_first": test.second_only,
                "p": test.p_value,
            }
        rows.append(row)
    return {
        "comparison": found.id,
        "unit": found.unit,
        "tasks": len(found.tasks),
        "cells": rows,
        "paid": found.paid.as_dict(),
        "paid_before": found.before.as_dict(),
        "charged": found.charged.as_dict(),
    }
