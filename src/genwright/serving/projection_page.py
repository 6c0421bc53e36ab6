"""A projection as one HTML file: years with their uncertainty, and a tornado of the levers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from genwright.core import require
from genwright.serving.projection import Lever, Scenario
from genwright.serving.quantities import Quantity


def write_projection(
    series: Mapping[int, Quantity], levers: Sequence[Lever], scenario: Scenario, path: Path
) -> None:
    """Draw it; the file needs no network.

    Args:
        series: year -> amount, of `project`.
        levers: of `levers`, the widest first.
        scenario: whose sources are listed below the plots.
        path: the file to write.

    Raises:
        MissingExtra: plotly is not installed.
    """
    plots = require("plotly.subplots", extra="report", needed_by="a plot of a projection")
    go = require("plotly.graph_objects", extra="report", needed_by="a plot of a projection")
    years = list(series)
    spans = [series[year].interval95() for year in years]
    unit = series[years[0]].unit
    values = [series[year].value for year in years]
    made = plots.make_subplots(
        rows=1, cols=2, subplot_titles=(f"{unit} a year", f"{unit} in {years[-1]}, by lever")
    )
    band = [high for _, high in spans] + [low for low, _ in reversed(spans)]
    made.add_trace(
        go.Scatter(x=years + years[::-1], y=band, fill="toself", line={"width": 0}, name="95%"),
        1,
        1,
    )
    made.add_trace(go.Scatter(x=years, y=values, name="most likely"), 1, 1)
    shown = list(reversed(levers))
    made.add_trace(
        go.Bar(
            y=[lever.name for lever in shown],
            x=[lever.high - lever.low for lever in shown],
            base=[lever.low for lever in shown],
            orientation="h",
            name="range of one factor",
        ),
        1,
        2,
    )
    sources = "<br>".join(
        f"{name}: {given.value:g} ({given.bounds[0]:g} to {given.bounds[1]:g}), {given.source}"
        for name, given in scenario.factors.items()
    )
    made.update_layout(
        title=f"Scenario {scenario.name}: yearly factors", margin={"b": 200}, height=620
    )
    made.add_annotation(
        text=sources, xref="paper", yref="paper", x=0, y=-0.42, showarrow=False, align="left"
    )
    made.write_html(path, include_plotlyjs="inline")
