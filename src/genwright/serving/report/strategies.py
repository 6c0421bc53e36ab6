"""Strategies at equal budgets: accuracy against every cost, and paired differences.

The page of `genwright compare`. Every number comes from a `search.compare.Comparison`.
"""

from collections.abc import Sequence
from typing import Any

from genwright.core.statistics import Interval
from genwright.search.compare import Comparison
from genwright.serving.report.figures import SERIES, Figure, figure, label, plot
from genwright.serving.report.markup import Html, h, table
from genwright.serving.report.wording import interval, percent, points

AXES = {
    "draws": "draws per prompt",
    "prompt_tokens": "tokens read per prompt",
    "new_tokens": "new tokens per prompt",
    "network_evaluations": "network evaluations per prompt",
    "verifier_calls": "checks per prompt",
    "seconds": "seconds per prompt",
    "money": "money per prompt",
    "joules": "joules per prompt",
}


def strategies(found: Comparison) -> list[Html]:
    """Return the sections of the page."""
    shown = [name for name in AXES if name in found.amounts]
    return [
        h("section", h("h2", "What was done"), *_told(found)),
        h("section", h("h2", "Accuracy and cost"), *(figure(_curve(found, a)) for a in shown)),
        h("section", h("h2", "Against the first"), *_against(found)),
        h("section", h("h2", "Numbers"), _table(found, shown)),
    ]


def account(found: Comparison) -> str:
    """Say what was paid, and what the strategies are charged."""
    paid, charged = found.paid, found.charged
    now = paid.draws - found.before.draws
    return (
        f"Paid {paid.draws:,} draws and {paid.verifier_calls:,} checks ({now:,} of the draws in "
        f"this call), charged {charged.draws:,} draws and {charged.verifier_calls:,} checks. Draw "
        "k of a prompt is the same for every strategy, so it is made once; each strategy is "
        "charged what it would have cost alone. Grading the choice is paid and not charged."
    )


def _told(found: Comparison) -> list[Html]:
    n = len(found.tasks)
    return [
        h(
            "p",
            f"{len(found.strategies)} strategies on the same {n} prompts, each with the same "
            f"budget of {AXES[found.unit]}. Intervals of accuracy are Wilson's at 95%; differences "
            "are paired by prompt, with the bootstrap's interval and McNemar's exact test.",
        ),
        h("p", account(found), class_="note", role="note"),
    ]


def _curve(found: Comparison, amount: str) -> Figure:
    """Plot accuracy over one cost, a line a strategy."""
    traces: list[dict[str, Any]] = []
    for i, name in enumerate(found.strategies):
        cells = [(cell, acc) for cell in found.of(name) if (acc := cell.accuracy) is not None]
        traces.append(
            {
                "x": [cell.mean(amount) for cell, _ in cells],
                "y": [acc.estimate for _, acc in cells],
                "error_y": _bars([acc for _, acc in cells]),
                "mode": "lines+markers",
                "name": label(name),
                "line": {"color": SERIES[i % len(SERIES)], "width": 2},
                "marker": {"size": 7},
                "customdata": [cell.budget for cell, _ in cells],
                "hovertemplate": f"{label(name)} at a budget of %{{customdata:g}}: %{{y:.1%}} for "
                f"%{{x:.4g}} {amount.replace('_', ' ')}<extra></extra>",
            }
        )
    least = min(cell.mean(amount) for cell in found.cells)  # of nothing there is no logarithm
    layout = {
        "xaxis": {"title": AXES[amount], "type": "log" if least > 0 else "linear"},
        "yaxis": {"title": "share of prompts right", "tickformat": ".0%", "rangemode": "tozero"},
    }
    told = f"Accuracy against {AXES[amount]} (charged), with 95% intervals."
    return plot(f"cost-{amount}", told, traces, layout, "Scatter")


def _against(found: Comparison) -> list[Html]:
    """Plot and list the differences from the first strategy at equal budget."""
    base, *others = found.strategies
    if not others:
        return [h("p", "One strategy alone is compared with nothing.")]
    traces: list[dict[str, Any]] = []
    rows: list[Sequence[object]] = []
    for i, name in enumerate(others, 1):
        pairs = [(c, p) for c in found.of(name) if (p := found.against(c)) is not None]
        traces.append(
            {
                "x": [cell.budget for cell, _ in pairs],
                "y": [gain.estimate for _, (gain, _) in pairs],
                "error_y": _bars([gain for _, (gain, _) in pairs]),
                "mode": "lines+markers",
                "name": label(name),
                "line": {"color": SERIES[i % len(SERIES)], "width": 2},
                "hovertemplate": f"{label(name)}: %{{y:+.1%}}<extra></extra>",
            }
        )
        rows += [
            [
                name,
                f"{cell.budget:g}",
                points(gain.estimate),
                f"{points(gain.low)} to {points(gain.high)}",
                f"{test.first_only:,}",
                f"{test.second_only:,}",
                f"{test.p_value:.2g}" if test.p_value >= 1e-4 else "< 0.0001",
            ]
            for cell, (gain, test) in pairs
        ]
    layout = {
        "xaxis": {"title": f"budget: {AXES[found.unit]}", "type": "log"},
        "yaxis": {"title": f"accuracy less that of {label(base)}", "tickformat": "+.0%"},
    }
    told = f"Differences in accuracy from {base} at equal budget, paired by prompt."
    heads = ["strategy", "budget", "points", "95% interval", "only it", f"only {base}", "p"]
    return [
        figure(plot("differences", told, traces, layout, "Scatter")),
        table(f"The same, in percentage points: prompts that only one of it and {base} got right, "
              "and McNemar's p.", heads, rows),
    ]  # fmt: skip


def _table(found: Comparison, shown: list[str]) -> Html:
    heads = ["strategy", "budget", "right", "95% interval", "undecided"]
    heads += [AXES[a].removesuffix(" per prompt") for a in shown]
    rows: list[list[object]] = []
    for cell in found.cells:
        acc = cell.accuracy
        right = ["", ""] if acc is None else [percent(acc.estimate), interval(acc)]
        undecided = cell.passed.count(None)
        costs = [f"{cell.mean(amount):.4g}" for amount in shown]
        rows.append([cell.strategy, f"{cell.budget:g}", *right, undecided, *costs])
    return table("Accuracy, and what each prompt is charged on average.", heads, rows)


def _bars(found: list[Interval]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [f.high - f.estimate for f in found],
        "arrayminus": [f.estimate - f.low for f in found],
        "thickness": 1.5,
        "width": 3,
    }
