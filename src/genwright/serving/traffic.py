"""Requests over time: what a cluster of machines is asked to answer.

Choose `read_trace` for a recorded one, such as Azure's of 2023 (Patel et al. 2023, "Splitwise",
arXiv:2311.18677; Azure/AzurePublicDataset, CC BY 4.0), and `at_rate` to bring it to another rate.

Ours: `at_rate` compresses time and so keeps the order and the burstiness of the recorded arrivals.
The published simulator draws Poisson arrivals instead (`poisson` does), with sizes drawn from the
trace.
"""

import csv
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from genwright.core import InvalidArgument, MissingFile, uniform


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One request.

    Args:
        at: seconds since the beginning of the trace.
        prompt: tokens to read, at least 1.
        output: tokens to write, at least 1.
    """

    at: float
    prompt: int
    output: int

    def __post_init__(self) -> None:
        if self.at < 0 or self.prompt < 1 or self.output < 1:
            raise InvalidArgument(
                "Arrival: at must be 0 or more, prompt and output at least 1, got "
                f"{self.at}, {self.prompt} and {self.output}."
            )


def read_trace(path: Path, limit: int | None = None) -> list[Arrival]:
    """Read a trace in Azure's form: columns TIMESTAMP, ContextTokens, GeneratedTokens.

    Args:
        path: the table, perhaps gzipped, in the order of time.
        limit: at most so many requests, from the beginning.

    Raises:
        MissingFile: no such file.
        InvalidArgument: another form.
    """
    if not path.is_file():
        raise MissingFile(f"read_trace: there is no trace at {path}.")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[:limit]
    try:
        times = [datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in rows]
        sizes = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows]
    except (KeyError, ValueError) as error:
        raise InvalidArgument(
            f"read_trace: {path.name} must have columns TIMESTAMP, ContextTokens and "
            f"GeneratedTokens ({error})."
        ) from error
    return [
        Arrival(at=time - times[0], prompt=max(1, prompt), output=max(1, output))
        for time, (prompt, output) in zip(times, sizes, strict=True)
    ]


def rate_of(trace: Sequence[Arrival]) -> float:
    """Return a trace's requests a second: intervals over the time between first and last."""
    if len(trace) < 2 or trace[-1].at <= trace[0].at:
        raise InvalidArgument("rate_of: needs at least two requests at different times.")
    return (len(trace) - 1) / (trace[-1].at - trace[0].at)


def at_rate(trace: Sequence[Arrival], rate: float) -> list[Arrival]:
    """Return the trace with its time compressed or stretched to so many requests a second."""
    if not rate > 0:
        raise InvalidArgument(f"at_rate: rate must be above 0, got {rate}.")
    factor = rate_of(trace) / rate
    return [replace(a, at=a.at * factor) for a in trace]


def poisson(sizes: Sequence[Arrival], n: int, rate: float, seed: int) -> list[Arrival]:
    """Return n requests with exponential times between them and sizes drawn from a trace."""
    now, made = 0.0, list[Arrival]()
    for i in range(n):
        now += -math.log(1.0 - uniform(seed, "gap", i)) / rate
        which = sizes[int(uniform(seed, "size", i) * len(sizes))]
        made.append(replace(which, at=now))
    return made
