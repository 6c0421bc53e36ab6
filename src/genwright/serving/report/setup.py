"""How a run was set up, on what, and how to repeat it."""

from collections.abc import Mapping
from typing import Any

from genwright.serving.report.facts import RunFacts
from genwright.serving.report.markup import Html, h, join, table

PARTS = ("generator", "steering", "strategy", "verifier", "verifiers", "improve")
BUDGETS = {"budget": "each task", "run_budget": "the run"}
LONG = 80


def setup(facts: RunFacts, command: tuple[str, str]) -> Html:
    """Return the section; `command` is what repeats the run and what that supposes."""
    spec = facts.run.spec
    parts: list[Html] = []
    for name in PARTS:
        if spec.get(name):
            parts.append(h("dt", name.replace("_", " ")))
            parts.append(h("dd", method(spec[name])))
    limits = {shown: spec.get(key) for key, shown in BUDGETS.items()}
    told = [f"{shown}: {_limits(found)}" for shown, found in limits.items() if _limits(found)]
    parts += [h("dt", "budget"), h("dd", "; ".join(told) or "no limit")]
    line, supposes = command
    return h(
        "section",
        h("h3", "How it was made"),
        h("dl", *parts, class_="setup"),
        h("p", "To make it again:"),
        h("pre", line, class_="command", tabindex="0"),
        h("p", supposes, class_="quiet"),
        h("details", h("summary", "Environment"), _environment(facts.run.environment)),
    )


def summary(spec: Mapping[str, Any]) -> list[Any]:
    """Return one line about a run: generator, model, strategy and verifiers by name."""
    parts: list[Any] = []
    for name in ("generator", "strategy", "verifiers"):
        found = spec.get(name)
        for one in found if isinstance(found, list) else [found]:
            told = one.get("method", "") if isinstance(one, Mapping) else one
            model = one.get("model") if isinstance(one, Mapping) else None
            if told:
                shown = h("strong", str(told).rpartition(":")[2])
                parts += [" · " if parts else None, shown, f" {model}" if model else None]
    return parts


def method(spec: Any) -> Html:
    """Return a method as people read it: its name, short settings in a row, long ones folded."""
    if isinstance(spec, list):
        return join(h("div", method(item)) for item in spec)
    if not isinstance(spec, Mapping):
        return h("span", str(spec).rpartition(":")[2] or str(spec), title=str(spec))
    name = str(spec.get("method", "")).rpartition(":")[2]
    short: list[Html] = []
    long: list[Html] = []
    for key, value in spec.items():
        if key == "method" or value is None or value in ("", [], {}):
            continue
        if isinstance(value, Mapping | list) and _has_methods(value):
            long.append(h("div", h("span", key, class_="key"), " ", method(value), class_="nested"))
        elif len(str(value)) > LONG or "\n" in str(value):
            long.append(h("details", h("summary", key), h("pre", str(value), tabindex="0")))
        else:
            short.append(
                h("span", h("span", key, class_="key"), " ", _plain(value), class_="setting")
            )
    return join([h("strong", name) if name else None, " ", *short, *long])


def _has_methods(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, Mapping) for item in items)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _limits(found: Any) -> str:
    pairs = found.items() if isinstance(found, Mapping) else ()
    return ", ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in pairs if isinstance(v, int | float))


def _environment(found: Mapping[str, Any]) -> Html:
    packages = found.get("packages")
    pairs = {k: v for k, v in found.items() if k != "packages"}
    if isinstance(packages, Mapping):
        pairs |= packages
    return table(
        "What it ran on.", ["what", "version"], [[k, v] for k, v in pairs.items()], texts=2
    )
