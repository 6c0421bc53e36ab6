import os
import signal
import threading

import pytest

from genwright.generators.language.apart import apart


def test_it_runs_on_another_thread_and_returns_what_the_work_returns():
    assert apart(lambda _: threading.get_ident()) != threading.get_ident()


def test_what_the_work_raises_comes_back():
    def work(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        apart(work)


def test_an_interrupt_tells_the_work_to_stop_and_waits_for_it():
    ended = []

    def work(stop):
        os.kill(os.getpid(), signal.SIGINT)
        ended.append(stop.wait(300))

    with pytest.raises(KeyboardInterrupt):
        apart(work)
    assert ended == [True]
