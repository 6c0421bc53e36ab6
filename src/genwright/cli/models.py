"""`genwright models`: the models at hand."""

import json
from pathlib import Path

import typer

from genwright.cli.doctor import embedded
from genwright.cli.output import Json, console, emit_json, table
from genwright.cli.solve import MODELS


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("models")
    def models(as_json: Json = False) -> None:
        """List the embedded model and every model that `genwright improve` made here."""
        made = [_made(path) for path in sorted(MODELS.glob("*/generator.json"))]
        if as_json:
            emit_json({"embedded": embedded(), "made": made})
            return
        console.print(f"embedded: smollm2-135m-instruct ({embedded()})", markup=False)
        if made:
            rows = [[m["task"], m["model"], m["card"]] for m in made]
            console.print(table("", ["task", "model", "card"], rows))
        else:
            console.print("none made yet: genwright improve TASK")


def _made(path: Path) -> dict[str, str]:
    model = str(json.loads(path.read_text())["model"])
    return {"task": path.parent.name, "model": model, "card": str(Path(model) / "README.md")}
