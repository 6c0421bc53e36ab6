"""Real worker processes of Ray on loopback: same draws, and what a killed one costs."""

import os
import signal

import pytest

from genwright.core import InvalidArgument, Ledger, Task, solve
from genwright.search.approximation import Approximates
from genwright.search.mutations import Mutations, RandomPrograms
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.serving.ray_workers import RayWorkers, _ranges

pytest.importorskip("ray")

TASKS = [Task(f"part {i}", Approximates(tolerance=0.2), f"part {i}") for i in range(4)]
STRATEGY = RepeatedSampling(n=9, stop_on_pass=False)


@pytest.fixture(scope="module")
def pool():
    with RayWorkers(3, cpus=0.5) as made:
        yield made


def transcript(machines, on_event=None):
    book = Ledger()
    found = solve(
        TASKS, RandomPrograms(), STRATEGY, ledger=book, seed=3, machines=machines, on_event=on_event
    )
    run = book.run(found.run_id)
    draws = [(d.task, d.index, d.sample.value) for d in run.draws()]
    verdicts = [(v.task, v.verdict.passed, v.verdict.score) for v in run.verdicts()]
    chosen = [outcome.chosen and outcome.chosen.value for outcome in found.outcomes]
    return run.spec, sorted(draws), sorted(verdicts), chosen


def test_a_run_has_the_transcript_of_one_machine(pool):
    assert transcript(pool) == transcript(None)


def test_a_killed_worker_costs_its_calls_and_nothing_else(pool):
    before, killed = pool.pids(), []

    def kill(event):
        if event.kind == "verdict" and not killed:
            killed.append(before[0])
            os.kill(before[0], signal.SIGKILL)

    assert transcript(pool, kill) == transcript(None)
    after = pool.pids()
    assert len(killed) == 1
    assert killed[0] not in after
    assert len(set(after) & set(before)) == 2


def test_what_a_call_raises_comes_back_as_it_is(pool):
    spread = pool.generator(Mutations())
    with pytest.raises(InvalidArgument, match="the prompt must hold at least one program"):
        spread.sample([], 5, seed=0)


def test_ranges_cover_every_index_once():
    for n in range(12):
        for most in range(1, 6):
            found = [i for start, size in _ranges(n, 7, most) for i in range(start, start + size)]
            assert found == list(range(7, 7 + n))
            assert len(_ranges(n, 7, most)) == min(n, most)


def test_no_workers_are_refused():
    with pytest.raises(InvalidArgument, match="workers must be 1 or more"):
        RayWorkers(0)
