"""`genwright footprint`: what a run took from the environment, and a year of such runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.core import InvalidArgument, UserError
from genwright.core.ledger import Ledger
from genwright.serving.footprint import emissions
from genwright.serving.grid import grid_mix
from genwright.serving.projection import levers, project, read_scenario
from genwright.serving.quantities import Given, Quantity


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("footprint")
    def footprint(
        run_id: Annotated[
            str, typer.Argument(metavar="RUN", help="The run's id, or the beginning of it.")
        ],
        region: Annotated[
            str, typer.Option(help="Where it ran: three letters (FRA), a country, or WORLD.")
        ] = "WORLD",
        pue: Annotated[
            float, typer.Option(help="Power usage effectiveness of the site; 1 counts none.")
        ] = 1.0,
        per_year: Annotated[
            float, typer.Option(help="How many such runs a year, for the projection.")
        ] = 1.0,
        scenario: Annotated[
            str | None, typer.Option(help="low, medium, high, or a TOML file: project over years.")
        ] = None,
        plot: Annotated[
            Path | None, typer.Option(help="Also draw the projection into this HTML file.")
        ] = None,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Show a run's tokens, energy and emissions, each with its formula and its inputs."""
        if plot is not None and scenario is None:
            raise InvalidArgument("footprint: --plot draws a projection; give --scenario too.")
        if not (pue >= 1 and per_year > 0):
            raise InvalidArgument(
                f"footprint: pue must be 1 or more and per-year above 0, got {pue:g} and "
                f"{per_year:g}."
            )
        with Ledger(ledger, create=False) as book:
            run = book.run(run_id)
            cost = run.cost()
        if not cost.joules_by:
            raise UserError(
                f"footprint: nobody measured or estimated the energy of run {run.id}: remote "
                "endpoints report none."
            )
        mix, site = grid_mix(region), Given(value=pue, source="--pue")
        grams = emissions(cost, mix, site)
        found: dict[str, Any] = {
            "run": run.id,
            "tokens": {"prompt": cost.prompt_tokens, "new": cost.new_tokens},
            "seconds": cost.seconds,
            "joules": cost.joules,
            "joules_by": cost.joules_by,
            "region": mix.region,
            "emissions": grams.told(),
        }
        if scenario is not None:
            read = read_scenario(scenario)
            runs = Given(value=per_year, source="--per-year")
            year = (grams * Quantity.input("runs_a_year", runs, "")).named(grams.unit)
            series, bars = project(year, read), levers(year, read)
            found["scenario"] = read.name
            found["years"] = {str(at): amount.told() for at, amount in series.items()}
            found["levers"] = [{"name": b.name, "low": b.low, "high": b.high} for b in bars]
            if plot is not None:
                from genwright.serving.projection_page import write_projection

                write_projection(series, bars, read, plot)
                found["plot"] = str(plot)
        if as_json:
            emit_json(found)
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    tokens, grams = found["tokens"], found["emissions"]
    rows = [
        ["tokens", f"{tokens['prompt']:,} read, {tokens['new']:,} written", "counted"],
        ["seconds", f"{found['seconds']:,.4g}", "measured"],
        ["joules", f"{found['joules']:,.4g}", found["joules_by"]],
        ["g CO2e", _amount(grams), grams["formula"]],
    ]
    console.print(table("", ["what", "amount (95%)", "how"], rows))
    for name, given in grams["inputs"].items():
        span = f"{given['low']:.4g} to {given['high']:.4g}"
        console.print(f"{name} = {given['value']:.4g} ({span}): {given['source']}", markup=False)
    if "years" in found:
        cells = [[year, _amount(amount)] for year, amount in found["years"].items()]
        console.print(table("", ["year", "g CO2e (95%)"], cells))
        cells = [[b["name"], f"{b['low']:.4g}", f"{b['high']:.4g}"] for b in found["levers"]]
        console.print(table("", ["lever, last year", "least", "most"], cells))
    if "plot" in found:
        console.print(f"wrote {found['plot']}", markup=False)


def _amount(told: dict[str, Any]) -> str:
    low, high = told["interval95"]
    return f"{told['value']:,.4g} ({low:,.4g} to {high:,.4g})"
