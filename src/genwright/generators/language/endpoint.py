"""Requests to an OpenAI-compatible endpoint: retries, waits, and errors that say what to do.

A busy or broken answer (no connection, a timeout, 408, 409, 429, 5xx, a body that is cut off or is
not what the protocol says) is asked for again after an exponential wait with jitter, or after what
`Retry-After` says. Everything else is final. The key is read from the environment for each request
and stands in no field, variable, message or log.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from genwright.core import EndpointError, ModelNotFound, UserError, nearest, uniform

R = TypeVar("R")

LONGEST_WAIT = 120.0
"""Seconds. An endpoint that asks for a longer wait has given up, and so do we."""

AGAIN = frozenset({408, 409, 429})
"""Statuses below 500 that another try may cure."""


class _Again(Exception):
    """A try that failed in a way that another may not; holds what the endpoint asked to wait."""

    def __init__(self, reason: str, advice: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.advice, self.wait = advice, wait


class _Key(httpx.Auth):
    """Sends the key that an environment variable holds when the request is made."""

    def __init__(self, variable: str) -> None:
        self.variable = variable

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Add the header; a server of one's own often wants none."""
        if key(self.variable):
            request.headers["Authorization"] = f"Bearer {key(self.variable)}"
        yield request


def key(variable: str) -> str:
    """Return the key in an environment variable, or `""`."""
    return os.environ.get(variable, "").strip() if variable else ""


def open_client(base_url: str, variable: str, *, connections: int) -> httpx.AsyncClient:
    """Return an asynchronous client that sends the key; use it in `async with`.

    Raises:
        UserError: the key has characters that a header cannot carry.
    """
    if not all("!" <= character <= "~" for character in key(variable)):
        raise UserError(f"{variable} holds blanks or characters outside ASCII: set the key anew.")
    host = urlsplit(base_url).hostname or ""
    return httpx.AsyncClient(
        base_url=base_url,
        auth=_Key(variable),
        timeout=None,  # the conversation limits a try as a whole; httpx would limit each read
        limits=httpx.Limits(max_connections=connections),
        trust_env=not _is_loopback(host),  # a proxy cannot reach this machine's own loopback
    )


