"""Waiting for what happens elsewhere: as long as a busy machine may need, and no longer."""

import time

import psutil

PATIENT = 300.0
"""Seconds that anything may take here: a busy machine is no failure."""


def until(condition):
    """Wait until a condition holds; return its value."""
    end = time.monotonic() + PATIENT
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)
    return value


def is_running(pid):
    """Tell whether a process runs. Zombies do not: somebody else has yet to collect them."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
