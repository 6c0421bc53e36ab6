"""One simulated machine: what it holds, and what its next iteration runs.

Used by `cluster.Cluster`, which gives it the time; a scheduler sees its queue and its memory.

Patel et al. 2023, "Splitwise", arXiv:2311.18677, Section 4.3 (machine-level scheduling) and its
simulator: prompts first, in the order of their arrival, up to `max_tokens` tokens; answers fill
what is left of that; an answer that was left out `age` times goes before prompts, and a prompt that
stood first that often before answers. With `chunk`, as
in Agrawal et al. 2024, "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve",
arXiv:2403.02310: all answers go first, and prompts are read in pieces that fill the iteration up to
`chunk` tokens.

Ours: the memory of a request is taken when its prompt starts, at both machines and for its whole
length, so nothing that has started ever waits for memory, and no two machines can wait for each
other.
"""

from collections import deque
from dataclasses import dataclass, field

from genwright.core import InvalidArgument
from genwright.serving.profile import Profile


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A kind of machine.

    Args:
        name: what it is called.
        profile: how long its iterations take.
        watts: its power, the whole machine.
        price: an hour of it, in any currency.
        memory: bytes for keys and values, the model's weights taken off.
    """

    name: str
    profile: Profile
    watts: float
    price: float
    memory: float

    def __post_init__(self) -> None:
        if min(self.watts, self.price) < 0 or not self.memory > 0:
            raise InvalidArgument(
                f"Hardware {self.name}: watts and price must be 0 or more and memory above 0, got "
                f"{self.watts}, {self.price} and {self.memory}."
            )


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How a machine fills an iteration.

    Args:
        max_tokens: prompt tokens and answers of one iteration; a longer prompt runs alone. 2,048 is
            the published simulator's.
        max_sequences: prompts and answers of one iteration; 512 is the published simulator's.
        chunk: read prompts in pieces, so that an iteration has at most so many tokens; None reads
            each prompt in one iteration.
        age: how often an answer may be left out for prompts, or a prompt that stands first for
            answers; 4 is the published simulator's.
    """

    max_tokens: int = 2048
    max_sequences: int = 512
    chunk: int | None = None
    age: int = 4

    def __post_init__(self) -> None:
        least = min(self.max_tokens, self.max_sequences, self.age, self.chunk or 1)
        if least < 1 or self.chunk == 0:
            raise InvalidArgument(f"Batching: every limit must be 1 or more, got {self}.")


@dataclass(eq=False, slots=True)
class Work:
    """A request under way."""

    index: int
    arrival: float
    prompt: int
    output: int
    reader: "Station"
    writer: "Station"
    done: int = 0  # prompt tokens read
    end: int = 0  # the writer's round after which the answer is complete
    skipped: int = 0  # iterations it was left out of
    last: float = 0.0  # when its latest token came, while that is not the writer's latest iteration
    started: float = -1.0
    first: float = 0.0
    finish: float = 0.0
    held: float = 0.0  # bytes at the reader
    kept: float = 0.0  # bytes at the writer, where that is another machine


