"""One start of a run: the state that its workers share, and what a worker does with one task.

`core/runner.py` opens the run, makes an `Attempt`, and says how it ended.
"""

import threading
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from genwright.core import codec
from genwright.core.cost import Budget, Cost
from genwright.core.errors import GenwrightError, InvalidArgument
from genwright.core.protocols import Generator, Steerable, Strategy, Verifier
from genwright.core.recording import Kind, Recorder, RecordingVerifier, recording
from genwright.core.run import Run
from genwright.core.samples import Samples
from genwright.core.seeding import child_seed
from genwright.core.task import Outcome, Stop, Task


@dataclass(frozen=True)
class Event:
    """Something that happened in a run, for whoever shows its progress.

    Args:
        kind: what happened.
        task: key of the task.
        what: the `Sample`, `Verdict` or `Outcome`; None when a task starts.
        replayed: it was read from the ledger and cost nothing now.
    """

    kind: Kind
    task: str
    what: Any = None
    replayed: bool = False


class Machines(Protocol):
    """Where draws and checks are made, if not here: stand-ins that do the same elsewhere."""

    def generator(self, generator: Generator[Any], /) -> Generator[Any]:
        """Return a stand-in for a generator."""
        ...

    def verifier(self, verifier: Verifier[Any], /) -> Verifier[Any]:
        """Return a stand-in for a verifier."""
        ...


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Args:
        run_id: names it in the ledger.
        outcomes: one a task, in the order of the tasks.
        cost: everything spent on the run, earlier attempts included.
        stop: `COMPLETE`, or `BUDGET` where the budget of the run cut it short.
    """

    run_id: str
    outcomes: list[Outcome[Any]]
    cost: Cost
    stop: Stop


class _Halted(BaseException):
    """Ends a worker whose run is over; no strategy should catch it."""


class Attempt:
    """One start of a run: the state that its workers share."""

    def __init__(
        self,
        run: Run,
        generator: Generator[Any],
        strategy: Strategy,
        budget: Budget,
        run_budget: Budget,
        seed: int,
        machines: Machines | None,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        self.run = run
        self.generator = generator if machines is None else machines.generator(generator)
        self.machines = machines
        self.strategy = strategy
        self.budget = budget
        self.run_budget = run_budget
        self.seed = seed
        self.on_event = on_event
        self.outcomes: dict[str, Outcome[Any]] = {}
        self.spent = run.costs()
        self.halted = threading.Event()
        self.shielded = threading.local()
        self.pending = False
        self.lock = threading.RLock()

    def restore(self, tasks: Mapping[str, Task[Any]], reopened: bool) -> None:
        """Read finished outcomes back; with another budget, those that a budget ended reopen."""
        prompts = self.run.prompts()
        for key, outcome in self.run.outcomes().items():
            if key not in tasks:
                continue
            if codec.digest(prompts[key]) != codec.digest(tasks[key].prompt):
                raise InvalidArgument(
                    f"solve: run {self.run.id!r} finished task {key!r} with another prompt; "
                    "give changed tasks other keys."
                )
            if not (reopened and outcome.stop is Stop.BUDGET):
                self.outcomes[key] = outcome

    def go(self, tasks: Mapping[str, Task[Any]], workers: int) -> None:
        """Work on every task that has no outcome."""
        todo = [(key, task) for key, task in tasks.items() if key not in self.outcomes]
        if workers == 1 or len(todo) < 2:
            for key, task in todo:
                self.work(key, task)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="genwright") as pool:
            futures = [pool.submit(self.work, key, task) for key, task in todo]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:
                self.halted.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            if any(future.exception() for future in done):
                self.halted.set()
                pool.shutdown(wait=True, cancel_futures=True)
                _raise_first(futures)

    def work(self, key: str, task: Task[Any]) -> None:
        """Run the strategy on one task, check what it chose, and record the outcome."""
        self.check()
        with self.lock:
            others = sum((c for k, c in self.spent.items() if k != key), Cost())
        left = self.run_budget.after(others)
        self.tell("task started", key)
        if left.is_spent(Cost()):
            outcome = Outcome[Any](None, Samples(), Stop.BUDGET)
        else:
            outcome = self._run_strategy(key, task, self.budget & left)
        cost = self.run.cost(key)
        outcome = replace(outcome, cost=cost)
        with self.shield():
            self.run.record_outcome(key, task.prompt, task.data, outcome)
            with self.lock:
                self.spent[key] = cost
                self.outcomes[key] = outcome
        self.tell("task finished", key, outcome)

    def _run_strategy(self, key: str, task: Task[Any], budget: Budget) -> Outcome[Any]:
        recorder = Recorder(self.run, key, self)
        verifier = None
        if task.verifier is not None:
            found = (
                task.verifier if self.machines is None else self.machines.verifier(task.verifier)
            )
            verifier = RecordingVerifier(found, recorder)
        outcome = self.strategy.run(
            _steered(recording(self.generator, recorder), key, task),
            replace(task, verifier=verifier, key=key, steering=(), metrics={}),
            budget,
            child_seed(self.seed, key),
        )
        if task.metrics:
            scores = {name: _score(check, outcome) for name, check in task.metrics.items()}
            outcome = replace(outcome, info={**outcome.info, "metrics": scores})
        if outcome.chosen is None or verifier is None:
            return replace(outcome, verdict=None)
        return replace(outcome, verdict=verifier.judge(outcome.chosen))

    def result(self, tasks: Mapping[str, Task[Any]]) -> RunResult:
        """Gather the outcomes in the order of the tasks."""
        outcomes = [self.outcomes[key] for key in tasks]
        cost = sum(self.spent.values(), Cost())
        cut = self.run_budget.is_spent(cost) and any(o.stop is Stop.BUDGET for o in outcomes)
        return RunResult(self.run.id, outcomes, cost, Stop.BUDGET if cut else Stop.COMPLETE)

    def check(self) -> None:
        """Raise in a worker whose run is over."""
        if self.halted.is_set():
            raise _Halted

    def tell(
        self,
        kind: Kind,
        task: str,
        what: Any = None,
        replayed: bool = False,
    ) -> None:
        """Pass an event on."""
        if self.on_event is not None:
            with self.lock:
                self.on_event(Event(kind, task, what, replayed))

    @contextmanager
    def shield(self) -> abc.Generator[None]:
        """Put an interrupt off until what was paid for is recorded."""
        self.shielded.on = True
        try:
            yield
        finally:
            self.shielded.on = False
        if self.pending and threading.current_thread() is threading.main_thread():
            self.pending = False
            raise KeyboardInterrupt

    def interrupt(self, *_: object) -> None:
        """Handle SIGINT and SIGTERM; Python calls it on the main thread."""
        if getattr(self.shielded, "on", False):
            self.pending = True
        else:
            raise KeyboardInterrupt


def _steered(generator: Any, key: str, task: Task[Any]) -> Any:
    """Add the task's own steering, if it has any."""
    if not task.steering:
        return generator
    if not isinstance(generator, Steerable):
        raise InvalidArgument(f"solve: task {key!r} has steering, and {generator!r} takes none.")
    return generator.steered(*task.steering)


def _score(check: Verifier[Any], outcome: Outcome[Any]) -> float:
    """Return the chosen draw's score under a further check; none earns 0, as does no decision."""
    if outcome.chosen is None:
        return 0.0
    return check.check(Samples[Any].of([outcome.chosen]))[0].score or 0.0


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Raise what a worker raised, rather than that the others were then halted."""
    errors = [f.exception() for f in futures if not f.cancelled()]
    told = [e for e in errors if e is not None and not isinstance(e, _Halted)]
    raise told[0] if told else GenwrightError("solve: every worker was halted.")