@dataclass
class Conversation:
    """The requests of one call, which learn from each other.

    Args:
        client: from `open_client`.
        base_url: for messages.
        variable: the environment variable of the key.
        retries: tries after the first.
        backoff: seconds before the first retry; doubles with each.
        timeout: seconds a try may take as a whole.
        given_up: set once a draw has failed for good; then nothing is tried again.
        answered: whether the endpoint has answered anything. Until then a refused connection is
            final: the server does not run, and waiting would only hide that.
        lacks: optional fields of a request that the endpoint refuses.
    """

    client: httpx.AsyncClient
    base_url: str
    variable: str
    retries: int
    backoff: float
    timeout: float
    given_up: bool = False
    answered: bool = False
    lacks: set[str] = field(default_factory=set[str])

    async def ask(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any], R], *, seed: int
    ) -> tuple[R, int]:
        """Return what `read` makes of the answer, and the number of tries it took.

        Args:
            path: below the base URL.
            body: of the request.
            read: takes the parsed answer; AttributeError, KeyError, IndexError, TypeError and
                ValueError mean that it is not what the protocol says.
            seed: of the jitter.

        Raises:
            EndpointError: down, refusing, or answering nonsense, after all tries.
            ModelNotFound: it runs but has no such model.
            UserError: it refuses the key.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._once(path, body, read), attempt
            except _Again as again:
                reason, advice, wait = str(again), again.advice, again.wait
            if wait > LONGEST_WAIT:
                advice = f"it asks to wait {wait:.0f} s; try later"
            elif attempt <= self.retries and not self.given_up:
                spread = 0.5 + 0.5 * uniform(seed, "retry", attempt)
                longest = min(LONGEST_WAIT, self.backoff * 2 ** (attempt - 1))
                await asyncio.sleep(max(wait, spread * longest))
                continue
            tries = "1 try" if attempt == 1 else f"{attempt} tries"
            raise EndpointError(f"{self.base_url}: {reason} ({tries}); {advice}.")

    async def _once(self, path: str, body: Mapping[str, Any], read: Callable[[Any], R]) -> R:
        """Make one try; ask again at once without an optional field that is refused."""
        while True:
            lacked = frozenset(self.lacks)
            response = await self._post(path, _without(body, lacked))
            answer = self._parse(response)
            if response.status_code == 200 and not _complaint(answer):
                break
            refused = _refused_field(response.status_code, _complaint(answer), body)
            if not refused or refused in lacked:
                raise await self._meaning(response, answer, body["model"])
            self.lacks.add(refused)
        try:
            return read(answer)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            raise self._nonsense("what is not a completion", response) from None

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Send one request; every failure of the network becomes a sentence."""
        try:
            async with asyncio.timeout(self.timeout):
                response = await self.client.post(path, json=body)
        except TimeoutError:
            raise _Again(
                f"no answer within {self.timeout:g} s",
                "raise timeout, or lower concurrency or max_new_tokens",
            ) from None
        except httpx.ConnectError as error:
            reason = f"no connection ({self._safe(str(error))})"
            advice = "check that the server runs there and that base_url is right"
            if not self.answered:
                raise EndpointError(f"{self.base_url}: {reason}; {advice}.") from None
            raise _Again(reason, advice) from None
        except httpx.HTTPError as error:
            raise _Again(
                f"the connection broke ({self._safe(str(error) or type(error).__name__)})",
                "look at the server's own log, or raise retries",
            ) from None
        self.answered = True
        return response

    def _parse(self, response: httpx.Response) -> Any:
        """Return the parsed body, or None where an error status came with something else."""
        try:
            return json.loads(self._safe(response.text))
        except ValueError:
            if response.status_code == 200:
                raise self._nonsense("what is not JSON", response) from None
            return None

    async def _meaning(self, response: httpx.Response, answer: Any, model: str) -> Exception:
        """Return the error that an answer stands for."""
        status = response.status_code
        said = f"{status} {self._safe(_complaint(answer) or response.text[:120])}".strip()
        if status in (401, 403):
            held = "holds a key it does not accept" if key(self.variable) else "is not set"
            which = f"{self.variable} {held}" if self.variable else "api_key_env names no variable"
            return UserError(f"{self.base_url} refused access ({said}); {which}.")
        if status == 404:
            names = await self._models()
            if names and model not in names:
                return ModelNotFound(
                    f"{self.base_url} has no model {model!r}; it has: "
                    f"{', '.join(names[:20])}.{nearest(model, names)}"
                )
            return EndpointError(
                f"{self.base_url}: {said}; base_url mostly ends in /v1, and chat=False asks the "
                "older completions."
            )
        if "insufficient_quota" in str(answer):
            return EndpointError(f"{self.base_url}: {said}; the account has no credit left.")
        if status in AGAIN or status >= 500 or status == 200:
            advice = "lower concurrency, raise retries, or try later"
            return _Again(said, advice, _retry_after(response.headers.get("Retry-After", "")))
        return EndpointError(f"{self.base_url} refused the request: {said}.")

    async def _models(self) -> list[str]:
        """Return the names of the models there, or none where it does not say."""
        try:
            answer = (await self.client.get("models")).json()
            return sorted(str(model["id"]) for model in answer["data"])
        except (httpx.HTTPError, KeyError, TypeError, ValueError):
            return []

    def _nonsense(self, what: str, response: httpx.Response) -> _Again:
        return _Again(
            f"it answered {what}: {self._safe(response.text[:120])!r}",
            "check that base_url names an OpenAI-compatible endpoint (it mostly ends in /v1)",
        )

    def _safe(self, text: str) -> str:
        """Strike the key out of what others wrote; some endpoints quote it back."""
        held = key(self.variable)
        return text.replace(held, "[key]") if held else text


def _without(body: Mapping[str, Any], lacks: frozenset[str]) -> dict[str, Any]:
    """Return the request without what the endpoint refuses."""
    sent = {name: value for name, value in body.items() if name not in lacks}
    if "max_tokens" in lacks and "max_tokens" in body:
        sent["max_completion_tokens"] = body["max_tokens"]
    return sent


def _refused_field(status: int, complaint: str, body: Mapping[str, Any]) -> str:
    """Return the optional field that a 400 or 422 is about, or `""`."""
    if status not in (400, 422):
        return ""
    if "logprobs" in body and "logprobs" in complaint:
        return "logprobs"
    return "max_tokens" if "max_tokens" in body and "max_completion_tokens" in complaint else ""


def _complaint(answer: Any) -> str:
    """Return the error message of an answer, in whichever of its usual places, or `""`."""
    if not isinstance(answer, dict):
        return ""
    found = answer.get("error") or answer.get("detail")
    if found is None and answer.get("object") == "error":
        found = answer
    if isinstance(found, dict):
        found = found.get("message") or found
    return "" if found is None else str(found)


def _retry_after(header: str) -> float:
    """Return the seconds that a `Retry-After` header asks for; 0 where it is none."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return 0.0
    return seconds if seconds > 0 else 0.0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
