"""Evolve short programs that compute a function, from nothing but arithmetic.

`FunctionSearch` returns the front: the most accurate program found for each number of operations.
It is `solve` with `Mutations` as the generator, `NSGA2` as the strategy and `Approximates` as the
verifier, on several islands at a time and over processes, so that the ledger holds every program
with its error, and a killed search goes on where it stopped. Choose it where a function is called
often and accuracy may be traded for time, or where no library has the function.

Real et al. 2023, "AutoNumerics-Zero: Automated Discovery of State-of-the-Art Mathematical
Functions", arXiv:2312.08472. Ours: a few islands that do not meet stand for one large distributed
population; populations are elitist, a twentieth of the children are clones and insertions
are as common as rewirings: see `search.mutations` and `search.approximation`.
"""

from collections.abc import Generator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

from genwright.core import Budget, Cost, InvalidArgument, Ledger, Task, solve
from genwright.core.ledger import new_id
from genwright.search.approximation import Approximates, Approximation, front_of
from genwright.search.constants import Fitter
from genwright.search.evolution import NSGA2
from genwright.search.mutations import Mutations, check_operations
from genwright.search.tally import at_least_one
from genwright.search.targets import Target

MINIMAL = ("x @ 0", "c0 @ 0")
"""The programs that evolution starts from."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Args:
        front: for each number of operations the most accurate program, where it is more accurate
            than every shorter one.
        run_id: the run that holds every program.
        cost: draws, checks and their seconds.
    """

    front: Mapping[int, Approximation]
    run_id: str
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class FunctionSearch:
    """Search for the most accurate programs of each length.

    Args:
        target: the function, as `Approximates` takes it.
        interval: where it is wanted.
        operations: what programs are made of.
        max_operations: the longest program.
        start: programs the evolution starts from, as texts. The default are the smallest two.
        islands: populations that evolve on their own. More islands find more different programs,
            each with a smaller share of the budget.
        processes: that fit constants. With more than one, a script that calls `run` needs the usual
            `if __name__ == "__main__":`.
        parents: of each island.
        children: of each island's generation.
        identity_rate: share of children that are clones with another start.
        weights: of inserting, removing and rewiring. With the paper's 1, 2 and 3 small populations
            spend most of their draws on programs too short to be of use.
        fitter: finds the constants, as `Approximates` takes it.
        tolerance: the error that passes: of these programs the shortest is chosen.
    """

    target: Target = "exp2"
    interval: tuple[float, float] = (0.0, 1.0)
    operations: tuple[str, ...] = ("add", "sub", "mul", "div")
    max_operations: int = 8
    start: tuple[str, ...] = MINIMAL
    islands: int = 2
    processes: int = 1
    parents: int = 40
    children: int = 20
    identity_rate: float = 0.05
    weights: tuple[float, float, float] = (5.0, 1.0, 5.0)
    fitter: str | Fitter = "lm"
    tolerance: float = 2.0**-24

    def __post_init__(self) -> None:
        check_operations("FunctionSearch", self.operations, self.max_operations)
        at_least_one("FunctionSearch", islands=self.islands, processes=self.processes)

    def search(
        self,
        budget: Budget,
        *,
        seed: int = 0,
        ledger: Ledger | None = None,
        run_id: str | None = None,
    ) -> Found:
        """Spend the budget, evenly over the islands.

        A search that was killed goes on under its `run_id`, without fitting a program again; so
        does one that ended, if it is given a larger budget.

        Args:
            budget: for the whole search. Programs are `draws`; `seconds` are those of fitting,
                added up over processes.
            seed: of the search.
            ledger: where every program goes with its error.
            run_id: see above; a new run where it is left out.

        Raises:
            InvalidArgument: a budget without a limit, or what `solve` raises.
        """
        if not budget.limits():
            raise InvalidArgument("FunctionSearch: give the budget a limit, such as draws=10_000.")
        share = {name: limit / self.islands for name, limit in budget.limits().items()}
        counts = {n: v if n in ("seconds", "money", "joules") else int(v) for n, v in share.items()}
        book, run_id = ledger if ledger is not None else Ledger(), run_id or new_id()
        with process_pool(self.processes) as pool:
            verifier = self.verifier(pool)
            tasks = [Task(list(self.start), verifier, f"island {i}") for i in range(self.islands)]
            result = solve(
                tasks,
                Mutations(
                    operations=self.operations,
                    max_operations=self.max_operations,
                    identity_rate=self.identity_rate,
                    weights=self.weights,
                ),
                NSGA2(parents=self.parents, children=self.children, elitist=True),
                ledger=book,
                run_id=run_id,
                name="function search",
                budget=Budget(**counts),  # pyright: ignore[reportArgumentType]
                seed=seed,
                workers=self.islands,
            )
        front = front_of([v.verdict for v in book.run(run_id).verdicts()])
        return Found(front=front, run_id=run_id, cost=result.cost)

    def verifier(self, pool: Executor | None = None) -> Approximates:
        """Return the verifier that the search asks."""
        return Approximates(
            target=self.target,
            interval=self.interval,
            tolerance=self.tolerance,
            fitter=self.fitter,
            pool=pool,
        )


@contextmanager
def process_pool(processes: int) -> Generator[Executor | None]:
    """Hold a pool of processes; none for one, which is this one."""
    if processes == 1:
        yield None
        return
    # Not forked: the threads of the islands would be lost in the child, and their locks held.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield pool
