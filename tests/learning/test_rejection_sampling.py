"""What passed becomes training rows: distinct, few a task, in the order of drawing."""

import pytest

from genwright.core import InvalidArgument, Ledger, Task, solve
from genwright.learning.rejection_sampling import accepted
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.testing import Passes, Scripted

DRAWS = {"p": ["good 1", "bad", " good 1\n", "good 2"], "q": ["bad", "bad", "bad", "bad"]}


def recorded():
    ledger = Ledger()
    tasks = [Task(prompt, Passes(lambda v: "good" in v)) for prompt in DRAWS]
    everything = RepeatedSampling(n=4, stop_on_pass=False)
    result = solve(tasks, Scripted(DRAWS), everything, ledger=ledger)
    return ledger.run(result.run_id)


def test_only_distinct_draws_that_passed_become_rows():
    rows = accepted(recorded())
    assert [(r["prompt"], r["completion"]) for r in rows] == [("p", "good 1"), ("p", "good 2")]


def test_an_easy_task_gives_no_more_than_its_share():
    assert [r["completion"] for r in accepted(recorded(), per_task=1)] == ["good 1"]
    with pytest.raises(InvalidArgument, match="per_task"):
        accepted(recorded(), per_task=0)


def test_accepted_pictures_become_rows_of_numbers():
    import numpy as np

    values = [np.full((1, 2, 2), v, dtype=np.float32) for v in (0.5, 0.5, -0.25, 0.0)]
    with Ledger() as ledger:
        run = solve(
            [Task(3, Passes(lambda value: bool(value.mean())), "three")],
            Scripted(values),
            RepeatedSampling(n=4, batch=4, stop_on_pass=False),
            ledger=ledger,
        ).run_id
        rows = accepted(ledger.run(run))
    assert [row["completion"] for row in rows] == [[[[0.5] * 2] * 2], [[[-0.25] * 2] * 2]]
    assert {row["prompt"] for row in rows} == {3}
