"""The plots of a report, as plotly figures whose colours are names of the page's style sheet.

`report.js` puts the colours of the reader's scheme (light or dark) in their place. Bins are counted
here, so that a plot of a million draws is as small as one of ten. plotly reads markup in labels,
so labels from the ledger are escaped.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwright.core import require
from genwright.core.statistics import Interval
from genwright.serving.report.curve import Curve
from genwright.serving.report.markup import Html, data, h, visible

STATUSES = ("passed", "failed", "undecided", "unchecked")
SERIES = tuple(f"var(--series-{i})" for i in range(6))
MOST_BINS = 36


@dataclass(frozen=True)
class Figure:
    """A plot: the name of its element, what it shows in a sentence, and plotly's JSON."""

    name: str
    told: str
    json: str


def figure(made: Figure, note: Any = None) -> Html:
    """Return a plot's place in the page, and its data."""
    return h(
        "figure",
        h("div", class_="plot", data_plot=made.name, role="img", aria_label=made.told),
        data(made.name, made.json),
        h("figcaption", made.told, " " if note else None, note),
    )


def library() -> str:
    """Return the source of plotly.js."""
    offline: Any = require("plotly.offline", extra="report", needed_by="the report")
    return offline.get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")


def coverage_plot(name: str, curve: Curve) -> Figure:
    """Plot coverage over the number of draws, its 95% band, and the fitted power law."""
    points = curve.points
    ks = list(points.ks)
    band = {
        "x": [*ks, *reversed(ks)],
        "y": [*points.high, *reversed(points.low)],
        "fill": "toself",
        "fillcolor": "var(--band)",
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "name": "95% interval",
    }
    measured = {
        "x": ks,
        "y": points.values,
        "mode": "lines+markers",
        "name": "solved in order" if curve.in_order else "pass@k",
        "line": {"color": SERIES[0], "width": 2.5},
        "marker": {"size": 7},
        "customdata": list(points.tasks),
        "hovertemplate": "%{x} draws: %{y:.1%} of %{customdata} tasks<extra></extra>",
    }
    traces = [band, measured]
    ticks = [k for k in ks if k & (k - 1) == 0]
    if curve.law is not None:
        wide = [float(k) for k in np.geomspace(ks[0], 4 * ks[-1], 60)]
        ticks += [k for k in (2 * ticks[-1], 4 * ticks[-1]) if k <= 4 * ks[-1]]
        traces.append(
            {
                "x": wide,
                "y": [curve.law.predict(k) for k in wide],
                "mode": "lines",
                "name": "power law",
                "line": {"color": SERIES[1], "dash": "dash", "width": 2},
                "hovertemplate": "law at %{x:.0f} draws: %{y:.1%}<extra></extra>",
            }
        )
    layout = {
        "xaxis": {
            "title": "draws per task (k)",
            "type": "log",
            "tickvals": ticks,
            "ticktext": ticks,
        },
        "yaxis": {"title": "share of tasks solved", "tickformat": ".0%", "rangemode": "tozero"},
    }
    ends = f"from {points.values[0]:.0%} at {ks[0]} to {points.values[-1]:.0%} at {ks[-1]} draws"
    return plot(name, f"Coverage grows {ends} a task.", traces, layout, "Scatter")


def histogram(name: str, title: str, unit: str, values: Mapping[str, Sequence[float]]) -> Figure:
    """Plot how many draws fall into each bin, stacked by what the verifier said.

    Args:
        name: of the element.
        title: names the quantity.
        unit: stands on the axis.
        values: one list a status.
    """
    every = np.concatenate([np.asarray(v, dtype=np.float64) for v in values.values()])
    edges = _edges(every)
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    traces = [
        {
            "x": middles.tolist(),
            "y": np.histogram(values[status], edges)[0].tolist(),
            "width": widths.tolist(),
            "name": status,
            "marker": {"color": f"var(--{status})"},
            "hovertemplate": f"about %{{x:.4g}} {unit}: %{{y}} {status}<extra></extra>",
        }
        for status in STATUSES
        if len(values.get(status, ()))
    ]
    layout = {"barmode": "stack", "xaxis": {"title": unit}, "yaxis": {"title": "draws"}}
    low, middle, high = np.quantile(every, [0, 0.5, 1])
    told = f"{title}: median {middle:.4g}, from {low:.4g} to {high:.4g} {unit}."
    return plot(name, told, traces, layout, "Bar")


