"""Alternatives on their way to a page: a stream of what is written, then what each draw was."""

import json
from collections.abc import AsyncIterator
from typing import Any

from genwright.core import Sample
from genwright.serving import faults
from genwright.serving.jobs import Job

ENDS = {
    "stop": "ended by itself",
    "length": "cut at its length",
    "constraint": "stuck: the filters allow nothing more",
    "exhausted": "given up: too many beginnings came to nothing",
    "cancelled": "stopped",
}


async def lines(job: Job, n: int, again: str, seed: int) -> AsyncIterator[str]:
    """Yield the data of the stream's events.

    Args:
        job: the draws.
        n: how many.
        again: the text before the cursor that every draw begins with; it is left out.
        seed: of all.
    """
    yield json.dumps({"seed": seed, "n": n})
    skip = [len(again)] * n
    try:
        async for i, event in job.events():
            if isinstance(event, Sample):
                yield json.dumps({"done": summary(i, event, again)})
                continue
            text = event.text[skip[i] :]
            skip[i] = max(0, skip[i] - len(event.text))
            if text:
                yield json.dumps({"draw": i, "text": text})
    except Exception as error:
        raise faults.translate(error, "filters") from error


def summary(index: int, draw: Sample[str], again: str) -> dict[str, Any]:
    """Return what a page tells of a finished draw."""
    info = draw.info
    return {
        "draw": index,
        "text": draw.value[len(again) :],
        "end": ENDS.get(info["finish_reason"], info["finish_reason"]),
        "complete": bool(info["complete"]),
        "tokens": len(info["tokens"]),
        "logprob": draw.logprob,
        "masked": float(info["masked_mass"]),
    }
