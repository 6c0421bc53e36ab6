"""The parts of one run's report, from its head to its examples."""

import re
import shlex
import time
from collections.abc import Mapping

from genwright.core import Cost, RunState
from genwright.serving.footprint import NO_OVERHEAD, emissions
from genwright.serving.grid import grid_mix
from genwright.serving.report.curve import Curve, curve
from genwright.serving.report.examples import examples
from genwright.serving.report.facts import RunFacts, TaskFact, rate
from genwright.serving.report.figures import (
    STATUSES,
    coverage_plot,
    figure,
    histogram,
)
from genwright.serving.report.markup import Html, h, join, table
from genwright.serving.report.setup import setup, summary
from genwright.serving.report.training import training
from genwright.serving.report.wording import duration, interval, percent

JOULES = {
    "": "not recorded",
    "measured": "measured",
    "estimated": "estimated, not measured",
    "mixed": "partly measured, partly estimated",
}


def run_section(facts: RunFacts, *, alone: bool) -> Html:
    """Return everything about one run; as the whole page, or as one section of several."""
    run = facts.run
    name = run.name or "a run without a name"
    head = None if alone else h("h2", name, state_badge(facts))
    parts = [
        h("p", _when(facts), class_="quiet"),
        h("p", *summary(run.spec), class_="quiet"),
        *(h("p", note, class_="note", role="note") for note in facts.notes),
        _tiles(facts),
        _scores(facts),
        _coverage(facts),
        _spread(facts),
        _costs(facts),
        training(facts),
        _examples(facts),
        setup(facts, reproduce(facts)),
    ]
    return h("section", head, *parts, id=f"run-{run.id}", class_="run")


def state_badge(facts: RunFacts) -> Html:
    """Return the run's state as a badge."""
    return h("span", facts.state.value, class_=f"badge {facts.state.value}")


def reproduce(facts: RunFacts) -> tuple[str, str]:
    """Return (a command, what it supposes) that makes a run like this one again."""
    run = facts.run
    task, _, stage = run.name.partition(": ")
    if not re.fullmatch(r"[\w.-]+", task):
        return (
            f"genwright.core.solve(tasks, generator, strategy, seed={run.seed})",
            "The run was started from Python, by this call with its own tasks.",
        )
    supposes = f"It needs the task file as it was: tasks/{task}.toml."
    if stage == "ask":
        question = next(iter(facts.tasks.values()), None)
        words = ["genwright", "ask", task, str(question.prompt) if question else "QUESTION"]
        return shlex.join([*words, "--seed", str(run.seed)]), supposes
    if stage.startswith("compare"):
        pool = run.ledger.run(run.id.partition(".")[0])
        command = pool.spec.get("command", "genwright.search.compare.compare(...)")
        return command, f"The run is one strategy of a comparison. {supposes}"
    if stage:
        return f"genwright improve {task}", f"The run is a stage of this job. {supposes}"
    generator = run.spec.get("generator")
    model = generator.get("model") if isinstance(generator, Mapping) else None
    words = ["genwright", "solve", task, "--seed", str(run.seed), "--limit", str(facts.planned)]
    words += ["--model", model] if isinstance(model, str) else []
    return shlex.join(words), supposes


def _when(facts: RunFacts) -> str:
    run = facts.run
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.created))
    parts = [f"run {run.id}", f"seed {run.seed}", f"began {began}"]
    if facts.ended is not None:
        end = {RunState.FAILED: "failed", RunState.INTERRUPTED: "stopped"}.get(facts.state, "took")
        spent = duration(max(0.0, facts.ended - run.created))
        parts.append(f"{end} {spent}" if end == "took" else f"{end} after {spent}")
    return " · ".join(parts)


def _emissions(cost: Cost) -> tuple[str, str, str]:
    """Return the tile of what the electricity stands for, at the world's average mix."""
    found = emissions(cost, grid_mix("WORLD"), NO_OVERHEAD)
    low, high = found.bounds
    span = f"{low:.2g} to {high:.2g} g at the world's grid; genwright footprint for yours"
    return "emissions", f"{found.value:.2g} g CO2e", span


