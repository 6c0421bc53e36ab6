"""Every row of the contest, and what trains those that a ledger lacks.

Claims record the rows that they need; `fill` holds the others, so that the table is whole. A row
that the ledger has is not trained again, so a killed command goes on where it stopped.
"""

from collections.abc import Callable, Sequence

from genwright.claims.arenas import Arena, floor_row
from genwright.claims.contest import Entry, Row, hold, record, rows
from genwright.claims.entries import ARENAS, LEVELS, of_pairs, of_paths, teachers
from genwright.claims.matched import dmd, dmd_gan, f_distill, msd, sid, sim
from genwright.core import InvalidArgument, Ledger, child_seed


def roster(arena: Arena) -> list[Entry]:
    """Return all entries of a task in the order of the table."""
    found = [*teachers(arena), *of_pairs(arena), *of_paths(arena, LEVELS)]
    found += [dmd(arena), dmd_gan(arena), *(f_distill(arena, kind) for kind in ("rkl", "js", "kl"))]
    found += [sid(arena, 1.0), sid(arena, 1.2), sim(arena)]
    return found if arena.start.classes < 4 else [*found, msd(arena)]


def fill(
    ledger: Ledger,
    *,
    tasks: Sequence[str] | None = None,
    seed: int = 0,
    seeds: int = 3,
    watch: Callable[[str], None] | None = None,
) -> list[Row]:
    """Hold every entry of which the ledger lacks a row; return the rows that were made.

    Args:
        ledger: holds the rows that are there, and takes the new ones.
        tasks: of the contest; all by default.
        seed: the same seed gives the seeds that claims take.
        seeds: rows of each entry.
        watch: told what is trained next.

    Raises:
        InvalidArgument: an unknown task.
    """
    tasks = list(ARENAS) if tasks is None else list(tasks)
    unknown = sorted(set(tasks) - set(ARENAS))
    if unknown:
        raise InvalidArgument(f"onestep: unknown tasks {unknown}; known are {sorted(ARENAS)}.")
    wanted = [child_seed(seed, i) % 2**31 for i in range(seeds)]
    made: list[Row] = []
    for name in tasks:
        arena = ARENAS[name]()
        there = {(row.name, row.seed) for row in rows(ledger) if row.task == name}
        floor = floor_row(arena)
        if (floor.name, floor.seed) not in there:
            record(floor, ledger)
            made.append(floor)
        for entry in roster(arena):
            missing = [s for s in wanted if (entry.name, s) not in there]
            if missing:
                if watch is not None:
                    watch(f"{name}: {entry.name}")
                made += hold(arena.task, entry, seeds=missing, ledger=ledger)
    return made
