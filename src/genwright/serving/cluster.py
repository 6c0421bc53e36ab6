"""A cluster of machines that serve a language model, simulated iteration by iteration.

Choose it to ask what a set of machines would sustain before renting them: which machines, how many
for prompts and how many for tokens, at what rate, power and price (`planning.plan`).

Patel et al. 2023, "Splitwise: Efficient Generative LLM Inference Using Phase Splitting",
arXiv:2311.18677. A request's prompt is read on one machine and its tokens are written on another
(or the same); between them the keys and values travel over a link, layer by layer while the prompt
of a long request is still being computed (Section 4.2), in one go after a short one.

Ours: one event queue on `heapq` and no thread a request; a link is occupied by one transfer at a
time at each end (`shared`), where the published simulator lets any number pass side by side; memory
is taken ahead (see `station`). A layered transfer is visible for as long as it outlasts the
computation of the layers before the last, and never less than one layer's share.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from genwright.core import Cost, InvalidArgument
from genwright.serving.simulated import Simulated
from genwright.serving.station import Batching, Hardware, Station, Work
from genwright.serving.traffic import Arrival


@dataclass(frozen=True, kw_only=True)
class Served:
    """The model that is served, as far as its cache goes.

    Args:
        layers: of attention.
        token_bytes: keys and values of one token, all layers.
    """

    layers: int
    token_bytes: float

    def __post_init__(self) -> None:
        if self.layers < 1 or not self.token_bytes > 0:
            raise InvalidArgument(
                "Served: layers must be 1 or more and token_bytes above 0, got "
                f"{self.layers} and {self.token_bytes}."
            )


@dataclass(frozen=True, kw_only=True)
class Link:
    """What connects any two machines.

    Args:
        bandwidth: bytes a second; may be infinite. 200 GB/s is the published simulator's.
        layered_from: prompts of so many tokens travel layer by layer while they are computed; None
            sends every prompt after it. 512 is the paper's on H100 machines.
        shared: whether a machine sends one prompt at a time and receives one at a time.
    """

    bandwidth: float = 200e9
    layered_from: int | None = 512
    shared: bool = True

    def __post_init__(self) -> None:
        if not self.bandwidth > 0:
            raise InvalidArgument(f"Link: bandwidth must be above 0, got {self.bandwidth}.")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine of a cluster: what it is, the pool it belongs to, how it batches."""

    hardware: Hardware
    pool: str = "mixed"
    batching: Batching = field(default_factory=Batching)

    def __post_init__(self) -> None:
        if self.pool not in ("prompt", "token", "mixed"):
            raise InvalidArgument(
                f"Machine: pool must be 'prompt', 'token' or 'mixed', got {self.pool!r}."
            )


class Scheduler(Protocol):
    """Places requests on machines, both phases when a request arrives."""

    def place(
        self, prompt: int, output: int, stations: Sequence[Station]
    ) -> tuple[Station, Station]:
        """Return (machine that reads, machine that writes)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Machines, what connects them, and who decides.

    Args:
        machines: at least one.
        served: the model.
        scheduler: places requests.
        link: between any two machines.
    """

    machines: tuple[Machine, ...]
    served: Served
    scheduler: Scheduler
    link: Link = field(default_factory=Link)

    def __post_init__(self) -> None:
        if not self.machines:
            raise InvalidArgument("Cluster: needs at least one machine, got none.")

    @property
    def watts(self) -> float:
        """The power of all machines."""
        return sum(machine.hardware.watts for machine in self.machines)

    @property
    def price(self) -> float:
        """An hour of all machines."""
        return sum(machine.hardware.price for machine in self.machines)

    def run(self, trace: Sequence[Arrival]) -> Simulated:
        """Answer a trace.

        Raises:
            InvalidArgument: a request that does not fit into the machine it is placed on.
        """
        found = _Run(self, trace, None).go()
        assert found is not None, "only a watched run is given up"
        return found

    def run_while(self, trace: Sequence[Arrival], good: Callable[[Work], bool]) -> Simulated | None:
        """Answer a trace, or give up and return None once `good` says so.

        Args:
            trace: of requests.
            good: is asked after a request's first token and after its last: `finish` is 0 before.
        """
        return _Run(self, trace, good).go()


_ARRIVE, _END, _LAND = range(3)


