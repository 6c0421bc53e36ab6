"""Draws and verdicts that several strategies share, and what each of them is charged.

`compare` is made of this. A run of the ledger keeps every draw and verdict; a strategy that asks
for one that is there gets it with the cost it had. So nothing is paid twice, and every strategy is
charged what it would have paid alone.

Ours throughout.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from genwright.core import (
    AMOUNTS,
    Budget,
    Cost,
    Generator,
    InvalidArgument,
    Ledger,
    Outcome,
    Run,
    RunState,
    Samples,
    Strategy,
    Task,
    Verdict,
    Verifier,
    codec,
)
from genwright.core.environment import redact
from genwright.core.recording import Recorder, RecordingVerifier, recording


def open_run(book: Ledger, run_id: str, name: str, spec: Mapping[str, Any], seed: int) -> Run:
    """Start the run that keeps the draws, or go on with it.

    Raises:
        InvalidArgument: it holds draws of another generator or seed.
    """
    if not book.read("SELECT 1 FROM runs WHERE id = ?", (run_id,)):
        return book.start_run(f"{name}: compare", spec, seed, run_id)
    run = book.run(run_id)
    now = codec.loads(codec.dumps(redact(spec["generator"]), lossy=True))
    if run.spec.get("generator") != now or run.seed != seed:
        raise InvalidArgument(
            f"compare: run {run_id!r} holds draws of {run.spec.get('generator')!r} under seed "
            f"{run.seed}, not of {now!r} under seed {seed}; start another comparison."
        )
    run.finish(RunState.RUNNING)
    return run


class SharedDraws:
    """The shared draws and verdicts: a run of the ledger that serves all strategies.

    Args:
        run: keeps them.
        tasks: each with a key and a verifier.
        generator: what draws.
        graders: by key of the task, what grades a choice in place of the task's verifier.
    """

    def __init__(
        self,
        run: Run,
        tasks: Sequence[Task[Any]],
        generator: Generator[Any],
        graders: Mapping[str, Verifier[Any]],
    ) -> None:
        self.generator: Any = recording(generator, Recorder(run, "draws", _Quiet()))
        self.tasks: list[Task[Any]] = []
        self.graders: list[RecordingVerifier] = []
        for task in tasks:
            recorder = Recorder(run, task.key, _Quiet())
            grader = graders.get(task.key, task.verifier)
            assert grader is not None
            self.graders.append(RecordingVerifier(grader, recorder))
            if task.verifier is not None:
                kept = RecordingVerifier(task.verifier, recorder)
                task = replace(task, verifier=_Kept(task.verifier, kept))
            self.tasks.append(task)

    def settle(
        self, run: Run, outcomes: Sequence[Outcome[Any]]
    ) -> tuple[tuple[bool | None, ...], tuple[Cost, ...]]:
        """Return for each task whether the choice passed, and what is charged for it."""
        passed: list[bool | None] = []
        costs: list[Cost] = []
        for task, grader, outcome in zip(self.tasks, self.graders, outcomes, strict=True):
            chosen = outcome.chosen
            passed.append(False if chosen is None else grader.judge(chosen).passed)
            drawn = sum((draw.sample.cost for draw in run.draws(task.key)), Cost())
            own, checks = (Cost(**outcome.info[part]) for part in ("account", "checks"))
            costs.append(_larger(own, drawn + checks))
        return tuple(passed), tuple(costs)


@dataclass(frozen=True)
class _Kept:
    """A verifier whose verdicts are kept for all strategies; each check brings its cost anew."""

    inner: Verifier[Any]
    kept: RecordingVerifier = field(repr=False)

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        self.kept.check(samples)
        return [self.kept.judge(sample) for sample in samples]

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "inner"), name)


class _Meter:
    """A verifier that adds up what its checks cost."""

    def __init__(self, inner: Verifier[Any]) -> None:
        self.inner = inner
        self.cost = Cost()

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        verdicts = self.inner.check(samples)
        self.cost += sum((verdict.cost for verdict in verdicts), Cost())
        return verdicts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(frozen=True, kw_only=True)
class Charged:
    """Runs a strategy and notes what it spent: by its own account, and on checks it asked for.

    The runner's account cannot tell: it holds the check that grades the choice as well.
    """

    strategy: Strategy

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Run it. `info["account"]` and `info["checks"]` hold the two costs."""
        meter = None if task.verifier is None else _Meter(task.verifier)
        outcome = self.strategy.run(generator, replace(task, verifier=meter), budget, seed)
        checks = Cost() if meter is None else meter.cost
        noted = {"account": outcome.cost.as_dict(), "checks": checks.as_dict()}
        return replace(outcome, info={**outcome.info, **noted})


class _Quiet:
    """Watches nothing: the runs of the strategies do."""

    def check(self) -> None:
        pass

    def tell(self, *_: Any, **__: Any) -> None:
        pass

    def shield(self) -> AbstractContextManager[None]:
        return nullcontext()


def _larger(one: Cost, two: Cost) -> Cost:
    """Return the larger of two accounts of one thing, field by field."""
    amounts = {name: max(getattr(one, name), getattr(two, name)) for name in AMOUNTS}
    return Cost(**amounts, joules_by=(one + two).joules_by)
