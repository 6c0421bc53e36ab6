"""Many calls of native code in processes of their own, each with a time limit.

A Python signal does not interrupt native code; ending its process does.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import Pool
from typing import Any, TypeVar

R = TypeVar("R")


def bounded_map(
    function: Callable[..., R], items: Sequence[Any], *, seconds: float, workers: int = 2
) -> list[R | None]:
    """Return `function(item)` for each item, in order; None where it ran out of time or died.

    Args:
        function: of a module, so that another process finds it; its results can be pickled.
        items: what it is called with.
        seconds: wall-time limit of a call.
        workers: processes at a time.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit the threads of torch

    def ready() -> Pool:
        pool = context.Pool(1)
        pool.apply(int)  # a process that is still importing does not eat into the first limit
        return pool

    def share(own: Sequence[Any]) -> list[R | None]:
        found: list[R | None] = []
        pool = ready()
        try:
            for item in own:
                try:
                    found.append(pool.apply_async(function, (item,)).get(seconds))
                except multiprocessing.TimeoutError:
                    pool.terminate()
                    pool = ready()
                    found.append(None)
        finally:
            pool.terminate()
        return found

    with ThreadPoolExecutor(workers) as threads:
        shares = list(threads.map(share, [items[i::workers] for i in range(workers)]))
    return [shares[i % workers][i // workers] for i in range(len(items))]