class _Run:
    """One simulation: the queue of events and the machines' states."""

    def __init__(
        self,
        cluster: Cluster,
        trace: Sequence[Arrival],
        good: Callable[[Work], bool] | None,
    ) -> None:
        self.cluster = cluster
        self.good, self.given_up = good, False
        self.stations = [
            Station(i, m.hardware, m.batching, m.pool, cluster.served.token_bytes)
            for i, m in enumerate(cluster.machines)
        ]
        self.trace = sorted(trace, key=lambda arrival: arrival.at)
        self.order = itertools.count()
        self.events: list[tuple[float, int, int, object]] = []
        self.works: list[Work] = []
        self.sends = [0.0] * len(self.stations)
        self.receives = [0.0] * len(self.stations)
        self.moved = 0.0
        self.now = 0.0

    def go(self) -> Simulated | None:
        """Run until every request is answered, or until it is given up."""
        for arrival in self.trace:
            heapq.heappush(self.events, (arrival.at, next(self.order), _ARRIVE, arrival))
        while self.events:
            at, _, kind, what = heapq.heappop(self.events)
            assert at >= self.now, "events never go back in time"
            self.now = at
            if kind == _ARRIVE and isinstance(what, Arrival):
                self._arrive(what)
            elif kind == _END and isinstance(what, Station):
                self._end(what)
            elif isinstance(what, Work):
                self._land(what)
            if self.given_up:
                return None
        held = sum(station.used for station in self.stations)
        assert abs(held) < 1, "memory comes back"
        assert not any(station.pending for station in self.stations), "every request is answered"
        span = self.now - (self.trace[0].at if self.trace else 0.0)
        hours = span / 3600
        cost = Cost(
            draws=len(self.works),
            prompt_tokens=sum(work.prompt for work in self.works),
            new_tokens=sum(work.output for work in self.works),
            seconds=span,
            money=hours * self.cluster.price,
            joules=span * self.cluster.watts,
            joules_by="estimated",
        )
        return Simulated.of(self.works, self.stations, span=span, moved=self.moved, cost=cost)

    def _arrive(self, arrival: Arrival) -> None:
        reader, writer = self.cluster.scheduler.place(arrival.prompt, arrival.output, self.stations)
        work = Work(len(self.works), arrival.at, arrival.prompt, arrival.output, reader, writer)
        whole = (work.prompt + work.output) * self.cluster.served.token_bytes
        if whole > writer.room or (work.prompt + 1) * reader.token_bytes > reader.room:
            raise InvalidArgument(
                f"Cluster: request {work.index} needs {whole / 1e9:.3g} GB for its "
                f"{work.prompt} + {work.output} tokens; {writer.hardware.name} has "
                f"{writer.room / 1e9:.3g} GB."
            )
        self.works.append(work)
        reader.pending += work.prompt
        writer.pending += 1
        writer.reserved += whole
        if reader is not writer:
            reader.reserved += (work.prompt + 1) * reader.token_bytes
        reader.waiting.append(work)
        self._try(reader)

    def _try(self, station: Station) -> None:
        """Start an iteration where the machine is idle and has something to run."""
        if station.busy:
            return
        seconds = station.begin()
        if seconds is None:
            return
        for work, _ in station.reading:
            if work.started < 0:
                work.started = self.now
        heapq.heappush(self.events, (self.now + seconds, next(self.order), _END, station))

    def _end(self, station: Station) -> None:
        read, done = station.end(self.now)
        for work in read:
            work.first = work.last = self.now
            self._ask(work)
            if work.output == 1:
                self._finish(work)
            elif work.writer is station:
                station.landed.append(work)
            else:
                self._send(work)
        for work in done:
            self._finish(work)
        if not station.pending and station.pool != station.home:
            station.pool = station.home
        self._try(station)

    def _send(self, work: Work) -> None:
        """Put a prompt's keys and values on their way."""
        link, served = self.cluster.link, self.cluster.served
        size = (work.prompt + 1) * served.token_bytes
        whole = size / link.bandwidth if link.bandwidth != inf else 0.0
        self.moved += size
        seen = whole
        if link.layered_from is not None and work.prompt >= link.layered_from:
            overlapped = (self.now - work.started) * (served.layers - 1) / served.layers
            seen = max(whole / served.layers, whole - overlapped)
        reader, writer = work.reader.index, work.writer.index
        begin = self.now
        if link.shared:
            begin = max(begin, self.sends[reader], self.receives[writer])
            self.sends[reader] = self.receives[writer] = begin + seen
        heapq.heappush(self.events, (begin + seen, next(self.order), _LAND, work))

    def _land(self, work: Work) -> None:
        reader, writer = work.reader, work.writer
        self._free(reader, work.held, (work.prompt + 1) * reader.token_bytes)
        writer.landed.append(work)
        self._try(writer)

    def _finish(self, work: Work) -> None:
        work.finish = self.now
        self._ask(work)
        writer, reader = work.writer, work.reader
        whole = (work.prompt + work.output) * writer.token_bytes
        writer.pending -= 1
        self._free(writer, work.kept if reader is not writer else work.held, whole)
        if reader is not writer and work.output == 1:  # nothing travelled: the reader kept it
            self._free(reader, work.held, (work.prompt + 1) * reader.token_bytes)

    def _ask(self, work: Work) -> None:
        if self.good is not None and not self.good(work):
            self.given_up = True

    def _free(self, station: Station, used: float, reserved: float) -> None:
        station.used -= used
        station.reserved -= reserved
        blocked, station.blocked = station.blocked, {}
        self._try(station)
        for other in blocked:
            self._try(other)
