"""What learning recorded: curves of losses and other numbers, and the sizes of splits."""

from collections.abc import Mapping
from typing import Any

from genwright.serving.report.facts import RunFacts
from genwright.serving.report.figures import figure, loss_plot
from genwright.serving.report.markup import Html, h, table

BY_EVALUATIONS = "by evaluations/"
"""Names of metrics whose step is network evaluations of a draw begin so."""


def training(facts: RunFacts) -> Html | None:
    """Return curves of what has several steps, the other numbers, and the sizes of splits."""
    series: dict[str, list[tuple[int, float | None]]] = {}
    for name, step, value in facts.metrics:
        series.setdefault(name, []).append((step, value))
    curves = {
        name: [(step, value) for step, value in points if value is not None]
        for name, points in series.items()
    }
    several = {name: points for name, points in curves.items() if len({s for s, _ in points}) > 1}
    kinds: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name, points in several.items():
        kinds.setdefault(name.rpartition("/")[2], {})[name] = points
    plots = [
        figure(
            loss_plot(f"metric-{i}-{facts.run.id}", found, across=_across(found)),
            _broken(series, found),
        )
        for i, found in enumerate(kinds.values())
    ]
    single = [
        [name, "not a number" if value is None else f"{value:.6g}"]
        for name, points in series.items()
        if name not in several
        for _, value in points
    ]
    parts: list[Html] = []
    if facts.items:
        rows = [[split, f"{n:,}"] for split, n in facts.items.items()]
        parts.append(table("Recorded items by split.", ["split", "items"], rows))
    if plots:
        parts.append(h("div", *plots, class_="plots"))
    if single:
        parts.append(table("Recorded numbers.", ["name", "value"], single))
    return h("section", h("h3", "Training"), *parts) if parts else None


def _across(names: Mapping[str, Any]) -> str:
    drawn = all(name.startswith(BY_EVALUATIONS) for name in names)
    return "network evaluations of a draw" if drawn else "step"


def _broken(series: Mapping[str, list[tuple[int, float | None]]], shown: Mapping[str, Any]) -> str:
    lost = sum(value is None for name in shown for _, value in series[name])
    return f"{lost:,} values were not finite numbers and are not drawn." if lost else ""