def _tiles(facts: RunFacts) -> Html | None:
    """Return the few numbers to see first."""
    found, cost = rate(list(facts.tasks.values())), facts.cost
    tiles: list[tuple[str, str, str]] = []
    if found is not None:
        tiles.append(("passed", percent(found.estimate), f"95%: {interval(found)} of {found.n}"))
    if facts.draws:
        tiles.append(("draws", f"{cost.draws:,}", f"for {len(facts.tasks):,} tasks"))
        tiles.append(("new tokens", f"{cost.new_tokens:,}", f"{cost.prompt_tokens:,} read"))
        each = f"{duration(cost.seconds / len(facts.draws))} a draw"
        tiles.append(("working time", duration(cost.seconds), each))
        joules = f"{cost.joules:,.0f} J" if cost.joules_by else "–"
        tiles.append(("energy", joules, JOULES[cost.joules_by]))
        if cost.joules_by:
            tiles.append(_emissions(cost))
    if cost.money:
        tiles.append(("money", f"{cost.money:,.4f}", "at the price given"))
    if not tiles:
        return None
    shown = [
        h("div", h("dt", name), h("dd", h("b", value), h("small", told)))
        for name, value, told in tiles
    ]
    return h("dl", *shown, class_="tiles")


def _scores(facts: RunFacts) -> Html | None:
    """Return the table of scores and costs by group."""
    if not facts.tasks:
        return None
    groups = facts.groups
    sets = list(groups.items())
    if len(sets) > 1:
        sets.append(("all", list(facts.tasks.values())))
    heads = ["group", "tasks", "passed", "rate", "95% interval", "undecided", "no outcome", "draws"]
    heads += ["new tokens", "seconds", "joules", "tokens per pass"]
    metrics = list(dict.fromkeys(name for t in facts.tasks.values() for name in t.metrics))
    heads += metrics
    rows = [
        _score_row(name, tasks) + [_mean(tasks, metric) for metric in metrics]
        for name, tasks in sets
    ]
    shown = [
        i
        for i in range(len(heads))
        if heads[i] in ("group", "tasks", "draws") or any(r[i] for r in rows)
    ]
    return h(
        "section",
        h("h3", "Scores and costs"),
        table(
            "By group: tasks whose chosen draw passed, and what was spent on all their draws and "
            "checks. Rates leave undecided tasks out; intervals are Wilson's at 95%."
            + (" Further checks show their mean score of the chosen draws." if metrics else ""),
            [heads[i] for i in shown],
            [[row[i] for i in shown] for row in rows],
        ),
    )


def _score_row(name: str, tasks: list[TaskFact]) -> list[str]:
    found, cost = rate(tasks), sum((t.cost for t in tasks), Cost())
    counts = {
        s: sum(t.status == s for t in tasks) for s in ("undecided", "unchecked", "unfinished")
    }
    passed = sum(t.status == "passed" for t in tasks)
    return [
        name,
        f"{len(tasks):,}",
        "" if found is None else f"{passed:,}",
        "" if found is None else percent(found.estimate),
        interval(found),
        f"{counts['undecided']:,}" if counts["undecided"] else "",
        f"{counts['unfinished']:,}" if counts["unfinished"] else "",
        f"{cost.draws:,}",
        f"{cost.new_tokens:,}" if cost.new_tokens else "",
        f"{cost.seconds:,.1f}" if cost.seconds else "",
        f"{cost.joules:,.0f}" if cost.joules_by else "",
        f"{cost.new_tokens / passed:,.0f}" if passed and cost.new_tokens else "",
    ]


def _mean(tasks: list[TaskFact], metric: str) -> str:
    """Return the mean score under one further check; empty where no task has one."""
    known = [t.metrics[metric] for t in tasks if metric in t.metrics]
    return percent(sum(known) / len(known)) if known else ""


