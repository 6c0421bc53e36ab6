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
