"""Answers in the two shapes of the API: chat completions, and the older completions.

A stream's chunks joined are the answer: the same texts, log-probabilities and reasons for ending.
Log-probabilities travel in a choice's last chunk, since a token that a constraint forced is scored
only after it was written.

The public OpenAI API reference. Ours: `usage.genwright`, what the answer cost, on request.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genwright import __version__
from genwright.core import Cost, Sample, Vocabulary
from genwright.core.cost import WATTS_PER_THREAD
from genwright.serving.footprint import NO_OVERHEAD, emissions
from genwright.serving.grid import grid_mix


def finish_reason(draw: Sample[str]) -> str:
    """Return why a draw ended, in the API's words.

    One that a constraint holds unfinished is "length", however it came to end.
    """
    done = draw.info["finish_reason"] == "stop" and draw.info["complete"]
    return "stop" if done else "length"


def usage(prompts: Sequence[Sequence[int]], draws: Sequence[Sample[str]], *, cost: bool) -> Any:
    """Return the tokens of an answer.

    Args:
        prompts: token ids.
        draws: all choices.
        cost: whether to add what the engine spent and how that is known.
    """
    spent = sum((draw.cost for draw in draws), Cost())
    read, written = sum(map(len, prompts)), spent.new_tokens
    found: dict[str, Any] = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": max(0, read - spent.prompt_tokens)},
    }
    if cost:
        how = f"{WATTS_PER_THREAD} W a thread for the seconds of the network, shared by tokens"
        found["genwright"] = {
            "draws": spent.draws,
            "prompt_tokens_read": spent.prompt_tokens,
            "new_tokens": written,
            "network_evaluations": spent.network_evaluations,
            "seconds": spent.seconds,
            "joules": spent.joules,
            "joules_by": spent.joules_by,
            "joules_how": how if spent.joules_by == "estimated" else "",
            **_emissions(spent),
        }
    return found


def _emissions(spent: Cost) -> dict[str, Any]:
    """Return grams of CO2 equivalent at the world's average mix, with bounds and method."""
    if not spent.joules_by:
        return {}
    found = emissions(spent, grid_mix("WORLD"), NO_OVERHEAD)
    how = "; ".join(f"{name}: {given.source}" for name, given in found.inputs.items())
    return {
        "grams_co2e": found.value,
        "grams_co2e_bounds": list(found.bounds),
        "grams_co2e_how": f"{found.formula}, where {how}",
    }


@dataclass(kw_only=True)
class Shape:
    """What both shapes share.

    Args:
        model: as the request calls it.
        vocabulary: turns token ids into text.
        logprobs: whether the request asked for log-probabilities.
    """

    model: str
    vocabulary: Vocabulary
    logprobs: bool
    made: int = field(default_factory=lambda: int(time.time()))
    number: str = field(default_factory=lambda: uuid.uuid4().hex)

    prefix = ""
    whole = ""
    piece = ""

    def answer(self, choices: list[Any], usage: Any) -> dict[str, Any]:
        """Return a whole answer."""
        return {**self._head(self.whole), "choices": choices, "usage": usage}

    def chunk(self, choices: list[Any], **more: Any) -> dict[str, Any]:
        """Return a piece of a stream."""
        return {**self._head(self.piece), "choices": choices, **more}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.prefix + self.number,
            "object": kind,
            "created": self.made,
            "model": self.model,
            "system_fingerprint": f"genwright-{__version__}",
        }

    def tokens(
        self, draw: Sample[str]
    ) -> list[tuple[bytes, float, list[tuple[bytes, float]], int]]:
        """Return (bytes, logprob, alternatives, first byte) of the tokens that the text holds."""
        ids, scores = draw.info["tokens"], draw.info["token_logprobs"]
        tops: Sequence[Mapping[int, float]] = draw.info.get("top_logprobs") or [{}] * len(ids)
        end = len(draw.value.encode()) if draw.info["finish_reason"] == "stop" else None
        found: list[tuple[bytes, float, list[tuple[bytes, float]], int]] = []
        start = 0
        for token, score, top in zip(ids, scores, tops, strict=True):
            if end is not None and start >= end:
                break  # it belongs to the stop text, which is cut off
            others = [(self._bytes(other), value) for other, value in top.items()]
            found.append((self._bytes(token), score, others, start))
            start += len(self.vocabulary.tokens[token])
        return found

    def _bytes(self, token: int) -> bytes:
        return bytes(self.vocabulary.tokens[token]) or f"<|{token}|>".encode()


class ChatShape(Shape):
    """Chat completions."""

    prefix, whole, piece = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def choice(self, index: int, draw: Sample[str]) -> dict[str, Any]:
        """Return a finished choice."""
        message = {"role": "assistant", "content": draw.value, "refusal": None}
        return {
            "index": index,
            "message": message,
            "logprobs": self._scored(draw),
            "finish_reason": finish_reason(draw),
        }

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return what begins a streamed choice."""
        return self._delta(index, {"role": "assistant", "content": ""})

    def written(self, index: int, text: str) -> dict[str, Any]:
        """Return a piece of a streamed choice."""
        return self._delta(index, {"content": text})

    def closing(self, index: int, draw: Sample[str]) -> dict[str, Any]:
        """Return what ends a streamed choice."""
        return self._delta(index, {}) | {
            "logprobs": self._scored(draw),
            "finish_reason": finish_reason(draw),
        }

    def _delta(self, index: int, delta: dict[str, str]) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _scored(self, draw: Sample[str]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        content = [
            {**_named(token, score), "top_logprobs": [_named(*other) for other in others]}
            for token, score, others, _ in self.tokens(draw)
        ]
        return {"content": content, "refusal": None}


class TextShape(Shape):
    """The older completions."""

    prefix, whole, piece = "cmpl-", "text_completion", "text_completion"

    def choice(self, index: int, draw: Sample[str]) -> dict[str, Any]:
        """Return a finished choice."""
        return self.closing(index, draw) | {"text": draw.value}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return nothing: a completion has no role to begin with."""
        return None

    def written(self, index: int, text: str) -> dict[str, Any]:
        """Return a piece of a streamed choice."""
        return {"index": index, "text": text, "logprobs": None, "finish_reason": None}

    def closing(self, index: int, draw: Sample[str]) -> dict[str, Any]:
        """Return what ends a streamed choice."""
        return self.written(index, "") | {
            "logprobs": self._scored(draw),
            "finish_reason": finish_reason(draw),
        }

    def _scored(self, draw: Sample[str]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        tokens = self.tokens(draw)
        data = draw.value.encode()
        return {
            "tokens": [_shown(token) for token, *_ in tokens],
            "token_logprobs": [score for _, score, *_ in tokens],
            "top_logprobs": [
                {_shown(other): value for other, value in others} for _, _, others, _ in tokens
            ],
            "text_offset": [len(data[:start].decode(errors="ignore")) for *_, start in tokens],
        }


def _shown(token: bytes) -> str:
    return token.decode(errors="replace")


def _named(token: bytes, score: float) -> dict[str, Any]:
    return {"token": _shown(token), "logprob": score, "bytes": list(token)}
