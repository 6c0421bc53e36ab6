"""Read one draw out of an answer of the OpenAI completion protocol."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from genwright.core import Cost, Sample


def read_completion(answer: Any, *, chat: bool) -> Sample[str]:
    """Return the first choice of an answer as a draw.

    Args:
        answer: the parsed body.
        chat: whether it answers a chat completion.

    Returns:
        The text, the sum of the log-probabilities (nats; None where one is missing), and the
        tokens that `usage` reports. `info` holds `finish_reason`, `refusal` where the model
        refused, and `unmetered` where usage is missing: tokens are then counted from the
        log-probabilities, or are 0.

    Raises:
        AttributeError, KeyError, IndexError, TypeError, ValueError: not what the protocol says.
    """
    choice = answer["choices"][0]
    said = choice["message"] if chat else choice
    text = said["content" if chat else "text"]
    info: dict[str, Any] = {"finish_reason": choice.get("finish_reason")}
    if text is None:  # a refusal, or nothing but reasoning before the limit
        text = ""
        info["refusal"] = said.get("refusal") or ""
    if not isinstance(text, str):
        raise TypeError("the text of a completion must be a string")
    logprobs = _logprobs(choice.get("logprobs"), chat)
    usage = answer.get("usage")
    if usage is None:
        info["unmetered"] = True
        cost = Cost(draws=1, new_tokens=len(logprobs or ()))
    else:
        read, written = (_count(usage, f"{name}_tokens") for name in ("prompt", "completion"))
        cost = Cost(draws=1, prompt_tokens=read, new_tokens=written)
    return Sample(text, None if logprobs is None else sum(logprobs), cost, info)


def _logprobs(found: Mapping[str, Any] | None, chat: bool) -> list[float] | None:
    """Return one number a token, or None unless every token has a finite one."""
    if not found:
        return None
    values: list[Any]
    if chat:
        values = [token["logprob"] for token in found.get("content") or ()]
    else:
        values = list(found.get("token_logprobs") or ())
    known = all(isinstance(value, int | float) and isfinite(value) for value in values)
    return values if values and known else None


def _count(usage: Mapping[str, Any], name: str) -> int:
    count = usage.get(name) or 0  # a completion without tokens may lack its count
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more")
    return count
