"""How long one iteration of a machine takes, from measurements: what the cluster simulator runs on.

Choose `Profile.from_csv` for the published measurements of Llama-2-70B and BLOOM-176B on A100 and
H100 machines, `Profile.measure` for the model and machine at hand.

Patel et al. 2023, "Splitwise: Efficient Generative LLM Inference Using Phase Splitting",
arXiv:2311.18677, Section 3 (characterization); the measurements are those of its simulator
(Mutinifni/splitwise-sim, MIT). Prompt time is interpolated over the tokens of the batch; a batch
with prompts and running answers takes 1.1 times a prompt batch of as many tokens.

Ours: token time by default over *sequences*, with a further term for the tokens they hold in cache.
The published simulator interpolates token time over `prompt_size * batch_size` and then looks it up
at the number of sequences, below everything that was measured, which makes a batch of 64 sequences
cost as much as one; `token_over="batch_tokens"` does the same. Outside its points a curve goes on
with its first or last slope, and the simulator counts how often a batch was larger than measured.
"""

import csv
import gzip
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from genwright.core import Chunk, InvalidArgument, MissingFile, TokenModel


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A piecewise-linear function through measured points.

    Args:
        xs: increasing, at least one.
        ys: as many.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.xs or len(self.xs) != len(self.ys):
            raise InvalidArgument(
                f"Curve: needs as many xs as ys and at least one, got {len(self.xs)} and "
                f"{len(self.ys)}."
            )
        if any(b <= a for a, b in zip(self.xs, self.xs[1:], strict=False)):
            raise InvalidArgument(f"Curve: xs must increase, got {self.xs}.")

    @classmethod
    def through(cls, points: Mapping[float, Sequence[float]]) -> "Curve":
        """Return the curve through the median of the measurements at each x."""
        xs = sorted(points)
        return cls(xs=tuple(xs), ys=tuple(median(points[x]) for x in xs))

    def at(self, x: float) -> float:
        """Return the value; outside the points the first or last slope goes on, but not below 0."""
        xs, ys = self.xs, self.ys
        if len(xs) == 1:
            return ys[0]
        i = min(max(bisect_left(xs, x), 1), len(xs) - 1)
        slope = (ys[i] - ys[i - 1]) / (xs[i] - xs[i - 1])
        return max(0.0, ys[i - 1] + slope * (x - xs[i - 1]))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Seconds of one iteration.

    Args:
        prompt: seconds over the prompt tokens of a batch.
        token: seconds over the sequences that each get one token, at `cached_each` tokens of cache.
        per_cached: further seconds for every token of cache beyond `cached_each` a sequence.
        cached_each: tokens of cache a sequence had when `token` was measured.
        mixed: a batch with prompts and sequences takes so many times what its tokens would take as
            a prompt, or its sequences alone if that is more. 1.1 is the published simulator's.
    """

    prompt: Curve
    token: Curve
    per_cached: float = 0.0
    cached_each: float = 0.0
    mixed: float = 1.1

    @classmethod
    def from_csv(
        cls,
        path: Path,
        *,
        model: str,
        hardware: str,
        tensor_parallel: int = 8,
        token_over: Literal["sequences", "batch_tokens"] = "sequences",
    ) -> "Profile":
        """Read the published table (milliseconds; medians of repeats).

        Args:
            path: the table, perhaps gzipped.
            model: such as `"llama2-70b"`.
            hardware: such as `"a100-80gb"`.
            tensor_parallel: over how many devices the model is spread.
            token_over: how token time is looked up; see the head of this file.

        Raises:
            MissingFile: no such file.
            InvalidArgument: nothing in it for this model, hardware and spread.
        """
        if not path.is_file():
            raise MissingFile(f"Profile: there is no table at {path}.")
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            table = list(csv.DictReader(lines))
        wanted = (model, hardware, str(tensor_parallel))
        rows = [r for r in table if (r["model"], r["hardware"], r["tensor_parallel"]) == wanted]
        if not rows:
            known = sorted({(r["model"], r["hardware"], int(r["tensor_parallel"])) for r in table})
            raise InvalidArgument(
                f"Profile: {path.name} holds nothing for {wanted}; it holds "
                f"{', '.join(map(str, known))}."
            )
        prompt = _gather(rows, lambda r: r["prompt_size"] * r["batch_size"], "prompt_time")
        over = _gather(rows, lambda r: r["prompt_size"] * r["batch_size"], "token_time")
        if token_over == "batch_tokens":
            return cls(prompt=Curve.through(prompt), token=Curve.through(over))
        each = 512.0  # the prompt size at which batches of many sizes were measured
        alone = Curve.through(
            _gather([r for r in rows if r["batch_size"] == "1"], lambda r: r["prompt_size"],
                    "token_time")
        )  # fmt: skip
        together = _gather(
            [r for r in rows if float(r["prompt_size"]) == each],
            lambda r: r["batch_size"],
            "token_time",
        )
        return cls(
            prompt=Curve.through(prompt),
            token=Curve.through(together),
            per_cached=max(0.0, _slope(alone)),
            cached_each=each,
        )

    @classmethod
    def measure(
        cls,
        model: TokenModel,
        *,
        prompts: Sequence[int] = (16, 64, 256, 512),
        sequences: Sequence[int] = (1, 2, 4, 8, 16),
        repeats: int = 3,
        clock: Callable[[], float] = time.perf_counter,
    ) -> "Profile":
        """Time a model on this machine.

        Args:
            model: of an engine that is idle, such as `LocalLM(...).token_model`. Nothing else may
                use it meanwhile.
            prompts: prompt sizes to time. The last is also what a sequence holds in cache while
                tokens are timed; the first and last give the cost of cached tokens.
            sequences: batch sizes to time one token each for.
            repeats: the median of so many is taken, after one that is thrown away.
            clock: seconds.
        """
        most = max(prompts)
        if most >= model.context:
            raise InvalidArgument(
                f"Profile.measure: a prompt of {most} leaves no room for a token: the model reads "
                f"at most {model.context}."
            )

        def read(size: int) -> tuple[float, Any]:
            cache = model.new_cache()
            began = clock()
            model.step([Chunk(cache, [1] * size)])
            return clock() - began, cache

        def decode(size: int, n: int) -> float:
            _, cache = read(size)
            rows = [model.branch(cache) for _ in range(n)]
            taken: list[float] = []
            for _ in range(repeats + 1):
                began = clock()
                model.step([Chunk(row, [1]) for row in rows])
                taken.append(clock() - began)
            for row in reversed(rows):
                model.release(row)
            model.release(cache)
            return median(taken[1:])

        def prefill(size: int) -> list[float]:
            taken: list[float] = []
            for _ in range(repeats + 1):
                seconds, cache = read(size)
                model.release(cache)
                taken.append(seconds)
            return taken[1:]

        few, many = decode(min(prompts), 1), decode(most, 1)
        return cls(
            prompt=Curve.through({size: prefill(size) for size in prompts}),
            token=Curve.through({n: [decode(most, n)] for n in sequences}),
            per_cached=max(0.0, (many - few) / max(1, most - min(prompts))),
            cached_each=most,
        )

    def prompt_seconds(self, tokens: float) -> float:
        """Return the time of a batch of prompts with so many tokens in all."""
        return self.prompt.at(tokens)

    def token_seconds(self, sequences: int, cached: float) -> float:
        """Return the time of one token for each sequence, which hold `cached` tokens together."""
        more = max(0.0, cached - self.cached_each * sequences)
        return self.token.at(sequences) + self.per_cached * more

    def mixed_seconds(self, tokens: float, sequences: int, cached: float) -> float:
        """Return the time of a batch of prompt tokens and sequences, either of which may be 0."""
        if not sequences:
            return self.prompt.at(tokens)
        if not tokens:
            return self.token_seconds(sequences, cached)
        whole = self.prompt.at(tokens + sequences)
        return self.mixed * max(whole, self.token_seconds(sequences, cached))

    def covers(self, tokens: float, sequences: int) -> bool:
        """Tell whether a batch lies within what was measured."""
        return tokens <= self.prompt.xs[-1] and sequences <= self.token.xs[-1]


def _gather(
    rows: Sequence[Mapping[str, str]], x: Callable[[Mapping[str, float]], float], y: str
) -> dict[float, list[float]]:
    """Group seconds by x."""
    found: dict[float, list[float]] = {}
    for row in rows:
        numbers = {name: float(row[name]) for name in ("prompt_size", "batch_size", y)}
        found.setdefault(x(numbers), []).append(numbers[y] / 1000)
    return found


def _slope(curve: Curve) -> float:
    """Return the least-squares slope of a curve's points."""
    x0, y0 = sum(curve.xs) / len(curve.xs), sum(curve.ys) / len(curve.ys)
    spread = sum((x - x0) ** 2 for x in curve.xs)
    lifted = sum((x - x0) * (y - y0) for x, y in zip(curve.xs, curve.ys, strict=True))
    return lifted / spread if spread else 0.0
