"""`genwright methods`: what can fill each slot of a task file."""

from dataclasses import MISSING, fields
from typing import Annotated

import typer

from genwright.cli.output import Json, console, emit_json, table
from genwright.core import methods, problems


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("methods")
    def list_methods(
        slot: Annotated[str, typer.Argument(help="Show one slot, with settings.")] = "",
        as_json: Json = False,
    ) -> None:
        """List every registered method by slot, with its reference."""
        found = [m for m in methods() if slot in ("", m.slot, m.name)]
        if as_json:
            rows = [
                {
                    "slot": m.slot,
                    "name": m.name,
                    "paper": m.paper,
                    "summary": m.summary,
                    "settings": {
                        f.name: None if f.default is MISSING else repr(f.default)
                        for f in fields(m.cls)
                        if f.init
                    },
                }
                for m in found
            ]
            emit_json({"methods": rows, "problems": problems()})
            return
        rows = [[m.slot, m.name, m.paper, m.summary] for m in found]
        console.print(table("", ["slot", "method", "paper", "what it does"], rows))
        if slot:
            for m in found:
                settings = ", ".join(
                    f.name if f.default is MISSING else f"{f.name}={f.default!r}"
                    for f in fields(m.cls)
                    if f.init
                )
                console.print(f"[bold]{m.name}[/]: {settings}", markup=True)
        for reason in problems().values():
            console.print(f"not available: {reason}", style="yellow", markup=False)
