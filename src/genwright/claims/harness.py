"""The systems, their claims, and what came of them.

`run_claim` runs a claim and records it; `recorded` reads back what a ledger or a file of JSON lines
holds; `standing` says of every system where its claim stands.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genwright.claims.data import data_file
from genwright.core import (
    GenwrightError,
    InvalidArgument,
    Ledger,
    MissingFile,
    RunState,
    nearest,
)
from genwright.core.claim import SCALES, Claim, ClaimState, Scale
from genwright.core.environment import environment
from genwright.core.task_file import read_jsonl

NAME = "claim: "
"""What the names of the runs of claims begin with in a ledger."""


@dataclass(frozen=True)
class System:
    """One system of the list: its family, its name, the room it belongs to, its paper's title."""

    family: str
    slug: str
    room: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One run of a claim, as it was recorded.

    Args:
        slug: the system.
        scale: how much was run.
        seed: of the run.
        holds: whether every bound was met.
        metrics: the numbers.
        bounds: what decided it.
        broken: the bounds that were not met.
        notes: what a reader should know.
        statement: the sentence that was tried.
        reference: the paper.
        cost: what was spent, without zeros.
        seconds: wall time.
        date: UTC, as `2026-01-31`.
        command: what to type to run it again.
        environment: versions and the kind of machine.
    """

    slug: str
    scale: Scale
    seed: int
    holds: bool
    metrics: Mapping[str, float]
    bounds: tuple[str, ...]
    broken: tuple[str, ...]
    notes: tuple[str, ...]
    statement: str
    reference: str
    cost: Mapping[str, Any]
    seconds: float
    date: str
    command: str
    environment: Mapping[str, Any]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Recorded":
        """Make it from a table, such as one line of a file."""
        lists = {name: tuple(row[name]) for name in ("bounds", "broken", "notes")}
        return cls(**{**row, **lists})

    @property
    def state(self) -> ClaimState:
        """Holds or fails."""
        return ClaimState.HOLDS if self.holds else ClaimState.FAILS


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a system's claim stands: by its latest full run, else by its latest smoke run.

    Args:
        system: which.
        state: where it stands.
        why: why it was not run, where data is missing.
        results: the latest result at each scale that was run.
    """

    system: System
    state: ClaimState
    why: str
    results: Mapping[Scale, Recorded]

    @property
    def told(self) -> str:
        """What a user reads, such as `"holds (smoke)"` or `"needs data"`."""
        if self.results:
            return f"{self.state.value} ({_deciding(self.results)})"
        return "needs data" if self.why else self.state.value


@cache
def systems() -> tuple[System, ...]:
    """Return every system of the list, in its order."""
    text = (files("genwright.claims") / "systems.tsv").read_text(encoding="utf-8")
    return tuple(System(*line.split("\t")) for line in text.splitlines()[1:])


def built() -> list[str]:
    """Return the slugs of the systems that have a claim file."""
    return [s.slug for s in systems() if find_spec(_module(s.slug)) is not None]


def find_claim(slug: str) -> Claim:
    """Return a system's claim.

    Raises:
        InvalidArgument: no such system, or its claim is not built.
    """
    known = [s.slug for s in systems()]
    if slug not in known:
        raise InvalidArgument(f"no system is called {slug!r}.{nearest(slug, known)}")
    if find_spec(_module(slug)) is None:
        raise InvalidArgument(f"the claim of {slug!r} is not built; built: {', '.join(built())}.")
    return import_module(_module(slug)).CLAIM


def run_claim(claim: Claim, scale: Scale, seed: int, ledger: Ledger) -> Recorded:
    """Run a claim, and record in the ledger what came of it.

    The ledger's run is named `claim: SLUG`; a claim that ends in an error leaves a failed run and
    no result.

    Raises:
        MissingFile: data is missing; nothing is recorded.
        InvalidArgument: an unknown scale.
        GenwrightError: whatever the claim raises.
    """
    if scale not in SCALES:
        raise InvalidArgument(f"claims: scale must be one of {', '.join(SCALES)}, got {scale!r}.")
    for name in claim.needs.get(scale, ()):
        data_file(name)
    command = f"genwright claims run {claim.slug} --scale {scale} --seed {seed}"
    spec = {"claim": claim.slug, "scale": scale, "command": command}
    run = ledger.start_run(f"{NAME}{claim.slug}", spec, seed)
    start = time.perf_counter()
    try:
        result = claim.run(scale, seed, ledger)
    except BaseException as error:
        interrupted = not isinstance(error, Exception)
        run.finish(RunState.INTERRUPTED if interrupted else RunState.FAILED, str(error))
        raise
    told = Recorded(
        slug=claim.slug,
        scale=scale,
        seed=seed,
        holds=result.holds,
        metrics={name: float(f"{value:.5g}") for name, value in result.metrics.items()},
        bounds=result.bounds,
        broken=result.broken,
        notes=result.notes,
        statement=claim.statement,
        reference=claim.reference,
        cost=result.cost.as_dict(),
        seconds=round(time.perf_counter() - start, 1),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        command=command,
        environment=environment(),
    )
    for name, value in result.metrics.items():
        run.add_metric(name, value)
    run.respec(spec | {"result": asdict(told)})
    run.finish()
    return told


def append(result: Recorded, path: Path) -> None:
    """Add a result to a file of JSON lines, made if it is not there.

    Raises:
        MissingFile: its folder is not there.
    """
    if not path.parent.is_dir():
        raise MissingFile(f"claims: there is no folder {path.parent}; make it or name another.")
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def recorded(path: Path | None = None, ledger: Ledger | None = None) -> list[Recorded]:
    """Return the results in a file of JSON lines and in a ledger, each oldest first."""
    rows: list[Mapping[str, Any]] = []
    if ledger is not None:
        runs = (run for run in ledger.runs() if run.name.startswith(NAME))
        rows += [run.spec["result"] for run in runs if "result" in run.spec]
    if path is not None and path.is_file():
        rows += read_jsonl(path)
    try:
        return [Recorded.of(row) for row in rows]
    except (KeyError, TypeError) as error:
        raise GenwrightError(f"claims: {path or 'the ledger'}: not a result: {error}.") from error


def standing(results: Iterable[Recorded]) -> list[Standing]:
    """Return where each system's claim stands, given results oldest first."""
    latest: dict[str, dict[Scale, Recorded]] = {}
    for result in sorted(results, key=lambda r: r.date):
        latest.setdefault(result.slug, {})[result.scale] = result
    there, found = set(built()), list[Standing]()
    for system in systems():
        known = latest.get(system.slug, {}) if system.slug in there else {}
        state, why = ClaimState.NOT_BUILT, ""
        if known:
            state = known[_deciding(known)].state
        elif system.slug in there:
            state, why = ClaimState.NOT_RUN, _missing(find_claim(system.slug))
        found.append(Standing(system=system, state=state, why=why, results=known))
    return found


def _deciding(results: Mapping[Scale, Recorded]) -> Scale:
    return "full" if "full" in results else "smoke"


def _missing(claim: Claim) -> str:
    """Say which data even the smallest scale lacks."""
    for name in claim.needs.get("smoke", ()):
        try:
            data_file(name)
        except MissingFile as error:
            return str(error)
    return ""


def _module(slug: str) -> str:
    return f"genwright.claims.{slug.replace('-', '_')}"
