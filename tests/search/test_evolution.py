"""NSGA-II sorts as brute force does, climbs known fronts, and keeps to its budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genwright.core import Budget, InvalidArgument, Samples, Stop, Task, Verdict, child_seed
from genwright.search.evolution import NSGA2, crowding_distance, non_dominated_sort
from genwright.testing import Passes

POINTS = st.integers(1, 12).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=st.integers(-3, 3).map(float))
)


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(
        x > y for x, y in zip(a, b, strict=True)
    )


@given(POINTS)
def test_fronts_are_those_of_brute_force(points):
    left, expected = list(range(len(points))), []
    while left:
        front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        expected.append(front)
        left = [i for i in left if i not in front]
    assert non_dominated_sort(points) == expected


def test_crowding_is_the_share_of_the_gap_between_neighbours():
    points = [[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [4.0, 0.0]]
    found = crowding_distance(points)
    assert found == pytest.approx([np.inf, 3 / 4 + 5 / 10, 3 / 4 + 6 / 10, np.inf])


def test_infinite_objectives_crowd_nothing_out():
    found = crowding_distance([[-np.inf, 3.0], [1.0, 2.0], [2.0, 1.0]])
    assert not np.isnan(found).any()
    assert crowding_distance([[-np.inf], [-np.inf]]) == pytest.approx([np.inf, np.inf])


class Steps:
    """Children are parents moved by a small step in the plane."""

    def sample(self, prompt, n, *, seed, first=0):
        values = []
        for i in range(n):
            rng = np.random.default_rng(child_seed(seed, first + i))
            parent = prompt[rng.integers(len(prompt))]
            values.append([float(v) for v in np.array(parent) + rng.normal(0, 0.2, 2)])
        return Samples(values)


class Convex:
    """The best trade-off of -(x^2 + y^2) and -((x - 2)^2 + y^2) is the segment from 0 to 2."""

    def check(self, samples):
        verdicts = []
        for x, y in samples.values:
            objectives = [-(x * x + y * y), -((x - 2) ** 2 + y * y)]
            verdicts.append(Verdict.fail({"objectives": objectives}, score=1 / (1 + x * x + y * y)))
        return verdicts


def front(outcome):
    return np.array([objectives for _, objectives in outcome.info["front"]])


def distance(outcome):
    """Mean distance of the front from the known one, where sqrt(-f) + sqrt(-g) = 2."""
    roots = np.sqrt(-front(outcome))
    return float((roots.sum(axis=1) - 2).mean())


@pytest.mark.parametrize("elitist", [True, False])
def test_it_climbs_to_the_known_front(elitist):
    strategy = NSGA2(parents=10, children=20, generations=40, elitist=elitist)
    task = Task([[4.0, 3.0]], Convex())
    outcome = strategy.run(Steps(), task, Budget(), seed=0)
    assert outcome.stop is Stop.COMPLETE
    assert len(outcome.samples) == 800
    assert distance(outcome) < 0.1
    assert np.ptp(np.sqrt(-front(outcome))[:, 0]) > 1.2  # spread over most of the segment
    still = NSGA2(parents=10, children=20, generations=1).run(Steps(), task, Budget(), seed=0)
    assert distance(still) > 3


def test_its_front_is_as_near_as_that_of_pymoo():
    nsga2 = pytest.importorskip("pymoo.algorithms.moo.nsga2")
    problems = pytest.importorskip("pymoo.problems.functional")
    minimize = pytest.importorskip("pymoo.optimize").minimize
    objectives = [lambda p: p @ p, lambda p: (p - [2, 0]) @ (p - [2, 0])]
    problem = problems.FunctionalProblem(2, objectives, xl=-5, xu=5)
    theirs = minimize(problem, nsga2.NSGA2(pop_size=20), ("n_gen", 40), seed=1).F
    strategy = NSGA2(parents=20, children=20, generations=40, elitist=True)
    ours = distance(strategy.run(Steps(), Task([[4.0, 3.0]], Convex()), Budget(), seed=1))
    assert ours < float((np.sqrt(theirs).sum(axis=1) - 2).mean()) + 0.02


def test_elitists_keep_their_parents_and_others_do_not():
    """Children that are all worse than the first one: only elitists go on drawing from it."""

    class Falling:
        def sample(self, prompt, n, *, seed, first=0):
            return Samples([min(v for v in prompt) - 1 for _ in range(n)])

    class Itself:
        def check(self, samples):
            return [Verdict.fail({"objectives": [v]}) for v in samples.values]

    def last(elitist):
        strategy = NSGA2(parents=1, children=1, generations=4, elitist=elitist)
        return strategy.run(Falling(), Task([0], Itself()), Budget(), seed=0).samples.values

    assert last(True) == [-1, -2, -2, -2]
    assert last(False) == [-1, -2, -3, -4]


def test_copies_do_not_fill_the_population():
    prompts = []

    class Coarse:
        def sample(self, prompt, n, *, seed, first=0):
            prompts.append(prompt)
            return Samples([i % 3 for i in range(n)])

    class Itself:
        def check(self, samples):
            return [Verdict.fail({"objectives": [float(v), 0.0]}) for v in samples.values]

    NSGA2(parents=5, children=9, generations=3).run(Coarse(), Task([7], Itself()), Budget(), seed=0)
    assert prompts == [[7], [2, 1, 0], [2, 1, 0]]


def test_it_stands_by_a_draw_that_passed():
    class Some:
        def check(self, samples):
            return [
                Verdict.undecided() if x > 5 else Verdict.ok(score=0.2) if x > 3 else
                Verdict.fail(score=0.9)
                for x, _ in samples.values
            ]  # fmt: skip

    strategy = NSGA2(parents=4, children=8, generations=3)
    outcome = strategy.run(Steps(), Task([[3.0, 0.0]], Some()), Budget(), seed=1)
    assert outcome.chosen is not None
    assert 3 < outcome.chosen.value[0] <= 5
    nothing = strategy.run(Steps(), Task([[99.0, 0.0]], Some()), Budget(), seed=1)
    assert nothing.chosen is None  # every draw was undecided
    assert nothing.info["front"] == []


def test_a_budget_ends_it():
    task = Task([[0.0, 0.0]], Convex())
    outcome = NSGA2().run(Steps(), task, Budget(draws=25), seed=0)
    assert (len(outcome.samples), outcome.stop) == (25, Stop.BUDGET)
    checked = NSGA2().run(Steps(), task, Budget(verifier_calls=17), seed=0)
    assert (len(checked.samples), checked.cost.verifier_calls) == (17, 17)


def test_what_cannot_run_is_refused():
    with pytest.raises(InvalidArgument, match="needs a verifier"):
        NSGA2(generations=1).run(Steps(), Task([[0.0, 0.0]]), Budget(), seed=0)
    with pytest.raises(InvalidArgument, match="set generations, or a budget"):
        NSGA2().run(Steps(), Task([[0.0, 0.0]], Passes(lambda v: True)), Budget(), seed=0)
    with pytest.raises(InvalidArgument, match="NSGA2: parents must be 1 or more, got 0"):
        NSGA2(parents=0)
