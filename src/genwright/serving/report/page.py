"""The page around the runs: head, policy, styles, plotly.js once, and the scripts' hashes."""

import base64
import shlex
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from genwright import __version__
from genwright.serving.report.comparison import comparison, short_names
from genwright.serving.report.facts import RunFacts
from genwright.serving.report.figures import library
from genwright.serving.report.markup import Html, h, join
from genwright.serving.report.sections import run_section, state_badge


def page(runs: Sequence[RunFacts]) -> str:
    """Return the page of one run, or of several with their comparison first."""
    alone = len(runs) == 1
    title = (runs[0].run.name or f"run {runs[0].run.id}") if alone else _title(runs)
    body = [run_section(facts, alone=alone) for facts in runs]
    if not alone:
        body = [_contents(runs), comparison(runs), *body]
    ledger = Path(runs[0].run.ledger.path).name  # a report is handed on; folders stay here
    command = shlex.join(["genwright", "report", *(f.run.id for f in runs), "--ledger", ledger])
    return document(title, body, command, state_badge(runs[0]) if alone else None)


def document(title: str, body: Sequence[Html], command: str, badge: Html | None = None) -> str:
    """Return a page around its sections.

    Args:
        title: of the page.
        body: what `main` holds.
        command: what to type to make it again.
        badge: stands beside the title.
    """
    scripts = [library(), _asset("report.js")]
    no_scripts = "The plots need JavaScript; the tables hold the same runs."
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("meta", name="generator", content=f"genwright {__version__}"),
        h("title", f"{title} · genwright report"),
        h("style", Html(_asset("report.css"))),
    )
    content = h(
        "body",
        h("header", h("div", h("p", "genwright report", class_="brand"), h("h1", title, badge))),
        h("main", h("noscript", h("p", no_scripts, class_="note")), *body),
        h("footer", h("p", "Made by ", h("code", command), f", genwright {__version__}.")),
        *(h("script", Html(script)) for script in scripts),
    )
    return f"<!DOCTYPE html>\n{h('html', head, content, lang='en')}\n"


def _title(runs: Sequence[RunFacts]) -> str:
    tasks = {facts.run.name.partition(": ")[0] for facts in runs}
    return (
        f"{tasks.pop()}: {len(runs)} runs"
        if len(tasks) == 1 and "" not in tasks
        else f"{len(runs)} runs"
    )


def _contents(runs: Sequence[RunFacts]) -> Html:
    links = [h("li", h("a", "Side by side", href="#side-by-side"))]
    for name, facts in zip(short_names(runs), runs, strict=True):
        links.append(h("li", h("a", name, href=f"#run-{facts.run.id}")))
    return h("nav", h("ul", *links), aria_label="Runs")


def _policy(scripts: Sequence[str]) -> str:
    """Allow the page's own scripts and styles, and nothing from anywhere."""
    digests = (base64.b64encode(sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return join(
        [Html(files("genwright.serving.report").joinpath(name).read_text(encoding="utf-8"))]
    )
