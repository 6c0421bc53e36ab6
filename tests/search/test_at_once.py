"""Calls for many prompts run together where the generator can, and come back in order."""

import threading

import pytest

from genwright.core import Samples
from genwright.search.at_once import Ask, draw_at_once, each_at_once
from genwright.testing import Uniform


class Together:
    """Streams a draw once `n` calls wait for one, so that one call after the other would hang."""

    def __init__(self, n):
        self.barrier = threading.Barrier(n, timeout=300)

    def sample(self, prompt, n, *, seed, first=0):
        return Samples.of(s for _, s in self.stream(prompt, n, seed=seed, first=first))

    def stream(self, prompt, n, *, seed, first=0):
        self.barrier.wait()
        yield from enumerate(Samples([f"{prompt}{seed}{first + i}" for i in range(n)]), first)


def test_a_streaming_generator_works_on_all_calls_together():
    asks = [Ask(str(i), 2, seed=i, first=i) for i in range(5)]
    found = draw_at_once(Together(5), asks)
    assert [list(s.values) for s in found] == [[f"{i}{i}{i}", f"{i}{i}{i + 1}"] for i in range(5)]


def test_any_other_is_asked_one_call_after_the_other():
    generator, asks = Uniform("abc"), [Ask("p", 3, seed=i) for i in range(4)]
    alone = [generator.sample("p", 3, seed=i) for i in range(4)]
    assert draw_at_once(generator, asks) == alone
    assert draw_at_once(generator, []) == []


def test_what_a_call_raises_is_heard():
    def call(item):
        if item == 2:
            raise KeyError("two")
        return item

    assert each_at_once(call, [0, 1]) == [0, 1]
    with pytest.raises(KeyError, match="two"):
        each_at_once(call, [0, 1, 2, 3])
