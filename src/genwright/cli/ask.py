"""`genwright ask`: one question, answered by a task's improved generator."""

from typing import Annotated

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.cli.solve import Model, describe_cost, pick_generator
from genwright.core import Task
from genwright.core.ledger import Ledger
from genwright.core.runner import solve
from genwright.core.task_file import TaskFile, fill, find_task


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("ask")
    def ask(
        task: Annotated[str, typer.Argument(help="A task file, or its name in tasks/.")],
        question: Annotated[str, typer.Argument(help="What to ask.")],
        model: Model = "improved",
        seed: Annotated[int, typer.Option(help="Another seed draws other answers.")] = 0,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Draw answers to one question, choose one by the task's strategy, and show its result."""
        task_file = TaskFile.load(find_task(task))
        generator = pick_generator(task_file, model)
        strategy = task_file.build("strategy", task_file.strategy)
        row = {"question": question}
        prompt = fill(task_file.prompts.template, row, strict=True)
        steering = [task_file.build("constraint", table, row) for table in task_file.steering]
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with Ledger(ledger) as book:
            result = solve(
                [Task(prompt, None, data=row, steering=steering)],
                generator,
                strategy,
                ledger=book,
                name=f"{task_file.name}: ask",
                budget=task_file.budgets()[0],
                seed=seed,
            )
        (outcome,) = result.outcomes
        answer = None if outcome.chosen is None else outcome.chosen.value
        show = getattr(getattr(strategy, "key", None), "show", None)
        shown = show(answer) if answer is not None and show is not None else None
        agreement = outcome.info.get("agreement")
        if as_json:
            emit_json(
                {
                    "question": question,
                    "answer": answer,
                    "columns": shown and shown.columns,
                    "rows": shown and shown.rows,
                    "draws": len(outcome.samples),
                    "agreement": agreement,
                    "stop": outcome.stop.value,
                    "cost": result.cost.as_dict(),
                    "run": result.run_id,
                }
            )
            return
        if answer is None:
            console.print(f"no answer: {outcome.stop.value}", markup=False)
            raise typer.Exit(1)
        console.print(answer, style="bold", markup=False)
        if shown is not None and shown.error:
            console.print(shown.error, style="red", markup=False)
        elif shown is not None:
            console.print(table("", shown.columns, shown.rows[:20]))
        said = "" if agreement is None else f", {agreement:.0%} agree"
        console.print(
            f"{len(outcome.samples)} draws{said}; {describe_cost(result.cost)}",
            style="dim",
            markup=False,
        )