def _coverage(facts: RunFacts) -> Html | None:
    if not any(task.stop for task in facts.tasks.values()) or not facts.checked:
        return None
    found = curve(facts)
    head = h("h3", "Coverage over draws")
    if isinstance(found, str):
        return h("section", head, h("p", found))
    measured = found.points
    notes = [
        "The run stopped at a pass, so this is the share of tasks solved by their first k draws "
        "in order, up to the last k that every unsolved task reached."
        if found.in_order
        else "The mean over tasks of the unbiased pass@k, with Wilson's 95% interval.",
        f"{measured.undecided:,} undecided draws are left out." if measured.undecided else None,
        "Every draw was decided." if not measured.undecided else None,
        _law_told(found),
    ]
    rows = [
        [f"{k:,}", percent(v), f"{percent(low)} – {percent(high)}", f"{n:,}", f"{out:,}"]
        for k, v, low, high, n, out in zip(
            measured.ks,
            measured.values,
            measured.low,
            measured.high,
            measured.tasks,
            measured.left_out,
            strict=True,
        )
    ]
    heads = ["k", "coverage", "95% interval", "tasks", "with fewer than k decided draws"]
    return h(
        "section",
        head,
        h("p", " ".join(note for note in notes if note)),
        figure(coverage_plot(f"coverage-{facts.run.id}", found)),
        h(
            "details",
            h("summary", "Numbers"),
            table("Coverage at each number of draws.", heads, rows),
        ),
    )


def _law_told(found: Curve) -> str:
    law = found.law
    if law is None:
        return found.law_note
    most = found.points.ks[-1]
    wide = 4 * most
    return (
        f"The dashed line is the power law exp(a k^-b) with a = {law.a:.3f}, b = {law.b:.3f} "
        f"(R² {law.r2:.3f}); beyond {most} draws it is a prediction: "
        f"{percent(law.predict(wide))} at {wide}."
    )


def _spread(facts: RunFacts) -> Html | None:
    """Return the histograms of tokens, seconds and masked mass."""
    run = facts.run.id
    plots: list[Html] = []
    for name, title, unit, amounts in (
        ("tokens", "New tokens per draw", "tokens", [float(d.new_tokens) for d in facts.draws]),
        ("seconds", "Seconds per draw", "seconds", [d.seconds for d in facts.draws]),
        ("masked", "Masked mass per draw", "nats", [d.masked for d in facts.draws]),
    ):
        known = [(d.status, a) for d, a in zip(facts.draws, amounts, strict=True) if a is not None]
        if any(amount for _, amount in known):
            values = {s: [a for status, a in known if status == s] for s in STATUSES}
            note = (
                f"What steering took away from {len(known):,} steered draws."
                if name == "masked"
                else None
            )
            plots.append(figure(histogram(f"{name}-{run}", title, unit, values), note))
    if not plots:
        return None
    return h("section", h("h3", "Draw by draw"), h("div", *plots, class_="plots"))


def _costs(facts: RunFacts) -> Html | None:
    """Return what drawing took and what checking took."""
    cost = facts.cost
    if not cost.as_dict():
        return None
    units = {
        "draws": "draws",
        "prompt_tokens": "prompt tokens",
        "new_tokens": "new tokens",
        "network_evaluations": "network evaluations",
        "verifier_calls": "verifier calls",
        "seconds": "seconds",
        "money": "money",
        "joules": "joules",
    }
    shown = [name for name in units if getattr(cost, name)]
    sides = (("drawing", facts.drawing), ("checking", facts.checking), ("together", cost))
    rows = [[side, *(_amount(getattr(c, name)) for name in shown)] for side, c in sides]
    how = f"Joules are {JOULES[cost.joules_by]}." if cost.joules_by else "No energy was recorded."
    caption = f"What drawing and checking took. Draws that ran side by side share their time. {how}"
    heads = ["", *(units[name] for name in shown)]
    return h("section", h("h3", "Where the cost went"), table(caption, heads, rows))


def _amount(value: float) -> str:
    if not value:
        return "0"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.1f}"
        if value >= 10
        else f"{value:.3g}"
    )


def _examples(facts: RunFacts) -> Html | None:
    if not facts.draws:
        return None
    return h("section", h("h3", "Examples"), join([examples(facts)]), class_="examples")