def _edges(values: Any) -> Any:
    """Return the bins: numpy's rule, at most `MOST_BINS`, whole numbers kept whole."""
    low, high = float(values.min()), float(values.max())
    if (values == np.round(values)).all():
        step = max(1, int(np.ceil((high - low + 1) / MOST_BINS)))
        return np.arange(low - 0.5, high + step + 0.5, step)
    bins = min(MOST_BINS, len(np.histogram_bin_edges(values, "auto")) - 1)
    return np.histogram_bin_edges(values, bins)


def loss_plot(
    name: str, curves: Mapping[str, Sequence[tuple[int, float]]], *, across: str = "step"
) -> Figure:
    """Plot recorded numbers over training steps, or over what else they were recorded at."""
    traces = [
        {
            "x": [step for step, _ in points],
            "y": [value for _, value in points],
            "mode": "lines" if len(points) > 30 else "lines+markers",
            "name": label(series),
            "line": {"color": SERIES[i % len(SERIES)], "width": 2},
            "hovertemplate": f"{label(series)}, {across} %{{x}}: %{{y:.4g}}<extra></extra>",
        }
        for i, (series, points) in enumerate(curves.items())
    ]
    layout = {"xaxis": {"title": across}, "yaxis": {"title": "value"}}
    ends = [f"{s} from {p[0][1]:.4g} to {p[-1][1]:.4g}" for s, p in curves.items()]
    return plot(name, f"{'; '.join(ends)}.", traces, layout, "Scatter")


def rates_plot(
    name: str, rows: Sequence[str], groups: Mapping[str, list[Interval | None]]
) -> Figure:
    """Plot the share passed of several runs (rows) in several groups, with 95% intervals."""
    traces: list[dict[str, Any]] = []
    for i, (group, found) in enumerate(groups.items()):
        shift = 0.16 * (i - (len(groups) - 1) / 2)
        shown = [(row, f) for row, f in enumerate(found) if f is not None]
        traces.append(
            {
                "x": [f.estimate for _, f in shown],
                "y": [row + shift for row, _ in shown],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [f.high - f.estimate for _, f in shown],
                    "arrayminus": [f.estimate - f.low for _, f in shown],
                    "thickness": 2,
                    "width": 4,
                },
                "mode": "markers",
                "marker": {"size": 10, "color": SERIES[i % len(SERIES)]},
                "name": label(group),
                "customdata": [[label(rows[row]), f.low, f.high] for row, f in shown],
                "hovertemplate": "%{customdata[0]}: %{x:.0%}"
                " [%{customdata[1]:.0%}, %{customdata[2]:.0%}]"
                f"<extra>{label(group)}</extra>",
            }
        )
    layout = {
        "height": 130 + 46 * len(rows),
        "xaxis": {"title": "share of tasks passed", "tickformat": ".0%", "range": [-0.02, 1.02]},
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": [label(row) for row in rows],
            "range": [len(rows) - 0.5, -0.5],
            "zeroline": False,
        },
    }
    return plot(
        name, "The share passed of each run, with 95% intervals.", traces, layout, "Scatter"
    )


def label(name: str) -> str:
    """Return a name as plotly shows it unchanged, cut where it would push the plot aside."""
    name = visible(name)
    return html.escape(name if len(name) <= 40 else f"{name[:39]}…")


def plot(name: str, told: str, traces: Any, layout: Any, kind: str) -> Figure:
    """Return a plot.

    Args:
        name: of its element.
        told: what it shows, in a sentence.
        traces: plotly's, one a series.
        layout: plotly's.
        kind: plotly's kind of trace, such as `"Scatter"`.
    """
    graphs: Any = require("plotly.graph_objects", extra="report", needed_by="the report")
    made = graphs.Figure([getattr(graphs, kind)(**trace) for trace in traces])
    made.update_layout(template="none", height=320)
    made.update_layout(**layout)
    return Figure(name, told, made.to_json())
