"""Processes that answer questions: limits, ends, and what they leave."""

import os
import signal
import threading
import time

import pytest

from genwright.core import SandboxError
from genwright.core.processes import NoAnswer, Process, Processes, side_by_side

ECHO = """
import os, time
from pathlib import Path

said = []

def prepare(*arguments):
    said.extend(arguments)

def answer(order, value=None):
    if order == "sleep":
        time.sleep(value)
    if order == "die":
        os._exit(3)
    if order == "allocate":
        bytearray(value << 20)
    if order == "write":
        Path(said[0]).write_bytes(bytes(value << 20))
    return [order, os.getpid(), said, sorted(os.environ)]

def finish(folder):
    Path(folder, "finished").touch()
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "echo.py"
    path.write_text(ECHO)
    return path


@pytest.fixture
def pool(script):
    script.write_text(ECHO.partition("def finish")[0])
    made = Processes(script, mebibytes=512)
    yield made
    made.close()


def test_one_process_answers_again_and_again_and_sees_no_secrets(pool, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_SECRET", "x")
    first, second = pool.ask(("a",), 300), pool.ask(("b",), 300)
    assert (first[0], second[0]) == ("a", "b")
    assert first[1] == second[1] != os.getpid()
    assert "GENWRIGHT_SECRET" not in first[3]


@pytest.mark.parametrize("order", [("sleep", 600), ("die",), ("allocate", 4096)])
def test_no_answer_ends_the_process_and_the_next_question_starts_another(pool, order):
    before = pool.ask(("a",), 300)[1]
    with pytest.raises(NoAnswer, match=r"within|died"):
        pool.ask(order, 2 if order[0] == "sleep" else 300)
    assert not pool.idle
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert pool.ask(("a",), 300)[1] != before


def test_a_process_that_died_idle_is_replaced(pool):
    before = pool.ask(("a",), 300)[1]
    os.kill(before, signal.SIGKILL)
    pool.idle[0].popen.wait()
    assert pool.ask(("a",), 300)[1] != before


def test_threads_that_ask_at_the_same_time_have_a_process_each(pool):
    both = threading.Barrier(2, timeout=300)

    def ask(_):
        both.wait()
        with pool._process() as process:
            both.wait()
            return process.popen.pid

    assert len(set(side_by_side(ask, [0, 1]))) == 2
    assert len(pool.idle) == 2


def test_a_fork_leaves_the_processes_to_who_started_them(pool):
    before = pool.ask(("a",), 300)[1]
    child = os.fork()
    if child == 0:
        os._exit(len(pool.idle))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.ask(("a",), 300)[1] == before


def test_arguments_reach_prepare_and_finish_is_called_when_who_asked_is_gone(script, tmp_path):
    process = Process(script, 512, str(tmp_path))
    assert process.ask(("a",), 300)[2] == [str(tmp_path)]
    process.channel.close()
    process.popen.wait(300)
    assert (tmp_path / "finished").exists()


def test_closing_kills_before_it_hangs_up(script, tmp_path):
    process = Process(script, 512, str(tmp_path))
    process.close()
    time.sleep(0.2)
    assert process.popen.returncode == -signal.SIGKILL
    assert not (tmp_path / "finished").exists()


@pytest.mark.parametrize(("allowed", "holds"), [(1, False), (8, True)])
def test_a_file_has_a_limit(script, tmp_path, allowed, holds):
    target = tmp_path / "big"
    process = Process(script, 512, str(target), file_mebibytes=allowed)
    try:
        if holds:
            assert process.ask(("write", 4), 300)[0] == "write"
        else:
            with pytest.raises(NoAnswer):
                process.ask(("write", 4), 300)
    finally:
        process.close()
    assert target.stat().st_size == min(allowed, 4) << 20


def test_a_script_that_does_not_start_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("raise SystemExit(1)")
    with pytest.raises(SandboxError, match=r"broken\.py did not start"):
        Process(tmp_path / "broken.py", 512)


def test_side_by_side_keeps_the_order():
    assert side_by_side(lambda i: i * i, range(20)) == [i * i for i in range(20)]
