"""The coverage of a recorded run, where its draws allow the estimate.

A run that drew on regardless gives pass@k (`search.coverage`) and, where it fits, the power law. A
run that stopped at its first pass would make pass@k too high; it gives the share of tasks solved by
their first k draws in order, up to the last k at which that is known of every task.

Undecided draws are left out of every task's draws and counted.
"""

from dataclasses import dataclass
from math import ceil

from genwright.core import InvalidArgument, Stop
from genwright.core.statistics import wilson
from genwright.search.coverage import Counts, Coverage, PowerLaw, coverage, fit_power_law
from genwright.serving.report.facts import RunFacts

ENOUGH = 0.9
"""The share of tasks that must have k decided draws: with fewer, the curve at k would be that of
tasks that happen to be decided often."""

_EARLY = {Stop.PASSED, Stop.DECIDED, Stop.GAVE_UP}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Coverage at several numbers of draws, and the law it follows.

    Args:
        points: what was measured.
        in_order: the draws were taken in order, since the run stopped early.
        law: the fitted power law, None where none fits.
        law_note: why none does.
    """

    points: Coverage
    in_order: bool = False
    law: PowerLaw | None = None
    law_note: str = ""


def curve(facts: RunFacts) -> Curve | str:
    """Return the coverage of a run, or why it cannot be estimated."""
    done = {key: task for key, task in facts.tasks.items() if task.stop is not None}
    draws = [draw for draw in facts.draws if draw.task in done]
    unchecked = sum(draw.status == "unchecked" for draw in draws)
    if not draws or unchecked == len(draws):
        return "No draw of a finished task was checked, so no coverage can be told."
    if unchecked:
        return (
            f"The strategy had {len(draws) - unchecked} of {len(draws)} draws checked, and chose "
            "which; coverage needs a verdict on every draw (repeated_sampling gives it)."
        )
    if any(task.asked > 1 for task in done.values()):
        return "The strategy asked several things per task; its draws do not answer one prompt."
    flags: dict[str, list[bool | None]] = {key: [] for key in done}
    for draw in draws:
        verdict = None if draw.status == "undecided" else draw.status == "passed"
        flags[draw.task].append(verdict)
    counts = [Counts.of(f) for f in flags.values()]
    if any(task.stop in _EARLY for task in done.values()):
        return _in_order(list(flags.values()))
    decided = sorted(count.passed + count.failed for count in counts)
    most = decided[len(decided) - ceil(ENOUGH * len(decided))]
    if most < 2:
        return (
            "Too few tasks made two decided draws to tell how coverage grows; at one draw it is "
            "the share of draws that passed."
        )
    found = coverage(counts, _doubling(most))
    law, note = _law(found.ks, found.values)
    return Curve(points=found, law=law, law_note=note)


def _in_order(flags: list[list[bool | None]]) -> Curve | str:
    """Share of tasks with a pass among their first k draws, while that is known of every task."""
    decided = [[flag for flag in f if flag is not None] for f in flags]
    unsolved = [len(f) for f in decided if True not in f]
    known = min(unsolved, default=max(f.index(True) + 1 for f in decided if True in f))
    if known < 2:
        return (
            "The strategy stopped early, and some task made fewer than two decided draws without "
            "a pass; draw on with stop_on_pass = false to measure coverage."
        )
    ks = _doubling(known)
    found = [wilson(sum(True in f[:k] for f in decided), len(decided)) for k in ks]
    points = Coverage(
        ks=tuple(ks),
        values=tuple(f.estimate for f in found),
        low=tuple(f.low for f in found),
        high=tuple(f.high for f in found),
        tasks=(len(decided),) * len(ks),
        left_out=(0,) * len(ks),
        undecided=sum(f.count(None) for f in flags),
        level=found[0].level,
    )
    note = "No power law is fitted to draws that stopped early."
    return Curve(points=points, in_order=True, law_note=note)


def _law(ks: tuple[int, ...], values: tuple[float, ...]) -> tuple[PowerLaw | None, str]:
    if sum(0 < value < 1 for value in values) < 3:
        return None, "A power law needs three points strictly between 0 and 1."
    try:
        return fit_power_law(ks, values), ""
    except InvalidArgument:
        return None, "No power law fits: coverage does not grow with the number of draws."


def _doubling(most: int) -> list[int]:
    """Return 1, 2, 4, ... and `most` itself."""
    powers = [2**i for i in range(most.bit_length()) if 2**i < most]
    return [*powers, most]
