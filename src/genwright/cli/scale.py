"""`genwright scale`: what further draws would bring."""

from math import ceil
from typing import Annotated, Any

import typer

from genwright.cli.output import DEFAULT_LEDGER, Json, LedgerPath, console, emit_json, table
from genwright.core import InvalidArgument, UserError
from genwright.core.ledger import Ledger
from genwright.serving.report import read_run
from genwright.serving.report.curve import Curve, curve
from genwright.serving.report.facts import RunFacts
from genwright.serving.report.wording import percent


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("scale")
    def scale(
        run_id: Annotated[
            str, typer.Argument(metavar="RUN", help="The run's id, or the beginning of it.")
        ],
        target: Annotated[
            list[float] | None, typer.Option(help="A coverage to reach; may be given again.")
        ] = None,
        ledger: LedgerPath = DEFAULT_LEDGER,
        as_json: Json = False,
    ) -> None:
        """Show a run's coverage over draws, and the budget that a target coverage takes."""
        wanted = target or [0.5, 0.9]
        for share in wanted:
            if not 0 < share < 1:
                raise InvalidArgument(f"scale: a target must be in (0, 1), got {share:g}.")
        with Ledger(ledger, create=False) as book:
            facts = read_run(book.run(run_id))
        found = curve(facts)
        if isinstance(found, str):
            raise UserError(f"scale: run {facts.run.id}: {found}")
        measured = found.points
        rows = [
            {"k": k, "coverage": value, "interval95": [low, high], "tasks": tasks}
            for k, value, low, high, tasks in zip(
                measured.ks,
                measured.values,
                measured.low,
                measured.high,
                measured.tasks,
                strict=True,
            )
        ]
        budgets = [_budget(found, facts, share) for share in wanted]
        law = found.law
        if as_json:
            told = None if law is None else {"a": law.a, "b": law.b, "r2": law.r2}
            emit_json(
                {
                    "run": facts.run.id,
                    "coverage": rows,
                    "undecided": measured.undecided,
                    "law": told,
                    "law_note": found.law_note,
                    "budgets": budgets,
                }
            )
            return
        cells = [
            [
                row["k"],
                percent(row["coverage"]),
                f"{percent(row['interval95'][0])} to {percent(row['interval95'][1])}",
                row["tasks"],
            ]
            for row in rows
        ]
        console.print(table("", ["draws", "coverage", "95%", "tasks"], cells))
        if law is None:
            console.print(found.law_note, markup=False)
        else:
            formula = f"exp({law.a:.3f} k^-{law.b:.3f})"
            console.print(f"coverage is about {formula}, R2 {law.r2:.3f}", markup=False)
        heads = ["target", "draws a task", "how it is known", "new tokens a task", "seconds a task"]
        told = [
            [percent(b["target"]), *("" if b[name] is None else _shown(b[name]) for name in
             ("draws", "known", "new_tokens", "seconds"))]
            for b in budgets
        ]  # fmt: skip
        console.print(table("", heads, told))


def _budget(found: Curve, facts: RunFacts, target: float) -> dict[str, Any]:
    """Return the draws a task that reach a coverage, and what they cost at the run's prices."""
    measured = found.points
    pairs = zip(measured.ks, measured.values, strict=True)
    draws = next((k for k, value in pairs if value >= target), None)
    known = "measured"
    if draws is None:
        known = "predicted" if found.law is not None else "not known"
        draws = None if found.law is None else ceil(found.law.budget_for(target))
    made = len(facts.draws)
    return {
        "target": target,
        "draws": draws,
        "known": known,
        "new_tokens": None if draws is None else draws * facts.drawing.new_tokens / made,
        "seconds": None if draws is None else draws * facts.cost.seconds / made,
    }


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,.4g}"
