"""The runner: hands a strategy one task at a time and records everything it does.

A strategy sees a generator and a verifier that record (`core/recording.py`), never the ledger. The
runner checks the chosen draw itself, adds up what the task cost, and writes the outcome down. A run
that was killed, interrupted or failed is resumed by its id: finished outcomes are read back, and an
unfinished task is run again on its recorded draws before it pays for new ones.
"""

import signal
import threading
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from genwright.core import codec
from genwright.core.cost import Budget, Cost
from genwright.core.environment import redact
from genwright.core.errors import GenwrightError, InvalidArgument, LedgerError
from genwright.core.ledger import Ledger, new_id
from genwright.core.protocols import Generator, Remembering, Steerable, Strategy, Verifier
from genwright.core.recording import Kind, Recorder, RecordingVerifier, recording
from genwright.core.registry import describe
from genwright.core.run import Run, RunState
from genwright.core.run_lock import alone
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


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a run; everything is recorded and `run_id` resumes it."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was interrupted; what it drew is recorded, resume it")
        self.run_id = run_id


def solve(
    tasks: Sequence[Task[Any]],
    generator: Generator[Any],
    strategy: Strategy,
    *,
    ledger: Ledger | None = None,
    run_id: str | None = None,
    name: str = "",
    budget: Budget = Budget(),
    run_budget: Budget = Budget(),
    seed: int = 0,
    workers: int = 1,
    machines: Machines | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> RunResult:
    """Run a strategy on every task, recording each draw, verdict and cost.

    Args:
        tasks: each with its own key; the seed of a task is `child_seed(seed, key)`.
        generator: what draws.
        strategy: what spends the budget.
        ledger: where to record; one in memory where it is left out.
        run_id: resumes this run if the ledger has it, else names the new run.
        name: for people.
        budget: the limit for each task.
        run_budget: the limit for the whole run. A task starts with the tighter of its own budget
            and what is left of this; once that is spent, tasks end with `Stop.BUDGET` and no
            draws. It is looked at when a task starts, so with several workers a run may overshoot
            it by what the tasks in progress then spend.
        seed: the seed of the run.
        workers: tasks in progress at a time, each on a thread. The draws do not depend on it
            (unless the run budget ends them).
        machines: where draws and checks are made, such as `serving.ray_workers.RayWorkers`; here
            where it is left out. The draws do not depend on it either.
        on_event: called with each `Event`, by one thread at a time.

    Raises:
        InvalidArgument: two tasks with one key, a resumed run with another generator, strategy,
            seed or prompt, or a run that another process is working on.
        RunInterrupted: Ctrl-C or SIGTERM; the run is in state interrupted. With several workers,
            calls in flight are waited for.
        LedgerError: the ledger could not be written.

    Whatever a strategy, generator or verifier raises is passed on; the run is then in state failed
    with the message, and can be resumed.
    """
    if workers < 1:
        raise InvalidArgument(f"solve: workers must be 1 or more, got {workers}.")
    keyed = _keyed(tasks)
    spec = _spec(keyed, generator, strategy, budget, run_budget)
    book = ledger if ledger is not None else Ledger()
    if ledger is not None and machines is None and isinstance(generator, Remembering):
        generator = generator.remembering(book)  # a memory is the ledger's, which stays here
    run_id = run_id or new_id()
    with alone(book.path, run_id):
        run, reopened = _open_run(book, run_id, name, spec, seed)
        attempt = _Attempt(run, generator, strategy, budget, run_budget, seed, machines, on_event)
        attempt.restore(keyed, reopened)
        _carry_out(attempt, keyed, workers)
    return attempt.result(keyed)


def _carry_out(attempt: "_Attempt", tasks: Mapping[str, Task[Any]], workers: int) -> None:
    """Do the work, and record how it ended."""
    run = attempt.run
    with _interrupts(attempt):
        try:
            attempt.go(tasks, workers)
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            state = RunState.INTERRUPTED if interrupted else RunState.FAILED
            with suppress(LedgerError):  # a full disk must not hide the first error
                run.finish(state, "" if interrupted else f"{type(error).__name__}: {error}")
            if interrupted:
                raise RunInterrupted(run.id) from error
            error.add_note(f"Run {run.id} is recorded as failed; solve(run_id={run.id!r}) resumes.")
            raise
    run.finish()


class _Halted(BaseException):
    """Ends a worker whose run is over; no strategy should catch it."""


class _Attempt:
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


@contextmanager
def _interrupts(attempt: _Attempt) -> abc.Generator[None]:
    """Handle Ctrl-C and SIGTERM in the main thread, unless somebody else already does."""
    mine: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        mine = {s: h for s, h in usual.items() if signal.getsignal(s) == h}
    for number in mine:
        signal.signal(number, attempt.interrupt)
    try:
        yield
    finally:
        for number, handler in mine.items():
            signal.signal(number, handler)


def _keyed(tasks: Sequence[Task[Any]]) -> dict[str, Task[Any]]:
    """Return the tasks by key. A task without one is named by its prompt."""
    keyed: dict[str, Task[Any]] = {}
    for task in tasks:
        prompt = task.prompt
        named = prompt if isinstance(prompt, str) else codec.dumps(prompt, canonical=True)
        key = task.key or named
        if key in keyed:
            raise InvalidArgument(
                f"solve: two tasks have the key {key!r}; give each its own `key`."
            )
        keyed[key] = task
    return keyed


def _spec(
    tasks: Mapping[str, Task[Any]],
    generator: Any,
    strategy: Any,
    budget: Budget,
    run_budget: Budget,
) -> dict[str, Any]:
    kinds = {type(task.verifier) for task in tasks.values() if task.verifier is not None}
    return {
        "generator": describe(generator),
        "strategy": describe(strategy),
        "verifiers": sorted(f"{kind.__module__}:{kind.__qualname__}" for kind in kinds),
        "budget": budget.limits(),
        "run_budget": run_budget.limits(),
        "tasks": len(tasks),
    }


def _open_run(
    ledger: Ledger, run_id: str, name: str, spec: dict[str, Any], seed: int
) -> tuple[Run, bool]:
    """Start or resume a run; also tell whether its budgets differ from what they were."""
    if not ledger.read("SELECT 1 FROM runs WHERE id = ?", (run_id,)):
        return ledger.start_run(name, spec, seed, run_id), False
    run = ledger.run(run_id)
    now: dict[str, Any] = codec.loads(codec.dumps(redact(spec), lossy=True))
    for part, was, comes in (
        ("seed", run.seed, seed),
        *((p, run.spec.get(p), now[p]) for p in ("generator", "strategy")),
    ):
        if was != comes:
            raise InvalidArgument(
                f"solve: run {run_id!r} was started with {part} {was!r}, and cannot be resumed "
                f"with {comes!r}; start another run."
            )
    changed = any(run.spec.get(part) != now[part] for part in ("budget", "run_budget"))
    if now != run.spec:
        run.respec(now)
    run.finish(RunState.RUNNING)
    return run, changed


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Raise what a worker raised, rather than that the others were then halted."""
    errors = [f.exception() for f in futures if not f.cancelled()]
    told = [e for e in errors if e is not None and not isinstance(e, _Halted)]
    raise told[0] if told else GenwrightError("solve: every worker was halted.")
