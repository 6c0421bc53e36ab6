"""Several runs side by side: every run's scores and costs, and paired tests of before and after.

Runs named `...: before, X` and `...: after, X` are paired by X, as `genwright improve` names them.
Without such names every run is compared with the first. Only tasks of equal key and prompt that
both runs decided count in a pair.
"""

from collections.abc import Sequence
from typing import NamedTuple

from genwright.core import Cost, codec
from genwright.core.statistics import Interval, McNemar, mcnemar, paired_bootstrap, wilson
from genwright.serving.report.facts import RunFacts, TaskFact, rate
from genwright.serving.report.figures import figure, rates_plot
from genwright.serving.report.markup import Html, h, join, table
from genwright.serving.report.wording import interval, percent, points

RESAMPLES = 2000
"""Of the paired bootstrap; it moves an end of the interval by a tenth of its width at most."""

_DECIDED = {"passed": True, "failed": False}


class Pair(NamedTuple):
    """Two runs on the tasks that both decided, for one group of tasks."""

    label: str
    group: str
    first: Interval
    second: Interval
    difference: Interval
    test: McNemar


def comparison(runs: Sequence[RunFacts]) -> Html:
    """Return the section that compares runs."""
    names = short_names(runs)
    groups = list(dict.fromkeys(group for facts in runs for group in facts.groups))
    scored = [(name, facts) for name, facts in zip(names, runs, strict=True) if facts.checked]
    rates = {group: [rate(facts.groups.get(group, [])) for _, facts in scored] for group in groups}
    plot = rates_plot("rates", [name for name, _ in scored], rates) if scored else None
    return h(
        "section",
        h("h2", "Side by side"),
        None if plot is None else figure(plot),
        _overview(runs, names, groups),
        _changes(runs, names),
        id="side-by-side",
    )


def short_names(runs: Sequence[RunFacts]) -> list[str]:
    """Return the runs' names less a task that all share; the id where names are equal or empty."""
    names = [facts.run.name for facts in runs]
    tasks = {name.partition(": ")[0] for name in names}
    short = [name.partition(": ")[2] if len(tasks) == 1 else name for name in names]
    return [
        name if name and short.count(name) == 1 else f"{name} ({facts.run.id})".strip()
        for name, facts in zip(short, runs, strict=True)
    ]


def pairs(runs: Sequence[RunFacts]) -> list[tuple[RunFacts, RunFacts]]:
    """Return which runs are compared: before with after, or each with the first."""
    scored = [facts for facts in runs if facts.checked]
    named = {facts.run.name: facts for facts in scored}
    found = [
        (facts, named[name.replace(": before, ", ": after, ")])
        for name, facts in named.items()
        if ": before, " in name and name.replace(": before, ", ": after, ") in named
    ]
    return found or [(scored[0], other) for other in scored[1:]]


def compare(label: str, first: RunFacts, second: RunFacts) -> list[Pair]:
    """Compare two runs in every group that they share, and over all."""
    shared = [
        (task, second.tasks[key])
        for key, task in first.tasks.items()
        if key in second.tasks
        and codec.digest(task.prompt) == codec.digest(second.tasks[key].prompt)
        and task.status in _DECIDED
        and second.tasks[key].status in _DECIDED
    ]
    groups: dict[str, list[tuple[TaskFact, TaskFact]]] = {}
    for one, two in shared:
        groups.setdefault(one.group, []).append((one, two))
    if len(groups) > 1:
        groups["all"] = shared
    found: list[Pair] = []
    for group, both in groups.items():
        a = [_DECIDED[one.status] for one, _ in both]
        b = [_DECIDED[two.status] for _, two in both]
        rates = wilson(sum(a), len(a)), wilson(sum(b), len(b))
        gain = paired_bootstrap(b, a, seed=0, resamples=RESAMPLES)
        found.append(Pair(label, group, *rates, gain, mcnemar(a, b)))
    return found


def _overview(runs: Sequence[RunFacts], names: Sequence[str], groups: Sequence[str]) -> Html:
    heads = ["run", "state", *groups, "draws", "new tokens", "seconds", "joules"]
    rows: list[list[object]] = []
    for name, facts in zip(names, runs, strict=True):
        cells: list[object] = [h("a", name, href=f"#run-{facts.run.id}"), facts.state.value]
        for group in groups:
            found = rate(facts.groups.get(group, []))
            told = "" if found is None else f"{percent(found.estimate)} [{interval(found)}]"
            cells.append(told)
        rows.append(cells + _cost(facts.cost))
    return table("Share passed by group with 95% intervals, and costs.", heads, rows, texts=2)


def _cost(cost: Cost) -> list[object]:
    joules = f"{cost.joules:,.0f} ({cost.joules_by})" if cost.joules_by else ""
    tokens = f"{cost.new_tokens:,}" if cost.new_tokens else ""
    return [f"{cost.draws:,}", tokens, f"{cost.seconds:,.0f}" if cost.seconds else "", joules]


def _changes(runs: Sequence[RunFacts], names: Sequence[str]) -> Html | None:
    short = {facts.run.id: name for facts, name in zip(runs, names, strict=True)}
    compared = pairs(runs)
    if not compared:
        return None
    found = [
        pair
        for a, b in compared
        for pair in compare(f"{short[a.run.id]} → {short[b.run.id]}", a, b)
    ]
    if not found:
        return h("p", "The runs share no task that both decided, so nothing is compared.")
    heads = ["runs", "group", "tasks", "first", "second", "difference", "95% interval"]
    heads += ["only first passed", "only second passed", "p"]
    rows = [
        [
            pair.label,
            pair.group,
            f"{pair.test.n:,}",
            percent(pair.first.estimate),
            percent(pair.second.estimate),
            points(pair.difference.estimate),
            f"{points(pair.difference.low)} to {points(pair.difference.high)}",
            f"{pair.test.first_only:,}",
            f"{pair.test.second_only:,}",
            f"{pair.test.p_value:.2g}" if pair.test.p_value >= 1e-4 else "< 0.0001",
        ]
        for pair in found
    ]
    return join(
        [
            h("h3", "Task by task"),
            table(
                "The same tasks in two runs. Differences are in percentage points with the paired "
                "bootstrap's interval; p is McNemar's, exact and two-sided.",
                heads,
                rows,
                texts=2,
            ),
        ]
    )
