"""Draws for many prompts at once: what a search in flight asks of its generator.

A generator takes one prompt a call. One that hands over draws as they finish
(`StreamingGenerator`: the local engine, an endpoint) works on calls of several threads together, so
that the calls for 32 leaves become one batch of the model. Any other is asked one call after the
other.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from genwright.core import Generator, Samples, StreamingGenerator

A = TypeVar("A")
B = TypeVar("B")

MOST = 64
"""Calls in progress at a time."""


@dataclass(frozen=True)
class Ask:
    """One call of `Generator.sample`: n draws for a prompt."""

    prompt: Any
    n: int
    seed: int
    first: int = 0


def draw_at_once(generator: Generator[Any], asks: Sequence[Ask]) -> list[Samples[Any]]:
    """Return what each call brings, in the order of the calls.

    Whatever a call raises is raised here, once no call is in progress any more.
    """

    def call(ask: Ask) -> Samples[Any]:
        return generator.sample(ask.prompt, ask.n, seed=ask.seed, first=ask.first)

    if isinstance(generator, StreamingGenerator):
        return each_at_once(call, asks)
    return [call(ask) for ask in asks]


def each_at_once(call: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """Return what a call that waits for the engine brings for each item, in order."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(MOST, len(items)), thread_name_prefix="genwright-leaves") as pool:
        return list(pool.map(call, items))
