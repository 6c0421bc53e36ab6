"""`genwright draw`: samples of a trained generator as a picture, and how they came about."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.cli.solve import Model, describe_cost, pick_generator
from genwright.core import InvalidArgument, Ledger, MissingFile
from genwright.core.task_file import TaskFile, find_task
from genwright.serving.pictures import save_animation, save_picture, shown


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("draw")
    def draw(
        source: Annotated[
            str,
            typer.Argument(help="A task file or its name in tasks/, or the folder of a model."),
        ],
        out: Annotated[Path, typer.Option(help="The PNG file to write.")] = Path("draws.png"),
        prompts: Annotated[
            str,
            typer.Option(help="What is asked for, separated by commas; a task's own by default."),
        ] = "",
        n: Annotated[int, typer.Option(help="Draws for each prompt.")] = 8,
        animate: Annotated[
            Path | None,
            typer.Option(help="Also show the way from noise: a .gif, .png (animated) or .webp."),
        ] = None,
        columns: Annotated[int, typer.Option(help="Pictures in a row; 0 for n.")] = 0,
        scale: Annotated[int, typer.Option(help="Size of a pixel; 0 to fit.")] = 0,
        seed: Annotated[int, typer.Option(help="Every random choice derives from it.")] = 0,
        model: Model = "improved",
        steps: Annotated[
            str,
            typer.Option(
                help="Also check n draws of every prompt in each of these numbers of steps, such "
                "as 1,2,4,9,18, and record how many pass: quality over network evaluations."
            ),
        ] = "",
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Draw pictures or points, and write them into one PNG file."""
        from genwright.serving.drawn import drawn, trajectory

        if n < 1:
            raise InvalidArgument(f"draw: n must be 1 or more, got {n}.")
        numbers = _numbers(steps)
        generator, asked, tasks = _source(source, model)
        asked = [_prompt(word) for word in prompts.split(",")] if prompts else asked
        values, cost = drawn(generator, asked, n, seed)
        save_picture(shown(values, columns=columns or n, scale=scale), out)
        frames = 0
        if animate is not None:
            pictures = [
                shown(frame, columns=columns or n, scale=scale)
                for frame in trajectory(generator, asked, n, seed)
            ]
            frames = len(pictures)
            save_animation(pictures, animate)
        told: dict[str, Any] = {
            "path": str(out),
            "draws": len(values),
            "prompts": asked,
            "cost": cost.as_dict(),
        }
        if animate is not None:
            told |= {"animation": str(animate), "frames": frames}
        found = _quality(generator, tasks, numbers, n, seed, ledger) if numbers else None
        if found is not None:
            told |= {"run": found[0], "quality": [asdict(row) for row in found[1]]}
        if as_json:
            emit_json(told)
            return
        console.print(f"wrote {out}: {describe_cost(cost)}", markup=False)
        if animate is not None:
            console.print(f"wrote {animate}: {frames} frames", markup=False)
        if found is not None:
            _show_quality(*found)


def _numbers(steps: str) -> list[int]:
    words = [word.strip() for word in steps.split(",")] if steps else []
    if not all(word.isdecimal() for word in words):
        raise InvalidArgument(f"draw: steps must be numbers such as 1,2,4, got {steps!r}.")
    return [int(word) for word in words]


def _quality(
    generator: Any, tasks: list[Any], steps: list[int], n: int, seed: int, ledger: Path
) -> tuple[str, list[Any]]:
    from genwright.serving.drawn import quality_by_steps

    ledger.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(ledger) as book:
        run, rows = quality_by_steps(generator, tasks, steps, n, seed, book)
    return run.id, rows


def _show_quality(run: str, rows: list[Any]) -> None:
    cells = [
        [
            row.steps,
            row.evaluations,
            f"{row.passed.estimate:.0%}",
            f"{row.passed.low:.0%} to {row.passed.high:.0%}",
        ]
        for row in rows
    ]
    console.print(table("", ["steps", "evaluations", "passed", "95%"], cells))
    console.print(f"genwright report {run}", style="dim", markup=False)


def _source(source: str, model: str) -> tuple[Any, list[Any], list[Any]]:
    """Return a generator, and the prompts and tasks of its task (None alone for a folder)."""
    from genwright.generators.diffusion.diffusion_model import DiffusionModel
    from genwright.learning.improve import load_generator

    folder = Path(source)
    if folder.is_dir():
        found = load_generator(folder)
        if found is None and not (folder / "denoiser.json").is_file():
            raise MissingFile(f"draw: {source!r} holds neither generator.json nor denoiser.json.")
        return found or DiffusionModel(denoiser=str(folder)), [None], []
    task_file = TaskFile.load(find_task(source))
    tasks = {repr(task.prompt): task for task in task_file.tasks()}
    asked = [task.prompt for task in tasks.values()]
    return pick_generator(task_file, model), asked, list(tasks.values())


def _prompt(word: str) -> Any:
    """Read a prompt of the command line: a number is a class."""
    word = word.strip()
    return int(word) if word.isdecimal() else word or None
