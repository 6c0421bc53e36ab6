"""The page of the contest: one table a task, from the ledger alone, with a picture of every row.

`genwright claims table onestep` writes it; nobody edits it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genwright.claims.contest import Row, summary
from genwright.core import InvalidArgument
from genwright.serving.pictures import grid, save_picture, scatter

HEAD = """# Samples in one step

Written by `genwright claims table onestep` from rows that claims recorded in a ledger; do not edit.
Every row was trained from the same start with the same budget of train units (one unit is one
sample through one network forward, one more where gradients reach its inputs, one more where they
reach its weights, times its size over the teacher's), with the learning rate tuned on one seed at
a quarter of the budget. Numbers are means and standard deviations over seeds.
"""

TITLES: Mapping[str, str] = {
    "ring8": "`ring8`: eight Gaussians of unequal weight; the teacher is exact",
    "digits": "`digits`: handwritten digits of 8 x 8; the teacher is a trained network",
}

FIRST = {"ring8": "kl", "digits": "frechet"}
"""The measure of each task by which the paired difference is told."""

REFERENCE = "regression on ODE pairs"


def write_page(found: Sequence[Row], path: Path) -> int:
    """Write the page and a folder of pictures beside it; return how many rows it has.

    Raises:
        InvalidArgument: no rows.
    """
    if not found:
        raise InvalidArgument(
            "onestep: the ledger holds no rows; run a claim that records some, such as: "
            "genwright claims run slam --scale full"
        )
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    parts = [HEAD]
    names = [t for t in TITLES if any(r.task == t for r in found)]
    names += sorted({r.task for r in found} - set(names))
    written = 0
    for task in names:
        mine = [row for row in found if row.task == task]
        groups = grouped(mine)
        written += len(groups)
        parts.append(f"## {TITLES.get(task, task)}\n")
        parts.append(table(task, groups))
        parts.append(_pictures(task, groups, folder))
    path.write_text("\n".join(parts), encoding="utf-8")
    return written


def grouped(found: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each name, in the order of the table, seeds in order."""
    groups: dict[str, list[Row]] = {}
    for row in sorted(found, key=lambda r: (r.order, r.name, r.seed)):
        groups.setdefault(row.name, []).append(row)
    return groups


def table(task: str, groups: Mapping[str, Sequence[Row]]) -> str:
    """Return the Markdown table of one task."""
    every = list(dict.fromkeys(m for rows in groups.values() for r in rows for m in r.metrics))
    heads = ["row", "parameters", "evaluations", "units", "data", *every]
    heads += [f"{FIRST.get(task, every[0])} less regression's", "seconds", "seeds"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    reference = {row.seed: row for row in groups.get(REFERENCE, ())}
    for name, rows in groups.items():
        one = rows[0]
        cells = [
            name,
            f"{one.parameters:,}",
            f"{one.evaluations:g}",
            f"{np.mean([r.units for r in rows]) / 1e6:.2f} M",
            "yes" if one.uses_data else "no",
        ]
        cells += [_measure(rows, measure) for measure in every]
        cells.append(_paired(rows, reference, FIRST.get(task, every[0])))
        cells += [f"{np.mean([r.seconds for r in rows]):.0f}", f"{len(rows)}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _measure(rows: Sequence[Row], measure: str) -> str:
    if any(measure not in row.metrics for row in rows):
        return ""
    mean, spread = summary(rows, measure)
    digits = 1 if abs(mean) >= 10 else 3
    told = f"{mean:.{digits}f}"
    return told if len(rows) == 1 else f"{told} ± {spread:.{digits}f}"


def _paired(rows: Sequence[Row], reference: Mapping[int, Row], measure: str) -> str:
    """Return the mean difference to the reference on the seeds that both have, with its spread."""
    differences = [
        row.metrics[measure] - reference[row.seed].metrics[measure]
        for row in rows
        if row.seed in reference and row is not reference[row.seed]
    ]
    if not differences:
        return ""
    spread = f" ± {np.std(differences, ddof=1):.3g}" if len(differences) > 1 else ""
    return f"{np.mean(differences):+.3g}{spread}"


def _pictures(task: str, groups: Mapping[str, Sequence[Row]], folder: Path) -> str:
    lines = ["| row | samples of its first seed |", "|---|---|"]
    for number, (name, rows) in enumerate(groups.items()):
        samples: Any = rows[0].samples
        if samples is None:
            continue
        values = np.asarray(samples)
        picture = scatter(values) if values.ndim == 2 else grid(values, columns=20, scale=3)
        file = folder / f"{task}-{number:02}.png"
        save_picture(picture, file)
        lines.append(f"| {name} | ![samples of {name}]({folder.name}/{file.name}) |")
    return "\n".join(lines) + "\n"
