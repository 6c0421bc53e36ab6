"""Calls in processes of their own come back in order, and a late or dead one is None."""

import time

from genwright.claims.bounded import bounded_map

LATE = "__import__('time').sleep(60)"
DEAD = "__import__('os')._exit(1)"


def test_order_is_kept_and_what_is_late_or_dies_is_none():
    began = time.perf_counter()
    found = bounded_map(eval, ["1 + 1", LATE, "'b'", DEAD, "3", "4"], seconds=2.0)
    assert found == [2, None, "b", None, 3, 4]  # the late, the dead and the last shared a process
    assert time.perf_counter() - began < 40  # well before the sleeper wakes


def test_nothing_is_an_empty_list():
    assert bounded_map(eval, [], seconds=1.0) == []
