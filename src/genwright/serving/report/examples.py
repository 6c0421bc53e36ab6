"""Draws to look at: some that passed and some that failed, with the verifier's evidence.

They are taken one a task and from every group in turn, chosen draws first, in the order of the
run: what is shown does not depend on who looks.
"""

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genwright.core import codec
from genwright.serving.pictures import data_url, grid, is_pictures
from genwright.serving.report.facts import DrawFact, RunFacts
from genwright.serving.report.markup import Html, h, join

MOST = 4
"""Examples of each verdict."""

LONGEST = 4000
"""Characters of a draw, prompt or piece of evidence that are shown."""

MARKS = {"passed": "✓", "failed": "✗", "undecided": "?", "unchecked": "–"}

_ONE = """
SELECT d.value, d.kind, d.idx, d.logprob, c.prompt AS asked, v.score, v.evidence
FROM draws d
LEFT JOIN calls c ON c.run = d.run AND c.task = d.task AND c.call = d.call
LEFT JOIN verdicts v ON v.id = (
    SELECT max(id) FROM verdicts w
    WHERE w.run = d.run AND w.task = d.task AND w.digest = d.digest)
WHERE d.id = ?"""


def examples(facts: RunFacts) -> Html:
    """Return the examples of a run, a list for each verdict that occurs."""
    blocks: list[Html] = []
    checked = any(draw.status != "unchecked" for draw in facts.draws)
    for status in MARKS:
        if status == "unchecked" and checked:
            continue
        picked = pick(facts, status)
        if picked:
            total = sum(draw.status == status for draw in facts.draws)
            blocks.append(
                h("h4", f"{status.capitalize()}: {len(picked)} of {total:,} draws", class_="count")
            )
            blocks += [_card(facts, draw) for draw in picked]
    return join(blocks)


def pick(facts: RunFacts, status: str) -> list[DrawFact]:
    """Return up to `MOST` draws of one verdict: one a task, groups in turn, chosen ones first."""
    chosen = {task.chosen for task in facts.tasks.values()}
    first: dict[str, DrawFact] = {}
    for draw in sorted(facts.draws, key=lambda draw: draw.id not in chosen):
        if draw.status == status:
            first.setdefault(draw.task, draw)
    queues: dict[str, list[DrawFact]] = {}
    for key, task in facts.tasks.items():
        if key in first:
            queues.setdefault(task.group, []).append(first[key])
    found: list[DrawFact] = []
    while queues and len(found) < MOST:
        for group in list(queues)[: MOST - len(found)]:
            found.append(queues[group].pop(0))
            if not queues[group]:
                del queues[group]
    return found


def _card(facts: RunFacts, draw: DrawFact) -> Html:
    (row,) = facts.run.ledger.read(_ONE, (draw.id,))
    task = facts.tasks[draw.task]
    facts_told = [
        f"draw {row['idx']}",
        f"{draw.new_tokens:,} tokens" if draw.new_tokens else None,
        f"score {row['score']:g}" if row["score"] is not None else None,
        f"logprob {row['logprob']:.1f} nats" if row["logprob"] is not None else None,
        task.group if task.group != "all" else None,
        "chosen" if task.chosen == draw.id else None,
    ]
    evidence = None if row["evidence"] is None else codec.loads(row["evidence"])
    asked = codec.loads(row["asked"]) if row["asked"] is not None else task.prompt
    return h(
        "article",
        h(
            "header",
            h("strong", f"{MARKS[draw.status]} {draw.status}", class_=f"mark {draw.status}"),
            h("span", " · ".join(told for told in facts_told if told), class_="quiet"),
        ),
        h("h5", "Prompt"),
        _block(readable(asked), "prompt"),
        h("h5", "Draw"),
        picture(row["kind"], row["value"]),
        _block(show(row["kind"], row["value"]), "draw"),
        *([] if evidence in (None, {}, [], "") else [h("h5", "Evidence"), _evidence(evidence)]),
        class_=f"example {draw.status}",
    )


def picture(kind: str, data: str | bytes) -> Html | None:
    """Return a recorded picture [1 or 3, height, width] as an image; None for any other value."""
    if kind in ("text", "json"):
        return None
    name, array = _array(kind, data)
    known = array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating)
    if array.size == 0 or not is_pictures(array[None]) or not known or name == "bfloat16":
        return None
    told = show(kind, data)
    return h("img", src=data_url(grid(array[None], scale=8)), alt=told, class_="picture")


def show(kind: str, data: str | bytes) -> str:
    """Return a recorded value as text; arrays and tensors by shape, dtype and range."""
    if kind in ("text", "json"):
        return readable(codec.decode(kind, data))
    name, array = _array(kind, data)
    shape = " × ".join(map(str, array.shape)) or "scalar"
    told = f"{'tensor' if kind == 'torch' else 'array'} of {shape}, {name or array.dtype}"
    if array.size and np.issubdtype(array.dtype, np.number) and name != "bfloat16":
        told += f", values {array.min():.4g} to {array.max():.4g}"
    return told


def _array(kind: str, data: str | bytes) -> tuple[str, Any]:
    """Return a recorded tensor's dtype by name ("" for an array's), and the array."""
    name, raw = "", bytes(data)  # pyright: ignore[reportArgumentType]  # bytes for these kinds
    if kind == "torch":  # the dtype's name and a zero byte come first; torch itself is not needed
        head, _, raw = raw.partition(b"\0")
        name = head.decode()
    return name, np.load(io.BytesIO(raw), allow_pickle=False)


def readable(value: Any) -> str:
    """Return a JSON-like value as text: a text as it is, chat messages by role, else JSON."""
    if isinstance(value, str):
        return value
    messages = value if isinstance(value, list) else []
    if messages and all(
        isinstance(m, Mapping) and {"role", "content"} <= m.keys() for m in messages
    ):
        return "\n\n".join(f"{m['role']}: {m['content']}" for m in messages)
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _evidence(evidence: Any) -> Html:
    if not isinstance(evidence, Mapping):
        return _block(readable(evidence), "evidence")
    pairs: Iterable[tuple[Any, Any]] = evidence.items()
    return h(
        "dl",
        *(
            join([h("dt", key), h("dd", _block(_compact(value), "evidence"))])
            for key, value in pairs
        ),
        class_="evidence",
    )


def _compact(value: Any) -> str:
    """Return a value as text, a table of rows one row a line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and any(isinstance(item, list | Mapping) for item in value):
        return "\n".join(json.dumps(i, ensure_ascii=False, default=str) for i in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _block(text: str, kind: str) -> Html:
    cut = len(text) - LONGEST
    more = h("span", f"… {cut:,} more characters", class_="quiet") if cut > 0 else None
    return h(
        "pre",
        text[:LONGEST] or h("span", "(empty)", class_="quiet"),
        more,
        class_=kind,
        tabindex="0",
    )
