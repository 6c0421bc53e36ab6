"""SIGKILL at 200 random moments: nothing recorded is lost, nothing recorded is paid twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from paid import TASKS, attempt

from genwright.core import InvalidArgument, Ledger

PROGRAM = Path(__file__).with_name("paid.py")
RUNS, KILLS = 20, 10
PAUSE = 0.004


def start(folder, seed):
    """Start an attempt, and wait until it has imported what it needs."""
    arguments = [str(folder / "ledger.db"), str(folder / "paid"), str(PAUSE), str(seed)]
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"imported\n"
    process.stdout.close()
    return process


def paid(folder):
    path = folder / "paid"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def wait_for(folder, payments):
    deadline = time.monotonic() + 60
    while paid(folder).total() < payments and time.monotonic() < deadline:
        time.sleep(0.002)


def recorded(path):
    """Return what the ledger holds, as the lines of the file of payments."""
    if not path.exists():
        return Counter()
    with Ledger(path) as ledger:
        if not ledger.runs():
            return Counter()
        run = ledger.run("run")
        draws = [f"draw {d.task} {d.index} {d.sample.value.split(':')[1]}" for d in run.draws()]
        names = {d.digest: d.sample.value for d in run.draws()}
        return Counter([*draws, *(f"check {names[j.digest]}" for j in run.verdicts())])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(RUNS))
def test_a_run_killed_ten_times_ends_as_if_never_killed(tmp_path, seed):
    """Ten attempts of 40 ms on average cover a life: opening, drawing, checking, ending."""
    moments = random.Random(seed)
    in_flight = Counter()
    for _ in range(KILLS):
        before = recorded(tmp_path / "ledger.db")
        process = start(tmp_path, seed)
        time.sleep(moments.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = recorded(tmp_path / "ledger.db")
        assert before <= after  # nothing recorded is ever lost
        assert max(after.values(), default=1) == 1
        lost = paid(tmp_path) - after - in_flight
        draws = [line for line in lost.elements() if line.startswith("draw")]
        assert len(draws) <= 1  # the one in flight; the checks of one batch besides
        in_flight += lost

    with Ledger(tmp_path / "ledger.db") as ledger:
        result = attempt(ledger, str(tmp_path / "paid"), PAUSE, seed=seed)
    assert paid(tmp_path) == recorded(tmp_path / "ledger.db") + in_flight  # to the last line
    whole = attempt(Ledger(), str(tmp_path / "other"), PAUSE, seed=seed)
    assert [same(o) for o in result.outcomes] == [same(o) for o in whole.outcomes]
    assert result.cost.draws == whole.cost.draws == sum(len(o.samples) for o in whole.outcomes)


def same(outcome):
    samples = outcome.samples
    return outcome.chosen, samples.values, samples.costs, outcome.stop, outcome.verdict


def test_two_processes_write_one_ledger(tmp_path):
    path = tmp_path / "ledger.db"
    program = (
        "import sys\n"
        "from genwright.core import Ledger, Sample\n"
        "from genwright.core.run import Call\n"
        "run = Ledger(sys.argv[1]).start_run(sys.argv[2], {}, 0, sys.argv[2])\n"
        "for i in range(300): run.record_draw('t', Call('p', 0), i, Sample(f'{sys.argv[2]}{i}'))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in "abc"]
    assert [w.wait(300) for w in writers] == [0, 0, 0]
    with Ledger(path) as ledger:
        for name in "abc":
            values = [d.sample.value for d in ledger.run(name).draws()]
            assert values == [f"{name}{i}" for i in range(300)]


def test_a_run_in_progress_is_refused_and_free_once_its_process_is_killed(tmp_path):
    process = start(tmp_path, 3)
    wait_for(tmp_path, 1)
    with Ledger(tmp_path / "ledger.db") as ledger:
        with pytest.raises(InvalidArgument, match="is being worked on"):
            attempt(ledger, str(tmp_path / "paid"), PAUSE, seed=3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(attempt(ledger, str(tmp_path / "paid"), PAUSE, seed=3).outcomes) == TASKS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_run_that_resumes(tmp_path, number):
    process = start(tmp_path, 3)
    wait_for(tmp_path, 5)
    os.kill(process.pid, number)
    assert process.wait(300) != 0
    with Ledger(tmp_path / "ledger.db") as ledger:
        assert ledger.run("run").state.value == "interrupted"
        result = attempt(ledger, str(tmp_path / "paid"), PAUSE, seed=3)
        assert len(result.outcomes) == TASKS
        assert ledger.run("run").state.value == "finished"
