"""Wrappers that record: what a strategy is given in place of its generator and verifier.

A draw or a verdict that the ledger holds is served from it; whatever is missing is made, recorded,
and only then handed on. So a strategy that is run again after a kill makes its way through the
draws it already paid for, and goes on where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, Protocol, cast

from genwright.core import codec
from genwright.core.cost import Cost
from genwright.core.errors import GenwrightError
from genwright.core.protocols import Generator, Steerable, StreamingGenerator, Verifier
from genwright.core.registry import describe
from genwright.core.run import Call, Run
from genwright.core.samples import Sample, Samples
from genwright.core.verdict import Verdict

Kind = Literal["task started", "draw", "verdict", "task finished"]


class Watch(Protocol):
    """What a recorder reports to: asked before anything is paid for, told of what was recorded."""

    def check(self) -> None:
        """Raise if the run is to end."""
        ...

    def tell(self, kind: Kind, task: str, what: Any = None, replayed: bool = False) -> None:
        """Hear of a draw or a verdict."""
        ...

    def shield(self) -> Any:
        """Return a context in which no interrupt arrives."""
        ...


@dataclass(frozen=True)
class Recorder:
    """Where the draws and verdicts of one task go."""

    run: Run
    task: str
    watch: Watch


class Recording:
    """A generator that records its draws; everything else is passed on to the one it wraps.

    A method that returns another generator (`steered`, or one with other settings) returns a
    recording one, whose calls are told apart by the method's name and a description of its
    arguments. What is not drawn through `sample` or `stream` (`score`, a token model's steps) is
    passed on and not recorded.
    """

    def __init__(self, inner: Any, recorder: Recorder, steering: tuple[Any, ...] = ()) -> None:
        self._inner = inner
        self._recorder = recorder
        self._steering = steering

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return n draws for one prompt, recorded ones first of all."""
        call, known = self._known(prompt, n, seed, first)
        stacked = self._is_stacked(known)
        drawn = {index: sample for index, (sample, _) in known.items()}
        for start, size in _gaps(drawn, n, first):
            for index, sample, row in self._draw(call, size, start):
                drawn[index] = sample
                stacked = row if stacked is None else stacked and row
        ordered = [drawn[index] for index in range(first, first + n)]
        samples = Samples[Any].of(ordered)
        if stacked:
            samples.values = codec.stack(list(samples.values))
        return samples

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def passed_on(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            if result is self._inner or not isinstance(result, Generator):
                return result
            added = [name, [_told(arg) for arg in args], {k: _told(v) for k, v in kwargs.items()}]
            return recording(result, self._recorder, (*self._steering, added))

        return passed_on

    def __repr__(self) -> str:
        return f"Recording({self._inner!r})"

    def _known(
        self, prompt: Any, n: int, seed: int, first: int
    ) -> tuple[Call, dict[int, tuple[Sample[Any], bool]]]:
        call = Call(prompt, seed, list(self._steering) or None)
        recorder = self._recorder
        draws = recorder.run.draws(recorder.task, call.key, first=first, n=n)
        for draw in draws:
            recorder.watch.tell("draw", recorder.task, draw.sample, True)
        return call, {draw.index: (draw.sample, draw.stacked) for draw in draws}

    @staticmethod
    def _is_stacked(known: dict[int, tuple[Sample[Any], bool]]) -> bool | None:
        return all(row for _, row in known.values()) if known else None

    def _draw(self, call: Call, n: int, first: int) -> Iterator[tuple[int, Sample[Any], bool]]:
        """Make draws that the ledger lacks; each is recorded before it is handed on."""
        recorder, watch = self._recorder, self._recorder.watch
        watch.check()
        inner = self._inner
        if isinstance(inner, StreamingGenerator):
            inner = cast("StreamingGenerator[Any]", inner)
            seen: set[int] = set()
            for index, sample in inner.stream(call.prompt, n, seed=call.seed, first=first):
                with watch.shield():
                    recorder.run.record_draws(recorder.task, call, [(index, sample)], stacked=False)
                seen.add(index)
                watch.tell("draw", recorder.task, sample, False)
                yield index, sample, False
                if len(seen) < n:
                    watch.check()
            _expect(inner, n, len(seen & set(range(first, first + n))))
            return
        samples: Samples[Any] = inner.sample(call.prompt, n, seed=call.seed, first=first)
        with watch.shield():
            _expect(inner, n, len(samples))
            stacked = not isinstance(samples.values, list)
            rows = list(enumerate(samples, start=first))
            recorder.run.record_draws(recorder.task, call, rows, stacked=stacked)
        for index, sample in rows:
            watch.tell("draw", recorder.task, sample, False)
            yield index, sample, stacked


class _Streaming(Recording):
    def stream(
        self, prompt: Any, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[Any]]]:
        """Yield (index, draw): recorded ones first, the others in the order of finishing."""
        call, known = self._known(prompt, n, seed, first)
        for index, (sample, _) in sorted(known.items()):
            yield index, sample
        for start, size in _gaps(known, n, first):
            for index, sample, _ in self._draw(call, size, start):
                yield index, sample


class _Steerable(Recording):
    def steered(self, *constraints: Any) -> Any:
        """Return a recording generator with constraints and shapers added."""
        return self.__getattr__("steered")(*constraints)


class _SteerableStreaming(_Steerable, _Streaming):
    pass


def recording(inner: Any, recorder: Recorder, steering: tuple[Any, ...] = ()) -> Recording:
    """Wrap a generator so that `isinstance` with the protocols says what it says of the inner."""
    kinds = {
        (False, False): Recording,
        (False, True): _Streaming,
        (True, False): _Steerable,
        (True, True): _SteerableStreaming,
    }
    shown = isinstance(inner, Steerable), isinstance(inner, StreamingGenerator)
    return kinds[shown](inner, recorder, steering)


class RecordingVerifier:
    """A verifier that records its verdicts and checks no value of a task twice.

    A verdict is known by the draw's value: draws with equal values share it, and only the first of
    them in an attempt brings its cost, so that a strategy which adds costs up counts a check once.
    After a kill that holds for verdicts read back too: the strategy counts what it counted before.
    """

    def __init__(self, inner: Verifier[Any], recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder
        self._key = codec.digest(_told(inner))
        judged = recorder.run.verdicts(recorder.task)
        self._known = {j.digest: j.verdict for j in judged if j.verifier == self._key}
        self._charged: set[str] = set()

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Return one verdict a draw, in order; one that was given before costs nothing."""
        recorder, watch = self._recorder, self._recorder.watch
        digests = [codec.digest(value) for value in samples.values]
        new: dict[str, int] = {}
        for position, digest in enumerate(digests):
            if digest not in self._known:
                new.setdefault(digest, position)
        if new:
            watch.check()
            verdicts = self._inner.check(Samples[Any].of(samples[i] for i in new.values()))
            with watch.shield():
                _expect(self._inner, len(new), len(verdicts))
                judged = list(zip(new, verdicts, strict=True))
                recorder.run.record_verdicts(recorder.task, self._key, judged)
                self._known.update(judged)
        for position, digest in enumerate(digests):
            replayed = new.get(digest) != position
            watch.tell("verdict", recorder.task, self._known[digest], replayed)
        return [self._charge(digest) for digest in digests]

    def judge(self, sample: Sample[Any]) -> Verdict:
        """Return the verdict on one draw with what it cost, whoever asked for it first."""
        self.check(Samples[Any].of([sample]))
        return self._known[codec.digest(sample.value)]

    def _charge(self, digest: str) -> Verdict:
        verdict = self._known[digest]
        if digest in self._charged:
            return replace(verdict, cost=Cost())
        self._charged.add(digest)
        return verdict

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def _gaps(known: Any, n: int, first: int) -> list[tuple[int, int]]:
    """Return (start, size) of each run of indices in [first, first + n) that is not known."""
    gaps: list[tuple[int, int]] = []
    for index in range(first, first + n):
        if index in known:
            continue
        if gaps and sum(gaps[-1]) == index:
            gaps[-1] = (gaps[-1][0], gaps[-1][1] + 1)
        else:
            gaps.append((index, 1))
    return gaps


def _told(thing: Any) -> Any:
    """Describe an argument; a plain object by its type and plain attributes."""
    if is_dataclass(thing) and not isinstance(thing, type):
        held = {f.name: _told(getattr(thing, f.name)) for f in fields(thing) if f.init and f.repr}
        return [describe(type(thing)), held]
    if isinstance(thing, list | tuple):
        return [_told(item) for item in cast("list[Any]", thing)]
    if isinstance(thing, dict):
        return {str(key): _told(item) for key, item in cast("dict[Any, Any]", thing).items()}
    if hasattr(thing, "__dict__") and not callable(thing):
        held = cast("dict[str, Any]", vars(thing)).items()
        plain = {n: v for n, v in held if v is None or isinstance(v, str | int | float | bool)}
        return [describe(type(thing)), plain]
    return describe(thing)


def _expect(who: Any, wanted: int, came: int) -> None:
    if came != wanted:
        raise GenwrightError(
            f"{who!r} was asked for {wanted} and returned {came}; it must return "
            "exactly as many as it is asked for."
        )
