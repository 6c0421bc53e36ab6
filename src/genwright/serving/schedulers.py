"""Who reads and who writes: placing requests on the machines of a cluster.

Choose `JoinShortestQueue` for machines that all do both (the baseline; machines that read prompts
in chunks are `Batching(chunk=...)`), `MixedPool` for machines split by phase.

Patel et al. 2023, "Splitwise", arXiv:2311.18677, Section 4.2 (cluster-level scheduling), and its
simulator. Both machines of a request are chosen when it arrives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from genwright.core import InvalidArgument
from genwright.serving.station import Station


@dataclass(frozen=True, kw_only=True)
class JoinShortestQueue:
    """Both phases on the machine with the fewest pending tokens."""

    def place(
        self, prompt: int, output: int, stations: Sequence[Station]
    ) -> tuple[Station, Station]:
        """Return that machine twice; the first of equals."""
        best = min(stations, key=_pending)
        return best, best


@dataclass(frozen=True, kw_only=True)
class MixedPool:
    """Prompt machines, token machines, and a pool between them that grows under load.

    A prompt goes to the prompt machine with the fewest pending tokens, else to such a mixed one,
    unless its queue is too long; then the token machine with the fewest pending tokens joins the
    mixed pool and takes it. An answer goes to the token machine with the least reserved memory,
    else to such a mixed one, unless it would be full; then the prompt machine with the least
    reserved memory joins the mixed pool. A machine returns to its own pool once it has drained.
    Where no machine is left for a phase, the least loaded of all takes both.

    Args:
        long_queue: pending tokens beyond which a prompt queue is too long; 8,192 is the published
            simulator's.
    """

    long_queue: int = 8192

    def place(
        self, prompt: int, output: int, stations: Sequence[Station]
    ) -> tuple[Station, Station]:
        """Return (machine that reads, machine that writes)."""
        if len(stations) < 2 and stations[0].home != "mixed":
            raise InvalidArgument("MixedPool: one machine cannot be split; use two or more.")
        pools: dict[str, list[Station]] = {"prompt": [], "token": [], "mixed": []}
        for station in stations:
            pools[station.pool].append(station)
        reader = writer = None
        for pool in (pools["prompt"], pools["mixed"]):
            best = min(pool, key=_pending, default=None)
            if best is not None and not self._long(best, prompt):
                reader = best
                break
        for pool in (pools["token"], pools["mixed"]):
            best = min(pool, key=_reserved, default=None)
            if best is not None and not _full(best, prompt + output):
                writer = best
                break
        if reader is None and pools["token"]:
            reader = _into_mixed(min(pools["token"], key=_pending), pools)
        if writer is None and pools["prompt"]:
            writer = _into_mixed(min(pools["prompt"], key=_reserved), pools)
        if reader is None or writer is None:
            reader = writer = min(stations, key=_pending)
        return reader, writer

    def _long(self, station: Station, prompt: int) -> bool:
        return bool(station.waiting) and station.pending + prompt > self.long_queue


def _pending(station: Station) -> int:
    return station.pending


def _reserved(station: Station) -> float:
    return station.reserved


def _full(station: Station, tokens: int) -> bool:
    return station.reserved + tokens * station.token_bytes >= station.room


def _into_mixed(station: Station, pools: dict[str, list[Station]]) -> Station:
    pools[station.pool].remove(station)
    station.pool = "mixed"
    return station
