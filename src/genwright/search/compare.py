"""Strategies on the same prompts at equal budgets: how right they are, and what they are charged.

Choose it to decide how a budget is best spent on a task, before it is spent. One ledger holds
everything. Draw k of a prompt under a seed is the same draw for every strategy, so that it is made
(*paid*) once and served to all; each strategy is *charged* what it would have cost alone. A check
of the chosen draw that only grades the strategy is paid and not charged. A comparison that was cut
off goes on where it stopped, and one with further strategies or budgets pays for nothing twice.

Paired comparison of selection methods on shared draws: Brown et al. 2024, "Large Language Monkeys",
arXiv:2407.21787, Section 4; the paired bootstrap: Koehn 2004 (`core.statistics`). Ours: charged
against paid. A draw's seconds and joules are those of the batch it was first made in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genwright.core import (
    AMOUNTS,
    Budget,
    Cost,
    Event,
    Generator,
    InvalidArgument,
    Ledger,
    Strategy,
    Task,
    UserError,
    Verifier,
    codec,
    describe,
    solve,
)
from genwright.core.run_lock import alone
from genwright.core.statistics import Interval, McNemar, mcnemar, paired_bootstrap, wilson
from genwright.search.shared_draws import Charged, SharedDraws, open_run

Contender = Callable[[Budget], Strategy]
"""Makes the strategy that is to run under a budget."""

RESAMPLES = 2000
"""Of the paired bootstrap; it moves an end of the interval by a tenth of its width at most."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One strategy at one budget.

    Args:
        strategy: its name.
        budget: the limit for each prompt.
        passed: for each task whether the chosen draw passed; None where the grader could not tell.
        costs: for each task what the strategy is charged.
        run: the id of its run in the ledger.
    """

    strategy: str
    budget: float
    passed: tuple[bool | None, ...]
    costs: tuple[Cost, ...]
    run: str

    @property
    def accuracy(self) -> Interval | None:
        """The share of decided tasks that passed, with Wilson's interval; None without any."""
        decided = [p for p in self.passed if p is not None]
        if not decided:
            return None
        return replace(wilson(sum(decided), len(decided)), excluded=len(self.passed) - len(decided))

    def mean(self, amount: str) -> float:
        """Return what the strategy is charged for a prompt on average, in one field of `Cost`."""
        return sum(getattr(cost, amount) for cost in self.costs) / len(self.costs)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of every strategy at every budget.

    Args:
        id: names it in the ledger, where a run of this id holds the shared draws.
        unit: the field of `Cost` that the budgets limit.
        cells: strategy by strategy as they were given, budgets ascending.
        tasks: keys of the tasks.
        paid: what all draws and checks have cost, each counted once.
        before: how much of that had been paid before this call.
    """

    id: str
    unit: str
    cells: tuple[Cell, ...]
    tasks: tuple[str, ...]
    paid: Cost
    before: Cost

    @property
    def charged(self) -> Cost:
        """The sum of what the strategies are charged."""
        return sum((cost for cell in self.cells for cost in cell.costs), Cost())

    @property
    def strategies(self) -> list[str]:
        """Their names, in order; the first is the baseline."""
        return list(dict.fromkeys(cell.strategy for cell in self.cells))

    @property
    def amounts(self) -> list[str]:
        """The fields of `Cost` of which something was charged."""
        return [name for name in AMOUNTS if getattr(self.charged, name)]

    def of(self, strategy: str) -> list[Cell]:
        """Return the cells of one strategy, budgets ascending."""
        return [cell for cell in self.cells if cell.strategy == strategy]

    def against(self, cell: Cell, other: str | None = None) -> tuple[Interval, McNemar] | None:
        """Compare a cell with another strategy (the first one) at the same budget, task by task.

        Returns:
            the difference of accuracies with the paired bootstrap's interval, and McNemar's test;
            None for a strategy and itself, and where no task was decided for both.
        """
        name = other or self.strategies[0]
        if name == cell.strategy:
            return None
        (base,) = (c for c in self.of(name) if c.budget == cell.budget)
        test = mcnemar(cell.passed, base.passed)
        if not test.n:
            return None
        gain = paired_bootstrap(cell.passed, base.passed, seed=0, resamples=RESAMPLES)
        return gain, test


def compare(
    tasks: Sequence[Task[Any]],
    generator: Generator[Any],
    strategies: Mapping[str, Contender | Strategy],
    budgets: Sequence[float],
    *,
    unit: str = "draws",
    ledger: Ledger | None = None,
    comparison: str = "",
    name: str = "comparison",
    seed: int = 0,
    workers: int = 1,
    graders: Mapping[str, Verifier[Any]] | None = None,
    spec: Mapping[str, Any] | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_run: Callable[[str], None] | None = None,
) -> Comparison:
    """Run every strategy at every budget on every task, sharing draws and checks.

    Args:
        tasks: each with a key of its own, and a verifier or a grader.
        generator: what draws.
        strategies: by name; a strategy, or a function that makes one for a budget. The first is
            the baseline.
        budgets: limits for each prompt.
        unit: the field of `Cost` that they limit.
        ledger: where to record; one in memory where it is left out.
        comparison: id of the comparison; the ledger goes on with one of this id. Where it is left
            empty, it follows from the generator, the tasks and the seed.
        name: for people.
        seed: of every run; the same for all strategies.
        workers: tasks in progress at a time.
        graders: by key of the task what grades the chosen draw; the task's verifier where it is
            left out. Give the truth here where the verifier errs, or where a task has none.
        spec: what else to write down with the comparison.
        on_event: called with each `Event` of every run.
        on_run: called with the name of each strategy and budget as it starts.

    Raises:
        InvalidArgument: no task, strategy or budget, an unknown unit, a task without a verifier,
            or a strategy that cannot run on the tasks; nothing is paid then.
        UserError: whatever a strategy refuses later; what was paid is kept.
    """
    budgets = sorted(set(budgets))
    _sound(tasks, strategies, budgets, unit, graders or {})
    makers: dict[str, Contender] = {name: _maker(s) for name, s in strategies.items()}
    _refuse(tasks[0], generator, makers, Budget(**{unit: budgets[0]}))  # pyright: ignore
    book = ledger if ledger is not None else Ledger()
    about = {"comparison": name, "generator": describe(generator), "seed": seed}
    keys = [task.key for task in tasks]
    comparison = comparison or codec.digest([about, keys, [t.prompt for t in tasks]])[:10]
    with alone(book.path, comparison):
        pool = open_run(book, comparison, name, about | dict(spec or {}), seed)
        before = pool.cost()
        shared = SharedDraws(pool, tasks, generator, graders or {})
        cells: list[Cell] = []
        for label, make in makers.items():
            for amount in budgets:
                if on_run is not None:
                    on_run(f"{label}, {amount:g} {unit}")
                strategy = make(Budget(**{unit: amount}))  # pyright: ignore[reportArgumentType]
                limits = {unit: amount}
                run_id = f"{comparison}.{codec.digest([describe(strategy), limits, keys])[:10]}"
                try:
                    result = solve(
                        shared.tasks,
                        shared.generator,
                        Charged(strategy=strategy),
                        ledger=book,
                        run_id=run_id,
                        name=f"{name}: compare {label} at {amount:g} {unit}",
                        budget=Budget(**limits),  # pyright: ignore[reportArgumentType]
                        seed=seed,
                        workers=workers,
                        on_event=on_event,
                    )
                except UserError as error:
                    error.add_note(f"The strategy is {label!r}, at {amount:g} {unit}.")
                    raise
                passed, costs = shared.settle(book.run(run_id), result.outcomes)
                cells.append(
                    Cell(strategy=label, budget=amount, passed=passed, costs=costs, run=run_id)
                )
        pool.finish()
    return Comparison(
        id=comparison,
        unit=unit,
        cells=tuple(cells),
        tasks=tuple(keys),
        paid=pool.cost(),
        before=before,
    )


def _maker(strategy: Contender | Strategy) -> Contender:
    if isinstance(strategy, Strategy):
        return lambda _: strategy
    return strategy


def _refuse(
    task: Task[Any], generator: Generator[Any], makers: Mapping[str, Contender], budget: Budget
) -> None:
    """Try every strategy with an empty budget: it draws nothing, and says if it cannot run."""
    for name, make in makers.items():
        try:
            make(budget).run(generator, task, Budget(draws=0), 0)
        except UserError as error:
            raise InvalidArgument(f"compare: {name} cannot run on these tasks: {error}") from error


def _sound(
    tasks: Sequence[Task[Any]],
    strategies: Mapping[str, Any],
    budgets: Sequence[float],
    unit: str,
    graders: Mapping[str, Any],
) -> None:
    if not (tasks and strategies and budgets):
        raise InvalidArgument(
            f"compare: needs a task, a strategy and a budget, got {len(tasks)} tasks, "
            f"{len(strategies)} strategies and {len(budgets)} budgets."
        )
    if unit not in AMOUNTS:
        raise InvalidArgument(f"compare: unit must be one of {', '.join(AMOUNTS)}, got {unit!r}.")
    if not budgets[0] > 0:
        raise InvalidArgument(f"compare: every budget must be above 0, got {budgets[0]:g}.")
    for task in tasks:
        if not task.key or (task.verifier is None and task.key not in graders):
            raise InvalidArgument(
                "compare: every task needs a key, and a verifier or grader for what the strategies "
                f"choose; the task {task.key or task.prompt!r:.80} lacks one."
            )
