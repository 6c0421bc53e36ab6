"""`genwright serve`: a model for every program that speaks the OpenAI API."""

import ipaddress
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.output import console
from genwright.core import InvalidArgument, UserError, require
from genwright.core.task_file import TaskFile, find_task
from genwright.generators.language.embedded import EMBEDDED
from genwright.generators.language.local import LocalLM

KEY = "GENWRIGHT_API_KEY"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("serve")
    def serve(
        model: Annotated[
            str,
            typer.Option(
                help="A model's name or folder; with --task also `improved` or `base`, steered as "
                "the task says."
            ),
        ] = EMBEDDED,
        task: Annotated[str, typer.Option(help="A task file, or its name in tasks/.")] = "",
        host: Annotated[str, typer.Option(help="Loopback, unless told otherwise.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
        api_key_env: Annotated[
            str, typer.Option(help="The variable with the key that requests must bring.")
        ] = KEY,
        max_queue: Annotated[int, typer.Option(help="Draws that may wait for a slot.")] = 256,
        timeout: Annotated[float, typer.Option(help="Seconds one request may take.")] = 600.0,
        batch: Annotated[int | None, typer.Option(help="Draws that run together.")] = None,
        dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, int8 or auto.")] = None,
        lookahead: Annotated[
            bool, typer.Option(help="Guess ahead from prompts and earlier answers; same answers.")
        ] = False,
        predictor: Annotated[
            str,
            typer.Option(
                help="A folder of FitKVPredictor: it reads the prompts, so that first tokens come "
                "sooner, and answers change a little."
            ),
        ] = "",
    ) -> None:
        """Serve the OpenAI API: /v1/chat/completions, /v1/completions, /v1/models, /metrics."""
        for module in ("fastapi", "uvicorn", "prometheus_client"):
            require(module, extra="serve", needed_by="genwright serve")
        from genwright.generators.language.lookahead import Lookahead
        from genwright.serving.run import listen, run
        from genwright.serving.server import create_app
        from genwright.serving.service import Limits

        key = os.environ.get(api_key_env, "").strip()
        if api_key_env != KEY and not key:
            raise UserError(f"--api-key-env {api_key_env}: the variable is not set, or is empty.")
        limits = Limits(queue=max_queue, seconds=timeout)
        generator = _generator(model, task)
        generator = replace(
            generator, batch=batch or generator.batch, dtype=dtype or generator.dtype
        )
        if lookahead:
            generator = replace(generator, drafts=Lookahead())
        if predictor:
            generator = replace(generator, predictor=predictor, prefill="predicted")
        made = listen(host, port)  # before the model is read: a port in use is said at once
        served = create_app(generator, name=_name(model, task), key=key, limits=limits)
        where = f"http://{host}:{made.getsockname()[1]}"
        console.print(f"{_name(model, task)} at {where}/v1", markup=False)
        if not key and not _is_loopback(host):
            console.print(
                f"anybody who reaches {host} may use it: set {KEY} to ask for a key",
                style="yellow",
                markup=False,
            )
        run(served, made, drain=timeout)


def _generator(model: str, task: str) -> LocalLM:
    if not task:
        if model in ("improved", "base"):
            raise InvalidArgument(f"serve: --model {model} needs --task NAME.")
        return LocalLM(model=model, temperature=1.0)
    from genwright.cli.solve import pick_generator
    from genwright.learning.improve import steer

    task_file = TaskFile.load(find_task(task))
    if task_file.steered_by_row():
        raise InvalidArgument(
            f"serve: [steering] of {task} names a field of a row, and a request brings no row; "
            "leave the table out, or serve without --task."
        )
    generator = steer(task_file, pick_generator(task_file, model))
    if not isinstance(generator, LocalLM):
        raise InvalidArgument(
            f"serve: {task} draws from {type(generator).__name__}; only models on this machine "
            "(local_lm) can be served."
        )
    return generator


def _name(model: str, task: str) -> str:
    """Return what requests call it: a model's own name, or the task's and which of its models."""
    return f"{Path(task).stem}-{model}" if model in ("improved", "base") else model


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
