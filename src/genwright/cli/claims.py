"""`genwright claims`: do the papers' sentences hold here?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from genwright.claims.harness import (
    Recorded,
    append,
    built,
    find_claim,
    recorded,
    run_claim,
    standing,
)
from genwright.claims.table import claims_table
from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.cli.progress import stages
from genwright.cli.solve import describe_cost
from genwright.core import Cost, Ledger, MissingFile
from genwright.core.claim import ClaimState

Results = Annotated[Path, typer.Option(help="The file of recorded results, as JSON lines.")]
RESULTS = Path("docs/claims.jsonl")
STYLES = {ClaimState.HOLDS: "green", ClaimState.FAILS: "bold red", ClaimState.NOT_RUN: "yellow"}


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    claims = typer.Typer(help="List and run the claims, and write the table of their results.")
    app.add_typer(claims, name="claims")

    @claims.callback(invoke_without_command=True)
    def list_claims(
        context: typer.Context,
        ledger: LedgerPath = DEFAULT_LEDGER,
        results: Results = RESULTS,
        as_json: Json = False,
    ) -> None:
        """List every system with the state of its claim."""
        if context.invoked_subcommand is not None:
            return
        known = []
        if ledger.is_file():
            with Ledger(ledger, create=False) as book:
                known = recorded(ledger=book)
        found = standing(known + recorded(results))
        if as_json:
            emit_json(
                {
                    "systems": [
                        asdict(s.system)
                        | {"state": s.state.value, "why": s.why, "results": s.results}
                        for s in found
                    ]
                }
            )
            return
        rows = [
            [s.system.room, s.system.slug, _styled(s.state, s.told), _one_line(s.system.title)]
            for s in found
        ]
        console.print(table("", ["room", "system", "state", "paper"], rows))
        counts = (f"{sum(s.state is state for s in found)} {state.value}" for state in ClaimState)
        console.print(f"{len(found)} systems: {', '.join(counts)}")
        lacking = [s.why for s in found if s.why]
        if lacking:
            console.print(f"{len(lacking)} lack data. The first {lacking[0]}")

    @claims.command("run")
    def run(
        slug: Annotated[str, typer.Argument(help=f"A system: {', '.join(built())}.")],
        scale: Annotated[
            Literal["smoke", "full"],
            typer.Option(help="smoke: about 20 s on two idle cores; full: 10 minutes at most."),
        ] = "smoke",
        seed: Annotated[int, typer.Option(help="Every random choice derives from it.")] = 0,
        record: Annotated[
            bool, typer.Option("--record", help="Also add the result to the file of results.")
        ] = False,
        results: Results = RESULTS,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Run one claim and record what came of it; a claim that fails is an answer too."""
        claim = find_claim(slug)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with Ledger(ledger) as book:
            found = run_claim(claim, scale, seed, book)
        if record:
            append(found, results)
        if as_json:
            emit_json(asdict(found))
        else:
            _show(found)

    @claims.command("table")
    def write_table(
        which: Annotated[
            Literal["claims", "onestep"],
            typer.Argument(help="claims: every claim's result; onestep: the one-step methods."),
        ] = "claims",
        results: Results = RESULTS,
        out: Annotated[
            Path | None, typer.Option(help="The page to write; docs/WHICH.md by default.")
        ] = None,
        fill: Annotated[
            bool,
            typer.Option(
                "--fill",
                help="First train the rows of onestep that the ledger lacks: about two hours for "
                "all of them on one core; what a killed command finished is kept.",
            ),
        ] = False,
        seed: Annotated[int, typer.Option(help="Of the rows that --fill trains.")] = 0,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Write the table of recorded results, or that of the one-step methods in a ledger."""
        out = out or Path(f"docs/{which}.md")
        if which == "onestep":
            if fill:
                _fill(ledger, seed)
            _write_onestep(ledger, out, as_json)
            return
        if not results.is_file():
            raise MissingFile(
                f"claims: no results at {results}; record one: genwright claims run SLUG --record"
            )
        found = recorded(results)
        out.write_text(claims_table(found), encoding="utf-8")
        if as_json:
            emit_json({"path": str(out), "results": len(found)})
        else:
            console.print(f"wrote {out} from {len(found)} recorded results", markup=False)


def _fill(ledger: Path, seed: int) -> None:
    from genwright.claims.roster import fill

    ledger.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(ledger) as book, stages() as shown:
        fill(book, seed=seed, watch=shown.begin)


def _write_onestep(ledger: Path, out: Path, as_json: bool) -> None:
    from genwright.claims.contest import rows
    from genwright.claims.onestep import write_page

    with Ledger(ledger, create=False) as book:
        written = write_page(rows(book), out)
    if as_json:
        emit_json({"path": str(out), "rows": written})
    else:
        console.print(f"wrote {out}: {written} rows", markup=False)


def _show(found: Recorded) -> None:
    console.print(found.statement, markup=False)
    console.print(found.reference, style="dim", markup=False)
    needed = {name: "" for name in found.metrics}
    for bound in found.bounds:
        name, rest = bound.split(maxsplit=1)
        needed[name] += f" {rest} (broken)" if bound in found.broken else f" {rest}"
    rows = [[name, f"{value:g}", needed[name].strip()] for name, value in found.metrics.items()]
    console.print(table("", ["metric", "measured", "must be"], rows))
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    cost = describe_cost(Cost(**found.cost))
    console.print(f"{found.seconds:g} s; {cost}", markup=False)
    console.print(_styled(found.state, found.state.value))


def _one_line(title: str) -> Text:
    return Text(title, no_wrap=True, overflow="ellipsis")


def _styled(state: ClaimState, text: str) -> Text:
    return Text(text, STYLES.get(state, ""))
