"""A language model behind an OpenAI-compatible endpoint: a hosted one, vLLM, llama.cpp, Ollama.

Choose it for models larger than this machine holds. Every draw is a request of its own with a seed
of its own, so that a resumed run repeats no paid draw; requests run side by side, and each draw is
handed over as it finishes. Two calls with one seed agree as far as the endpoint honours `seed`.

The protocol is the public OpenAI API ("Chat Completions", "Completions"). Log-probabilities are
the sum of those the endpoint reports for the tokens of the draw: most report them before
temperature and top-p; with constraints, whether before or after the mask is the endpoint's choice.

Ours: `Conversation` leaves out `logprobs`, and writes `max_completion_tokens` for `max_tokens`,
where an endpoint refuses the field. A constraint is only as good as the endpoint's support for it
(some ignore what they do not know), so the verifier keeps the last word.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlsplit

from genwright.core import (
    ConstraintError,
    Cost,
    InvalidArgument,
    Sample,
    Samples,
    child_seed,
    method,
)
from genwright.generators.language.background import results
from genwright.generators.language.completion import read_completion
from genwright.generators.language.endpoint import Conversation, open_client

LEAST = {
    "temperature": 0,
    "max_new_tokens": 1,
    "concurrency": 1,
    "timeout": 0.001,
    "retries": 0,
    "backoff": 0,
    "price_per_million_prompt": 0,
    "price_per_million_completion": 0,
}
"""The least value of each numeric field."""

OURS = frozenset(
    {"messages", "model", "n", "prompt", "seed", "stream", "temperature", "top_p", "max_tokens"}
    | {"stop", "logprobs"}
)
"""Fields of a request that no constraint may set."""


@method()
@dataclass(frozen=True, kw_only=True)
class RemoteLM:
    """Draw texts from a model behind an endpoint.

    Args:
        base_url: such as `https://api.openai.com/v1` or `http://localhost:8000/v1`.
        model: as the endpoint calls it.
        api_key_env: the environment variable that holds the key; it is read when a request is made
            and kept nowhere. An unset variable, or `""`, sends none.
        system: a system message before each prompt; `""` sends none.
        template: what a text prompt is put into, in place of `{prompt}`. A prompt that is a list
            of chat messages is sent as it is.
        temperature: 0 or more; 1 leaves the model's distribution as it is.
        top_p: in (0, 1]: the probability that nucleus sampling keeps.
        max_new_tokens: the most tokens of a draw.
        stop: texts that end a draw; the endpoint leaves them out.
        chat: asks for chat completions; False for the older completions, for base models.
        logprobs: asks for log-probabilities, where the endpoint offers them.
        concurrency: the most requests in progress at once.
        timeout: seconds one request may take.
        retries: tries after the first.
        backoff: seconds before the first retry; doubles with each, with jitter from the seed.
        price_per_million_prompt: money for a million tokens read; 0 where unknown.
        price_per_million_completion: money for a million tokens written.
        constraints: what `steered` added. Each offers `response_format()`, the field of that name
            (or None), or `extra_body()`, further fields of the request, or both.

    Raises:
        InvalidArgument: a value out of its range, or a key in `base_url`.
    """

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    system: str = ""
    template: str = "{prompt}"
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    chat: bool = True
    logprobs: bool = True
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 5
    backoff: float = 0.5
    price_per_million_prompt: float = 0.0
    price_per_million_completion: float = 0.0
    constraints: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        _check_url(self.base_url)
        if not 0 < self.top_p <= 1:
            raise InvalidArgument(f"RemoteLM: top_p must be in (0, 1], got {self.top_p}.")
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise InvalidArgument(
                    f"RemoteLM: {name} must be {least} or more, got {getattr(self, name)}."
                )
        if isinstance(self.stop, str):  # or each of its characters would end a draw
            raise InvalidArgument(f"RemoteLM: stop must be a tuple of texts, got {self.stop!r}.")
        if "{prompt}" not in self.template:
            raise InvalidArgument(f"RemoteLM: template needs {{prompt}}, got {self.template!r}.")
        if self.system and not self.chat:
            raise InvalidArgument("RemoteLM: system needs chat=True; put it into template instead.")

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return draws `first` to `first + n - 1`.

        Raises:
            EndpointError: down, refusing, or answering nonsense after all retries.
            ModelNotFound: the endpoint has no such model.
            UserError: it refuses the key.
            InvalidArgument: a prompt it cannot send.
        """
        drawn = dict(self.stream(prompt, n, seed=seed, first=first))
        return Samples.of(drawn[k] for k in sorted(drawn))

    def stream(
        self, prompt: Any, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[str]]]:
        """Yield (index, draw) in the order of finishing.

        Once a draw has failed no other is begun, those in progress are handed over, and then the
        error is raised: what was paid for is not lost. `info` holds `finish_reason`, `attempts`,
        the request's own `seconds`, `refusal` where the model refused, and `unmetered` where the
        endpoint did not report usage; the seconds of `cost` are shared among draws side by side.

        Raises:
            EndpointError: as `sample`, and so the others.
        """
        body = self._body(prompt)
        if n < 0 or first < 0:
            raise InvalidArgument(f"RemoteLM: n and first must be 0 or more, got {n} and {first}.")
        if n == 0:
            return

        async def work(emit: Callable[[tuple[int, Sample[str]]], None]) -> None:
            await self._draw_all(body, range(first, first + n), seed, emit)

        yield from results(work)

    def steered(self, *constraints: Any) -> Self:
        """Return this model with constraints added.

        Raises:
            ConstraintError: one that an endpoint cannot be told, or two that exclude each other.
        """
        steered = replace(self, constraints=(*self.constraints, *constraints))
        steered._steering()
        return steered

    async def _draw_all(
        self,
        body: dict[str, Any],
        indices: range,
        seed: int,
        emit: Callable[[tuple[int, Sample[str]]], None],
    ) -> None:
        """Emit one draw an index, in the order of finishing."""
        waiting = iter(indices)
        failures: list[Exception] = []
        last = time.monotonic()
        path = "chat/completions" if self.chat else "completions"
        workers = min(self.concurrency, len(indices))
        client = open_client(self.base_url, self.api_key_env, connections=workers)

        async def worker() -> None:
            nonlocal last
            for k in waiting:
                if talk.given_up:
                    return
                child = child_seed(seed, k)
                begin = time.monotonic()
                try:
                    sample, attempts = await talk.ask(
                        path, body | {"seed": child}, self._read, seed=child
                    )
                except Exception as error:  # of any kind: the draws in progress come first
                    talk.given_up = True
                    failures.append(error)
                    return
                now = time.monotonic()
                info = {**sample.info, "attempts": attempts, "seconds": now - begin}
                cost = sample.cost + Cost(seconds=now - last)  # sums to the wall time
                last = now
                emit((k, replace(sample, cost=cost, info=info)))

        async with client:
            talk = Conversation(
                client, self.base_url, self.api_key_env, self.retries, self.backoff, self.timeout
            )
            await asyncio.gather(*(worker() for _ in range(workers)))
        if failures:
            raise failures[0]

    def _read(self, answer: Any) -> Sample[str]:
        sample = read_completion(answer, chat=self.chat)
        read = sample.cost.prompt_tokens * self.price_per_million_prompt
        written = sample.cost.new_tokens * self.price_per_million_completion
        return replace(sample, cost=sample.cost + Cost(money=(read + written) / 1e6))

    def _body(self, prompt: Any) -> dict[str, Any]:
        """Return the request for a prompt, but for its seed."""
        body: dict[str, Any] = {
            "model": self.model,
            "n": 1,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_new_tokens,
        }
        if self.stop:
            body["stop"] = list(self.stop)
        if self.logprobs:
            body["logprobs"] = True if self.chat else 1
        text = self.template.replace("{prompt}", prompt) if isinstance(prompt, str) else None
        if not self.chat:
            if text is None:
                raise InvalidArgument(f"RemoteLM: chat=False takes a text prompt, got {prompt!r}.")
            return body | {"prompt": text} | self._steering()
        if text is not None:
            messages = [{"role": "user", "content": text}]
        elif _is_chat(prompt):
            messages = list(prompt)
        else:
            raise InvalidArgument(
                f"RemoteLM: a prompt must be a text or a list of {{role, content}}, got {prompt!r}."
            )
        if self.system:
            messages = [{"role": "system", "content": self.system}, *messages]
        return body | {"messages": messages} | self._steering()

    def _steering(self) -> dict[str, Any]:
        """Return the fields of a request that the constraints ask for."""
        fields: dict[str, Any] = {}
        for constraint in self.constraints:
            name = type(constraint).__name__
            shape = _offer(constraint, "response_format")
            asked = {**_offer(constraint, "extra_body")}
            if shape:
                asked["response_format"] = shape
            if not asked:
                raise ConstraintError(
                    f"RemoteLM: an endpoint cannot be told of {name}; it takes constraints with "
                    "response_format() (a JSON schema) or extra_body() (fields of the server)."
                )
            if taken := asked.keys() & (fields.keys() | OURS):
                raise ConstraintError(
                    f"RemoteLM: {name} sets {', '.join(sorted(taken))}, which is taken; a request "
                    "has each field once, so join the constraints into one."
                )
            fields |= asked
        return fields


def _offer(constraint: Any, name: str) -> Any:
    """Return what a constraint's method answers, or nothing where it has none."""
    offered = getattr(constraint, name, None)
    return (offered() if callable(offered) else None) or {}


def _is_chat(prompt: Any) -> bool:
    if not isinstance(prompt, list | tuple) or not prompt:
        return False
    return all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in prompt)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise InvalidArgument(
            "RemoteLM: base_url holds a user name or password; put the key into the environment "
            "variable that api_key_env names."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(
            f"RemoteLM: base_url must look like http://localhost:8000/v1, got {url!r}."
        )
