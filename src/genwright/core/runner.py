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
from contextlib import contextmanager, suppress
from typing import Any

from genwright.core import codec
from genwright.core.attempt import Attempt, Event, Machines, RunResult
from genwright.core.cost import Budget
from genwright.core.environment import redact
from genwright.core.errors import InvalidArgument, LedgerError
from genwright.core.ledger import Ledger, new_id
from genwright.core.protocols import Generator, Remembering, Strategy
from genwright.core.registry import describe
from genwright.core.run import Run, RunState
from genwright.core.run_lock import alone
from genwright.core.task import Task


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
        attempt = Attempt(run, generator, strategy, budget, run_budget, seed, machines, on_event)
        attempt.restore(keyed, reopened)
        _carry_out(attempt, keyed, workers)
    return attempt.result(keyed)


def _carry_out(attempt: Attempt, tasks: Mapping[str, Task[Any]], workers: int) -> None:
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


@contextmanager
def _interrupts(attempt: Attempt) -> abc.Generator[None]:
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
