"""`genwright studio`: write with a model in a browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.output import console
from genwright.core import require
from genwright.generators.language.embedded import EMBEDDED
from genwright.generators.language.local import LocalLM

LOOPBACK = "127.0.0.1"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("studio")
    def studio(
        model: Annotated[str, typer.Option(help="A model's name or folder.")] = EMBEDDED,
        documents: Annotated[
            Path | None,
            typer.Option(
                envvar="GENWRIGHT_STUDIO",
                help="Where documents are kept; your data folder unless told.",
            ),
        ] = None,
        host: Annotated[str, typer.Option(help="Loopback, unless told otherwise.")] = LOOPBACK,
        port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8790,
        open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
        timeout: Annotated[float, typer.Option(help="Seconds one request may take.")] = 600.0,
        batch: Annotated[int, typer.Option(help="Draws that run together.")] = 16,
        dtype: Annotated[str, typer.Option(help="float32, bfloat16, int8 or auto.")] = "auto",
    ) -> None:
        """Write with a model under live filters, in a browser."""
        for module in ("fastapi", "uvicorn", "prometheus_client"):
            require(module, extra="studio", needed_by="genwright studio")
        from dataclasses import replace

        from genwright.serving.run import listen, run
        from genwright.serving.studio.app import LIMITS, create_studio

        limits = replace(LIMITS, seconds=timeout)
        lm = LocalLM(model=model, temperature=0.9, batch=batch, dtype=dtype)
        made = listen(host, port)  # before the model is read: a port in use is said at once
        served = create_studio(lm, folder=documents, host=host, limits=limits)
        address = f"[{host}]" if ":" in host else host
        link = f"http://{address}:{made.getsockname()[1]}/?token={served.state.token}"
        console.print(f"the studio is open at {link}", markup=False, soft_wrap=True)
        console.print("whoever has the link may read and write your documents", markup=False)
        if open_:
            webbrowser.open(link)
        run(served, made, drain=2.0)