@dataclass(eq=False)
class Station:
    """The state of one machine.

    Args:
        index: its place in the cluster.
        hardware: what it is.
        batching: how it fills iterations.
        home: the pool it belongs to: `"prompt"`, `"token"` or `"mixed"`.
        token_bytes: keys and values of one token.
    """

    index: int
    hardware: Hardware
    batching: Batching
    home: str
    token_bytes: float
    pool: str = ""
    pending: int = 0  # prompt tokens not read yet, and one for every unfinished answer
    reserved: float = 0.0  # bytes promised to requests placed here
    used: float = 0.0  # bytes held by requests that have started
    peak: float = 0.0  # the most of them
    waiting: "deque[Work]" = field(default_factory=deque)
    landed: "deque[Work]" = field(default_factory=deque)
    rows: list[Work] = field(default_factory=list)
    fresh: list[Work] = field(default_factory=list)
    blocked: "dict[Station, None]" = field(default_factory=dict)
    rounds: int = 0
    next_end: int = 0
    cached: int = 0
    last_end: float = 0.0
    busy: bool = False
    busy_seconds: float = 0.0
    iterations: int = 0
    beyond: int = 0
    gaps: list[tuple[float, int]] = field(default_factory=list)
    reading: list[tuple[Work, int]] = field(default_factory=list)
    _left_out: list[Work] | None = None

    def __post_init__(self) -> None:
        self.pool = self.home

    @property
    def room(self) -> float:
        """Bytes for keys and values."""
        return self.hardware.memory

    def begin(self) -> float | None:
        """Choose the next iteration and return its seconds, or None where nothing can run."""
        limit = self.batching.max_sequences
        while self.landed and len(self.rows) < limit:
            self._join(self.landed.popleft())
        if self.batching.chunk is None:
            self._fill_whole()
        else:
            self._fill_chunked(self.batching.chunk)
        skipped = self._left_out or []
        rows = len(self.rows) - len(skipped)
        tokens = sum(size for _, size in self.reading)
        if not rows and not tokens:
            return None
        cached = self.cached - sum(self._context(work) for work in skipped)
        self.iterations += 1
        self.beyond += not self.hardware.profile.covers(tokens, rows)
        self.busy = True
        seconds = self.hardware.profile.mixed_seconds(tokens, rows, cached)
        self.busy_seconds += seconds
        return seconds

    def _fill_whole(self) -> None:
        """Prompts first, whole; answers fill the rest, those left out too often before all."""
        limits = self.batching
        self._left_out, self.reading = None, []
        if not self.waiting:
            return
        aged = [work for work in self.rows if work.skipped >= limits.age]
        head = self.waiting[0]
        if head.skipped >= limits.age:  # a long prompt fits beside no aged answer: it has its turn
            aged = aged[: max(0, limits.max_tokens - head.prompt)]
        aged = aged[: min(limits.max_tokens, limits.max_sequences - 1)]
        self.reading, tokens = self._take(len(aged), len(aged))
        if not self.reading:
            head.skipped += 1
            return
        room = min(
            limits.max_tokens - tokens - len(aged),
            limits.max_sequences - len(self.reading) - len(aged),
        )
        chosen = set(aged)
        others = [work for work in self.rows if work not in chosen]
        self._left_out = others[max(0, room) :] or None

    def _take(self, tokens: int, count: int) -> tuple[list[tuple[Work, int]], int]:
        """Start waiting prompts while they fit beside so many tokens and sequences."""
        limits, taken, read = self.batching, list[tuple[Work, int]](), 0
        while self.waiting and count + len(taken) < limits.max_sequences:
            work = self.waiting[0]
            if (tokens or taken) and tokens + read + work.prompt > limits.max_tokens:
                break
            if not self._start(work):
                break
            self.waiting.popleft()
            taken.append((work, work.prompt))
            read += work.prompt
        return taken, read

    def _fill_chunked(self, chunk: int) -> None:
        """All answers first; prompts in pieces fill the rest."""
        self._left_out, self.reading = None, []
        room = chunk - len(self.rows)
        spots = self.batching.max_sequences - len(self.rows)
        for work in self.waiting:
            if room <= 0 or spots <= 0 or not (work.done or self._start(work)):
                break
            size = min(work.prompt - work.done, room)
            self.reading.append((work, size))
            room, spots = room - size, spots - 1

    def _start(self, work: Work) -> bool:
        """Take the memory of a request at both its machines, or leave word where there is none."""
        whole = (work.prompt + work.output) * self.token_bytes
        writer = work.writer
        own = whole if writer is self else (work.prompt + 1) * self.token_bytes
        if self.used + own > self.room:
            return False  # this machine tries again whenever it frees some
        if writer is not self and writer.used + whole > writer.room:
            writer.blocked[self] = None
            return False
        self.used += own
        work.held = own
        if writer is not self:
            writer.used += whole
            work.kept = whole
        for station in (self, writer):
            station.peak = max(station.peak, station.used)
        return True

    def end(self, now: float) -> tuple[list[Work], list[Work]]:
        """Finish the iteration: return the requests whose prompt is read, and those completed."""
        self.busy = False
        read: list[Work] = []
        for work, size in self.reading:
            work.done += size
            self.pending -= size
            if work.done == work.prompt:
                read.append(work)
        while self.waiting and self.waiting[0].done == self.waiting[0].prompt:
            self.waiting.popleft()  # read in pieces; whole ones left when they started
        done = self._write(now) if self.rows else []
        self.last_end = now
        return read, done

    def _write(self, now: float) -> list[Work]:
        """Give every answer that ran its token."""
        skipped = self._left_out or []
        ran = len(self.rows) - len(skipped)
        for work in skipped:
            work.skipped += 1
            work.end += ran > 0
            if work not in self.fresh:
                work.last = self.last_end
        out = set(skipped)
        new = [work for work in self.fresh if work not in out]
        self.fresh = skipped
        if not ran:
            return []
        self.gaps += [(now - work.last, 1) for work in new]
        if ran > len(new):
            self.gaps.append((now - self.last_end, ran - len(new)))
        self.rounds += 1
        self.cached += ran
        if skipped:
            self.next_end = min(work.end for work in self.rows)
        if self.rounds < self.next_end:
            return []
        done = [work for work in self.rows if work.end <= self.rounds]
        self.rows = [work for work in self.rows if work.end > self.rounds]
        self.fresh = [work for work in self.fresh if work.end > self.rounds]
        self.cached -= sum(work.prompt + work.output for work in done)
        self.next_end = min((work.end for work in self.rows), default=0)
        return done

    def _join(self, work: Work) -> None:
        """Let an answer whose first token is written run with the others."""
        work.end = self.rounds + work.output - 1
        self.next_end = min(self.next_end, work.end) if self.rows else work.end
        self.rows.append(work)
        self.fresh.append(work)
        self.cached += work.prompt + 1

    def _context(self, work: Work) -> int:
        return work.prompt + work.output - (work.end - self.rounds)
