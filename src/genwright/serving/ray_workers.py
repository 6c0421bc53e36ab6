"""Draws and checks on the machines of a Ray cluster; everything else stays where the run is.

`RayWorkers` starts worker processes; `solve(machines=...)` and `genwright solve --engine ray` take
it. A run goes on as ever, with one writer of the ledger: it is only the calls that travel, a call
for many draws in as many ranges as there are workers. Draw k is a function of the seed and of
k, so a run has the same draws on one machine and on fifty; a worker that is killed costs its calls
in progress, which are made again elsewhere.

Choose it once one machine is too slow. A model that is served already (`RemoteLM`) gains nothing.

Moritz et al. 2018, "Ray: A Distributed Framework for Emerging AI Applications", OSDI,
arXiv:1712.05889: actors, restarted with their lost calls.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Self

from genwright.core import (
    Generator,
    GenwrightError,
    InvalidArgument,
    Sample,
    Samples,
    StreamingGenerator,
    Verdict,
    Verifier,
    require,
)

TRIES = 5
"""How often a call is made again after the death of its worker."""

TOGETHER = 16
"""Calls in progress on one worker; a language model's engine puts them into one batch."""


class RayWorkers:
    """Worker processes, as a context manager.

    Args:
        workers: how many.
        address: of a running cluster, or "auto"; None starts one on this machine that listens on
            loopback alone.
        cpus: cores that Ray reserves for a worker.

    Raises:
        InvalidArgument: no workers.
        MissingExtra: Ray is not installed.
    """

    def __init__(self, workers: int = 2, *, address: str | None = None, cpus: float = 1) -> None:
        if workers < 1:
            raise InvalidArgument(f"RayWorkers: workers must be 1 or more, got {workers}.")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = require("ray", extra="scale", needed_by="RayWorkers")
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            local = {"num_cpus": max(1, round(workers * cpus)), "include_dashboard": False}
            self._ray.init(**quiet, **local, _node_ip_address="127.0.0.1")
        else:
            self._ray.init(address, **quiet)
        actor = self._ray.remote(_Worker).options(
            num_cpus=cpus, max_restarts=-1, max_task_retries=TRIES, max_concurrency=TOGETHER
        )
        self._actors = [actor.remote() for _ in range(workers)]
        self._busy = [0] * workers
        self._lock = threading.Lock()

    def generator(self, generator: Generator[Any]) -> "Spread":
        """Return a stand-in that draws on the workers."""
        streams = isinstance(generator, StreamingGenerator)
        return (SpreadStream if streams else Spread)(self, generator)

    def verifier(self, verifier: Verifier[Any]) -> "SpreadVerifier":
        """Return a stand-in that checks on the workers."""
        return SpreadVerifier(self, verifier)

    def call(self, method: str, *arguments: Any) -> Any:
        """Make one call on the least busy worker, and wait for it.

        Raises:
            GenwrightError: the worker died, again and again.

        Whatever the call itself raises is raised here.
        """
        with self._lock:
            at = self._busy.index(min(self._busy))
            self._busy[at] += 1
        try:
            return self._ray.get(getattr(self._actors[at], method).remote(*arguments))
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayActorError as error:
            raise GenwrightError(
                f"a worker died {TRIES + 1} times over the same call; its memory may be too "
                f"small. Everything before is recorded: resume the run. ({error})"
            ) from error
        finally:
            with self._lock:
                self._busy[at] -= 1

    def pids(self) -> list[int]:
        """Return the process ids of the workers, each on its own machine."""
        return self._ray.get([actor.pid.remote() for actor in self._actors])

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self._actors)

    def close(self) -> None:
        """End the workers, and the cluster where it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """What runs on a worker. Models that a generator loads stay in its process."""

    def pid(self) -> int:
        return os.getpid()

    def sample(self, generator: Any, prompt: Any, n: int, seed: int, first: int) -> Samples[Any]:
        return generator.sample(prompt, n, seed=seed, first=first)

    def check(self, verifier: Any, samples: Samples[Any]) -> list[Verdict]:
        return verifier.check(samples)


class Spread:
    """A generator whose draws are made on workers.

    What is not drawn through `sample` or `stream` happens here, on the generator itself.
    """

    def __init__(self, pool: RayWorkers, inner: Any) -> None:
        self._pool, self._inner = pool, inner

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return n draws for one prompt."""
        ranges = _ranges(n, first, self._pool.workers)
        if not ranges:
            return self._inner.sample(prompt, 0, seed=seed, first=first)
        with ThreadPoolExecutor(len(ranges)) as threads:
            parts = list(threads.map(lambda r: self._drawn(prompt, seed, *r), ranges))
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        return whole

    def _drawn(self, prompt: Any, seed: int, first: int, n: int) -> Samples[Any]:
        return self._pool.call("sample", self._inner, prompt, n, seed, first)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "stream":
            raise AttributeError(name)
        found = getattr(self._inner, name)
        return _passing_on(found, self._pool, self._inner) if callable(found) else found

    def __repr__(self) -> str:
        return f"Spread({self._inner!r})"


class SpreadStream(Spread):
    """A `Spread` that hands over each range of draws as it comes."""

    def stream(
        self, prompt: Any, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[Any]]]:
        """Yield (index of the draw, draw)."""
        ranges = _ranges(n, first, self._pool.workers)
        with ThreadPoolExecutor(max(1, len(ranges))) as threads:
            made = [(start, threads.submit(self._drawn, prompt, seed, start, size))
                    for start, size in ranges]  # fmt: skip
            for start, part in made:
                yield from enumerate(part.result(), start)


class SpreadVerifier:
    """A verifier whose checks are made on workers, a range of samples each."""

    def __init__(self, pool: RayWorkers, inner: Any) -> None:
        self._pool, self._inner = pool, inner

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Return one verdict a sample."""
        ranges = _ranges(len(samples), 0, self._pool.workers)
        with ThreadPoolExecutor(max(1, len(ranges))) as threads:
            parts = threads.map(
                lambda r: self._pool.call("check", self._inner, samples[r[0] : r[0] + r[1]]), ranges
            )
            return [verdict for part in parts for verdict in part]


def _passing_on(found: Callable[..., Any], pool: RayWorkers, inner: Any) -> Callable[..., Any]:
    """Call a method here; a generator that it returns is spread in turn."""

    def passed_on(*args: Any, **kwargs: Any) -> Any:
        result = found(*args, **kwargs)
        if result is inner or not isinstance(result, Generator):
            return result
        return pool.generator(result)

    return passed_on


def _ranges(n: int, first: int, most: int) -> list[tuple[int, int]]:
    """Cut n indices into at most so many ranges (first, size) of nearly equal size."""
    parts = min(n, most)
    edges = [first + n * i // parts for i in range(parts + 1)] if parts else [first]
    return [(a, b - a) for a, b in pairwise(edges)]
