"""`genwright solve`: run a task file's strategy on its prompts."""

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
from genwright.cli.progress import stages
from genwright.core.ledger import Ledger
from genwright.core.runner import solve
from genwright.core.task_file import TaskFile, find_task
from genwright.learning.improve import load_generator, steer
from genwright.learning.scores import score
from genwright.serving.ray_workers import RayWorkers

MODELS = Path("runs/models")

Model = Annotated[
    str,
    typer.Option(
        help="`improved` (what `genwright improve` made, where it did), `base` (the task file's), "
        "or a model's name or folder."
    ),
]


class Engine(StrEnum):
    """Where draws and checks are made."""

    here = "here"
    ray = "ray"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("solve")
    def solve_task(
        task: Annotated[str, typer.Argument(help="A task file, or its name in tasks/.")],
        model: Model = "improved",
        limit: Annotated[int | None, typer.Option(help="Only the first prompts.")] = None,
        seed: Annotated[int | None, typer.Option(help="Instead of the task file's.")] = None,
        workers: Annotated[int | None, typer.Option(help="Prompts in flight.")] = None,
        resume: Annotated[str | None, typer.Option(help="Id of a run to go on with.")] = None,
        engine: Annotated[
            Engine, typer.Option(help="Where draws and checks are made: here, or by Ray's workers.")
        ] = Engine.here,
        ray_workers: Annotated[int, typer.Option(help="Worker processes of Ray.")] = 2,
        ray_address: Annotated[
            str | None, typer.Option(help="A running Ray cluster, or `auto`; starts one if absent.")
        ] = None,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Draw, check and choose for every prompt of a task, within its budget."""
        task_file = TaskFile.load(find_task(task))
        tasks = task_file.tasks()[:limit]
        rows = [task.data for task in tasks]
        generator = steer(task_file, pick_generator(task_file, model), rows)
        strategy = task_file.build("strategy", task_file.strategy)
        per_prompt, per_run = task_file.budgets()
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with (
            Ledger(ledger) as book,
            machines(engine, ray_workers, ray_address) as elsewhere,
            stages() as shown,
        ):
            shown.begin(f"solve {task_file.name}", total=len(tasks))
            result = solve(
                tasks,
                generator,
                strategy,
                ledger=book,
                run_id=resume and book.run(resume).id,
                name=task_file.name,
                budget=per_prompt,
                run_budget=per_run,
                seed=task_file.seed if seed is None else seed,
                workers=workers or task_file.workers,
                machines=elsewhere,
                on_event=shown.event,
            )
        scores, failures = score(task_file, tasks, result.outcomes)
        if as_json:
            emit_json(
                {
                    "run": result.run_id,
                    "stop": result.stop.value,
                    "cost": result.cost.as_dict(),
                    "groups": {
                        name: {
                            "tasks": s.tasks,
                            "passed": s.passed,
                            "undecided": s.undecided,
                            "interval95": s.interval,
                            **s.metrics,
                        }
                        for name, s in scores.items()
                    },
                    "outcomes": [
                        {
                            "task": t.key,
                            "prompt": t.prompt,
                            "chosen": None if o.chosen is None else o.chosen.value,
                            "passed": o.passed,
                            "stop": o.stop.value,
                        }
                        for t, o in zip(tasks, result.outcomes, strict=True)
                    ],
                }
            )
            return
        console.print(score_table(f"{task_file.name}, run {result.run_id}", scores))
        console.print(f"cost: {describe_cost(result.cost)}", markup=False)
        show_failures(failures)


def machines(engine: Engine, workers: int, address: str | None) -> Any:
    """Return a context of what `solve` takes as machines; of None for this one."""
    return RayWorkers(workers, address=address) if engine is Engine.ray else nullcontext()


def pick_generator(task_file: TaskFile, model: str) -> Any:
    """Return the task's improved generator, its base one, or its base one with another model."""
    if model == "improved":
        improved = load_generator(MODELS / task_file.name)
        if improved is not None:
            return improved
    if model in ("improved", "base"):
        return task_file.build("generator", task_file.generator)
    place = "denoiser" if hasattr(task_file.generator, "denoiser") else "model"
    settings = task_file.generator.model_dump() | {place: model}
    return task_file.build("generator", type(task_file.generator)(**settings))


def score_table(title: str, scores: Any) -> Any:
    """Return a table of scores by group."""
    names = list(next(iter(scores.values())).metrics)
    rows = [
        [
            group,
            s.tasks,
            f"{s.rate:.0%}",
            f"{s.interval[0]:.0%} to {s.interval[1]:.0%}",
            s.undecided,
            *(f"{s.metrics[name]:.0%}" for name in names),
        ]
        for group, s in scores.items()
    ]
    return table(title, ["group", "prompts", "passed", "95%", "undecided", *names], rows)


def describe_cost(cost: Any) -> str:
    """Return a cost in words."""
    work = f"{cost.new_tokens:,} new tokens"
    if not cost.new_tokens and cost.network_evaluations:
        work = f"{cost.network_evaluations:,} network evaluations"
    parts = [f"{cost.draws} draws", work, f"{cost.seconds:.0f} s"]
    if cost.joules_by:
        parts.append(f"{cost.joules:,.0f} J ({cost.joules_by})")
    if cost.money:
        parts.append(f"{cost.money:.4f} in money")
    return ", ".join(parts)


def show_failures(failures: Any, most: int = 3) -> None:
    """Print the first failures of each group with the verifier's evidence."""
    shown: dict[str, int] = {}
    for failure in failures:
        shown[failure["group"]] = shown.get(failure["group"], 0) + 1
        if shown[failure["group"]] <= most:
            console.print(f"\nfailed ({failure['group']}): {failure['prompt']}", markup=False)
            console.print(f"  drawn: {readable(failure['drawn'])}", markup=False)
            console.print(
                f"  evidence: {str(failure['evidence'])[:400]}", markup=False, style="dim"
            )
