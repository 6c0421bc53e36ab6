"""`docs/claims.md`, made from recorded results alone: failing claims first, in plain sight."""

from collections.abc import Sequence
from itertools import groupby

from genwright.claims.harness import Recorded, Standing, standing
from genwright.core.claim import SCALES, ClaimState

_HEAD = """# Claims

Written by `genwright claims table` from `docs/claims.jsonl`; do not edit. Each row is one recorded
run: the sentence tried, what was measured, what decides it, and the command that runs it again.
A claim stands by its latest full run, or by its latest smoke run where no full one is recorded.
"""

_SECTIONS = (
    (ClaimState.FAILS, "Claims that fail"),
    (ClaimState.HOLDS, "Claims that hold"),
)


def claims_table(results: Sequence[Recorded]) -> str:
    """Return the page as Markdown.

    It depends on the results and on the claim files alone, not on the machine or the day.
    """
    found = standing(results)
    parts = [_HEAD, _summary(found)]
    for state, title in _SECTIONS:
        rows = [s for s in found if s.state is state]
        if rows:
            parts.append(f"## {title}\n")
            parts += [_system(s) for s in rows]
    waiting = [s for s in found if s.state is ClaimState.NOT_RUN]
    if waiting:
        parts.append("## Built, not run\n\n" + ", ".join(f"`{s.system.slug}`" for s in waiting))
        parts[-1] += "\n"
    parts.append("## Not built\n\n| Room | Systems |\n|---|---|\n" + _not_built(found))
    return "\n".join(parts)


def _summary(found: Sequence[Standing]) -> str:
    counts = (f"{sum(s.state is state for s in found)} {state.value}" for state in ClaimState)
    return f"{len(found)} systems: {', '.join(counts)}.\n"


def _system(standing: Standing) -> str:
    system, lines = standing.system, list[str]()
    lines.append(f"### `{system.slug}`: {standing.told}\n")
    for scale in reversed(SCALES):
        if scale in standing.results:
            lines += _result(standing.results[scale])
    return "\n".join(lines)


def _result(result: Recorded) -> list[str]:
    """Write one recorded run: its sentence, its numbers against their bounds, how to repeat it."""
    lines = [
        f"**{result.scale}: {result.state.value}.** {result.statement} ({result.reference})\n",
        "| Metric | Measured | Must be | |",
        "|---|---:|---|---|",
    ]
    bounds = {name: [b for b in result.bounds if b.split()[0] == name] for name in result.metrics}
    for name, value in result.metrics.items():
        needed = " and ".join(b.split(maxsplit=1)[1] for b in bounds[name])
        broken = any(b in result.broken for b in bounds[name])
        told = "" if not needed else "**no**" if broken else "yes"
        lines.append(f"| {name} | {value:g} | {needed} | {told} |")
    lines.append("")
    lines += [f"- {note}" for note in result.notes]
    machine = result.environment
    where = f"{machine['system']} {machine['machine']}, {machine['cores']} cores"
    lines.append(f"- {result.date}, {result.seconds:g} s, {where}: `{result.command}`\n")
    return lines


def _not_built(found: Sequence[Standing]) -> str:
    """Write one row a room: the systems that have no claim file."""
    missing = [s.system for s in found if s.state is ClaimState.NOT_BUILT]
    by_room = groupby(sorted(missing, key=lambda s: s.room), key=lambda s: s.room)
    rows = (f"| {room} | {', '.join(f'`{s.slug}`' for s in group)} |\n" for room, group in by_room)
    return "".join(rows)
