"""Evolution with several objectives: the generator changes draws, and the better half goes on.

`NSGA2` is a strategy: the generator's prompt is the population, its draws are children, and the
verdicts say how good they are. Choose it where good draws are reached by changing draws, and where
several things are wanted at once, such as accuracy and speed: what comes back is a front, of which
no member is worse than another in everything.

Deb, Pratap, Agarwal, Meyarivan 2002, "A Fast and Elitist Multiobjective Genetic Algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6: the fast non-dominated sort (Section
III-A), the crowding distance (III-B) and the elitist loop (III-C). Without elitism, parents end
with their generation, as in Real et al. 2023, arXiv:2312.08472. Ours: no crossover, and parents are
drawn evenly by the generator instead of by tournament, as in the latter; members with equal
objectives count as one, the latest, so that copies cannot fill the population.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genwright.core import (
    Budget,
    Cost,
    Generator,
    InvalidArgument,
    Outcome,
    Sample,
    Samples,
    Stop,
    Task,
    Verdict,
    child_seed,
    method,
)
from genwright.search.tally import at_least_one


@dataclass(frozen=True)
class Member:
    """A draw of a population.

    Args:
        draw: number of the draw in the run of the strategy.
        sample: the draw.
        objectives: the more, the better, each.
        verdict: what the verifier said.
    """

    draw: int
    sample: Sample[Any]
    objectives: tuple[float, ...]
    verdict: Verdict


@method(paper="10.1109/4235.996017")
@dataclass(frozen=True, kw_only=True)
class NSGA2:
    """Let a population evolve, generation by generation, and stand by its best draw.

    The first prompt is the task's; each later one is the list of the parents' values. A verdict
    brings objectives as `evidence["objectives"]`, a list of numbers of which more is better; its
    score is the only objective where there is none. An undecided draw is no member.

    Args:
        parents: members that go on to the next generation.
        children: draws a generation. The defaults are those of the paper's published example.
        generations: the most; None goes on until the budget is spent.
        elitist: whether parents compete with their children.

    Raises:
        InvalidArgument: counts below 1.
    """

    parents: int = 5
    children: int = 10
    generations: int | None = None
    elitist: bool = False

    def __post_init__(self) -> None:
        at_least_one("NSGA2", parents=self.parents, children=self.children)
        if self.generations is not None:
            at_least_one("NSGA2", generations=self.generations)

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Evolve. `info["front"]` holds [draw, objectives] of the best of all generations.

        The chosen draw is the first with the highest score among those that passed, or among all
        where none did.

        Raises:
            InvalidArgument: the task has no verifier, nothing ends the run, or verdicts differ in
                their number of objectives.
        """
        if task.verifier is None:
            raise InvalidArgument("NSGA2: the task needs a verifier; it says which draws are good.")
        if self.generations is None and not budget.limits():
            raise InvalidArgument("NSGA2: set generations, or a budget that ends the run.")
        samples, cost = Samples[Any](), Cost()
        population: list[Member] = []
        front: list[Member] = []
        best: Member | None = None
        prompt, generation, stop = task.prompt, 0, Stop.COMPLETE
        while generation != self.generations:
            room = budget.room(cost, self.children)
            if budget.verifier_calls is not None:
                room = min(room, budget.verifier_calls - cost.verifier_calls)
            if room <= 0:
                stop = Stop.BUDGET
                break
            born = generator.sample(prompt, room, seed=child_seed(seed, "generation", generation))
            verdicts = task.verifier.check(born)
            cost += born.cost + sum((v.cost for v in verdicts), Cost())
            children = [
                Member(len(samples) + i, sample, _objectives(verdict), verdict)
                for i, (sample, verdict) in enumerate(zip(born, verdicts, strict=True))
                if verdict.decided
            ]
            samples += born
            best = _best(best, children)
            front = _front([*front, *children])
            population = self._select([*(population if self.elitist else []), *children])
            prompt = [member.sample.value for member in population] or task.prompt
            generation += 1
            if room < self.children:
                stop = Stop.BUDGET
                break
        told = [[m.draw, list(m.objectives)] for m in front]
        info = {"generations": generation, "front": told}
        if best is None:
            return Outcome(None, samples, stop, info, None, cost)
        return Outcome(best.sample, samples, stop, info, best.verdict, cost)

    def _select(self, members: Sequence[Member]) -> list[Member]:
        """Return the next parents: whole fronts, and of the last one what is least crowded."""
        latest = list({m.objectives: m for m in members}.values())
        chosen: list[Member] = []
        points = [m.objectives for m in latest]
        for front in non_dominated_sort(points) if points else []:
            room = self.parents - len(chosen)
            distance = crowding_distance([points[i] for i in front])
            order = np.argsort(-distance, kind="stable")
            chosen += [latest[front[i]] for i in order[:room]]
        return chosen


def non_dominated_sort(points: ArrayLike) -> list[list[int]]:
    """Return fronts of row numbers: the first is dominated by none, the next only by it, and on.

    A point dominates another if it is at least as good in everything and better in something.

    Args:
        points: [N, objectives]; more is better.
    """
    values = np.asarray(points, dtype=np.float64)
    at_least = np.all(values[:, None] >= values[None], axis=2)
    dominates: NDArray[np.bool_] = np.logical_and(at_least, np.logical_not(at_least.T))
    left = np.sum(dominates, axis=0)
    fronts: list[list[int]] = []
    placed = np.zeros(len(values), dtype=bool)
    while not placed.all():
        front = np.flatnonzero((left == 0) & ~placed)
        placed[front] = True
        left = left - np.sum(dominates[front], axis=0)
        fronts.append([int(i) for i in front])
    return fronts


def crowding_distance(points: ArrayLike) -> NDArray[np.float64]:
    """Return how far apart the neighbours of each point of one front lie: infinite at its ends.

    The sum over objectives of the gap between the neighbours, as a share of the objective's range.

    Args:
        points: [N, objectives].
    """
    values = np.asarray(points, dtype=np.float64)
    distance = np.zeros(len(values))
    for raw in values.T:
        finite = raw[np.isfinite(raw)]
        column = np.clip(raw, finite.min(), finite.max()) if len(finite) else np.zeros(len(raw))
        order = np.argsort(column, kind="stable")
        distance[order[[0, -1]]] = np.inf
        span = column[order[-1]] - column[order[0]]
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def _front(members: Sequence[Member]) -> list[Member]:
    """Return the members that none dominates, the first of equals, in the order of drawing."""
    first = {m.objectives: m for m in reversed(members)}
    latest = [m for m in members if first[m.objectives] is m]
    if not latest:
        return []
    return [latest[i] for i in non_dominated_sort([m.objectives for m in latest])[0]]


def _objectives(verdict: Verdict) -> tuple[float, ...]:
    evidence = verdict.evidence
    if isinstance(evidence, Mapping) and "objectives" in evidence:
        found = cast("Mapping[str, Any]", evidence)["objectives"]
        return tuple(float(value) for value in found)
    return (float(verdict.score or 0.0),)


def _best(best: Member | None, children: Sequence[Member]) -> Member | None:
    """Return the first of the worthiest."""
    for child in children:
        if best is None or _worth(child) > _worth(best):
            best = child
    return best


def _worth(member: Member) -> tuple[bool, float]:
    return member.verdict.passed is True, member.verdict.score or 0.0
