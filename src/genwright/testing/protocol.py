"""The OpenAI completion protocol as data: bodies of answers, events of streams, shapes of errors.

Written after the public API reference ("Chat Completions", "Completions", "Models"); what the
official client parses is what its tests check. `endpoint.py` puts it on a socket.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CREATED = 1_700_000_000  # a fixed date, so that equal requests have equal answers


@dataclass(frozen=True)
class Reply:
    """What the endpoint answers for one choice.

    Args:
        text: the completion.
        finish_reason: `"stop"`, `"length"` or another of the protocol.
        logprobs: nats, one a token of `tokens`; None where the endpoint offers none.
        prompt_tokens: how many tokens the request is said to have held.
    """

    text: str
    finish_reason: str = "stop"
    logprobs: Sequence[float] | None = None
    prompt_tokens: int = 7

    @property
    def tokens(self) -> list[str]:
        """The pieces that count as tokens: words with the blanks behind them."""
        return re.findall(r"\S+\s*|\s+", self.text)


def error(message: str, code: str | None, kind: str = "invalid_request_error") -> dict[str, Any]:
    """Return the body of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def models(names: Sequence[str]) -> dict[str, Any]:
    """Return the body of `/models`."""
    entry = {"object": "model", "created": CREATED, "owned_by": "genwright"}
    return {"object": "list", "data": [{"id": name} | entry for name in names]}


def complaint(body: Any, chat: bool) -> str:
    """Return what is wrong with a request, or `""`."""
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    if not isinstance(body.get("model"), str):
        return "'model' must be a string"
    if chat:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return "'messages' must be a list that is not empty"
        if not all(isinstance(m, dict) and "role" in m and "content" in m for m in messages):
            return "every message must have 'role' and 'content'"
    elif not isinstance(body.get("prompt"), str):
        return "'prompt' must be a string"
    ranges = {"n": (1, 128), "temperature": (0, 2), "top_p": (0, 1), "max_tokens": (1, 10**9)}
    for name, (low, high) in ranges.items():
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and low <= value <= high):
            return f"{name!r} must be between {low} and {high}"
    if not isinstance(body.get("seed", 0), int):
        return "'seed' must be an integer"
    if not isinstance(body.get("logprobs", False), bool if chat else int):
        return f"'logprobs' must be {'a boolean' if chat else 'an integer'}"
    return ""


def answer(body: Mapping[str, Any], replies: Sequence[Reply], chat: bool) -> dict[str, Any]:
    """Return the body of a complete answer, one choice a reply."""
    choices: list[dict[str, Any]] = []
    for i, reply in enumerate(replies):
        text = {"role": "assistant", "content": reply.text, "refusal": None}
        said = {"message": text} if chat else {"text": reply.text}
        logprobs = _logprobs(body, reply, reply.tokens, 0, chat)
        end = {"index": i, "finish_reason": reply.finish_reason, "logprobs": logprobs}
        choices.append(said | end)
    kind = "chat.completion" if chat else "text_completion"
    return _head(body, kind) | {"choices": choices, "usage": _usage(replies)}


def events(
    body: Mapping[str, Any], replies: Sequence[Reply], chat: bool
) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, a token each, the choices taking turns."""
    head = _head(body, "chat.completion.chunk" if chat else "text_completion")

    def event(i: int, said: dict[str, Any], logprobs: Any, end: str | None) -> dict[str, Any]:
        part = {"delta": said} if chat else {"text": said.get("content", "")}
        choice = part | {"index": i, "finish_reason": end, "logprobs": logprobs}
        return head | {"choices": [choice]}

    if chat:
        for i in range(len(replies)):
            yield event(i, {"role": "assistant", "content": ""}, None, None)
    tokens = [reply.tokens for reply in replies]
    for position in range(max(map(len, tokens), default=0)):
        for i, reply in enumerate(replies):
            if position < len(tokens[i]):
                piece = tokens[i][position]
                logprobs = _logprobs(body, reply, [piece], position, chat)
                yield event(i, {"content": piece}, logprobs, None)
    for i, reply in enumerate(replies):
        yield event(i, {}, None, reply.finish_reason)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield head | {"choices": [], "usage": _usage(replies)}


def _head(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "scripted-1", "object": kind, "created": CREATED, "model": body["model"]}


def _usage(replies: Sequence[Reply]) -> dict[str, int]:
    """Count the prompt once: the choices of one request share it."""
    read, written = replies[0].prompt_tokens, sum(len(reply.tokens) for reply in replies)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _logprobs(
    body: Mapping[str, Any], reply: Reply, tokens: list[str], first: int, chat: bool
) -> dict[str, Any] | None:
    """Return the log-probabilities of `tokens`, which stand at `first` and after in the reply."""
    asked = body.get("logprobs")
    if reply.logprobs is None or asked is None or asked is False:
        return None
    values = list(reply.logprobs[first : first + len(tokens)])
    if not chat:
        return {"tokens": tokens, "token_logprobs": values, "top_logprobs": None}
    content = [
        {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
        for token, value in zip(tokens, values, strict=True)
    ]
    return {"content": content, "refusal": None}
