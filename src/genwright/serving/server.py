"""The OpenAI API over HTTP, on the one decoding engine.

Choose it to give a model on this machine to programs that speak that API: the official clients,
`RemoteLM`, an agent framework. Requests share the engine's batch; a draw depends on its prompt, its
settings and its seed, and on nothing else that is being served.

The public OpenAI API ("Chat Completions", "Completions", "Models"); vLLM for the names of the
further fields. Ours: a request without a seed is given one, which the header `X-Genwright-Seed`
tells; the header `X-Genwright-Cost: 1` adds what the answer cost to its usage; settings that a
request leaves out are those of the model that is served.
"""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import PlainTextResponse

from genwright import __version__
from genwright.core import Sample
from genwright.generators.language.local import LocalLM
from genwright.serving import attend, faults
from genwright.serving.answers import ChatShape, TextShape, usage
from genwright.serving.constraints import constraint
from genwright.serving.faults import ApiError, Json
from genwright.serving.gate import Gate
from genwright.serving.jobs import Job
from genwright.serving.metrics import Clock
from genwright.serving.openai_api import ChatRequest, CompletionRequest, Settings
from genwright.serving.service import Limits, Service

Cost = Annotated[str, Header(alias="X-Genwright-Cost", description="1 adds the cost to the usage")]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "The answer, or a stream of it."}
}
SHORT = 16
"""New tokens of a completion whose request does not say, as in the OpenAI API."""


def create_app(
    lm: LocalLM, *, name: str = "", key: str = "", limits: Limits | None = None
) -> FastAPI:
    """Return the server as an ASGI application; the model is read now.

    Args:
        lm: the model, with the settings of a request that leaves them out.
        name: what requests call it; the model's own name by default.
        key: what requests must bring; `""` asks for none.
        limits: what is taken on.
    """
    limits = limits or Limits()
    name = name or lm.model
    service = Service(lm, limits)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(title="genwright", version=__version__, lifespan=living, responses=faults.ANSWERS)
    app.state.service = service
    faults.install(app)

    @app.post("/v1/chat/completions", responses=STREAM)
    async def chat(body: ChatRequest, request: Request, cost: Cost = "") -> Response:
        """Answer a chat."""
        wanted = body.top_logprobs or 0
        shape = ChatShape(model=body.model, vocabulary=lm.vocabulary, logprobs=bool(body.logprobs))
        most = body.max_completion_tokens or body.max_tokens
        if wanted and not body.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs: true.", param="top_logprobs")
        settings = _settings(lm, body, most, wanted if body.logprobs else None)
        prompts = [[message.plain() for message in body.messages]]
        return await serve(body, request, settings, prompts, most, shape, cost)

    @app.post("/v1/completions", responses=STREAM)
    async def complete(body: CompletionRequest, request: Request, cost: Cost = "") -> Response:
        """Continue texts."""
        shape = TextShape(
            model=body.model, vocabulary=lm.vocabulary, logprobs=body.logprobs is not None
        )
        most = body.max_tokens or SHORT
        settings = _settings(lm, body, most, body.logprobs)
        settings = replace(settings, chat=False, template="{prompt}")
        return await serve(body, request, settings, body.prompts, most, shape, cost)

    async def serve(
        body: Settings,
        request: Request,
        settings: LocalLM,
        prompts: Any,
        most: int | None,
        shape: ChatShape | TextShape,
        cost: str,
    ) -> Response:
        clock = Clock(service.metrics)
        if body.model != name:
            raise faults.unknown_model(body.model, name)
        form = constraint(body)
        param = "model"
        if form is not None:
            settings, param = settings.steered(form[0]), form[1]
        seed = secrets.randbits(63) if body.seed is None else body.seed
        headers = {"X-Genwright-Seed": str(seed)}
        n = body.n or 1
        service.check_size(n * len(prompts))  # before any is read

        async def begin() -> tuple[list[list[int]], Job]:
            ids = await service.read(settings, prompts, most)
            return ids, await service.begin(settings, ids, n, seed, clock, param)

        ids, job = await attend.until_gone(request.receive, begin(), limits.seconds)
        count = n * len(ids)

        def told(draws: list[Sample[str]]) -> Any:
            found = usage(ids, draws, cost=cost == "1")
            service.metrics.tokens.labels("prompt").inc(found["prompt_tokens"])
            service.metrics.tokens.labels("completion").inc(found["completion_tokens"])
            return found

        if body.stream:
            asked = body.stream_options is not None and body.stream_options.include_usage
            with_usage = bool(asked) or cost == "1"
            lines = _lines(shape, job, count, told, with_usage=with_usage)
            return attend.EventStream(lines, job.cancel, limits.seconds, headers)

        async def collect() -> Response:
            draws = {i: event async for i, event in job.events() if isinstance(event, Sample)}
            ordered = [draws[i] for i in range(count)]
            choices = [shape.choice(i, draw) for i, draw in enumerate(ordered)]
            return Json(shape.answer(choices, told(ordered)), headers=headers)

        try:
            return await attend.until_gone(request.receive, collect(), limits.seconds)
        except Exception as error:
            raise faults.translate(error, param) from error
        finally:
            job.cancel()

    @app.get("/v1/models")
    async def models() -> Response:
        """List the one model."""
        return Json({"object": "list", "data": [_card(name)]})

    @app.get("/v1/models/{model:path}")
    async def model(model: str) -> Response:
        """Describe the model."""
        if model != name:
            raise faults.unknown_model(model, name)
        return Json(_card(name))

    @app.get("/health")
    async def health() -> Response:
        """Say that the server lives, and how busy it is."""
        busy = {"slots": lm.batch, "slots_used": service.running, "queue": service.waiting}
        return Json({"status": "ok", "model": name, **busy})

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return Prometheus' text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    paths = frozenset(getattr(route, "path", "") for route in app.routes)
    app.add_middleware(Gate, key=key, limits=limits, metrics=service.metrics, paths=paths)
    return app


def _settings(lm: LocalLM, body: Settings, most: int | None, logprobs: int | None) -> LocalLM:
    """Return the model with the settings of a request, where it gives them."""
    given = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": None if body.top_k is None else max(0, body.top_k),
        "min_p": body.min_p,
        "max_new_tokens": most,
        "stop": None if body.stop is None else body.stops,
        "mode": body.steering_mode,
    }
    return replace(lm, logprobs=logprobs, **{k: v for k, v in given.items() if v is not None})


async def _lines(
    shape: ChatShape | TextShape,
    job: Job,
    count: int,
    told: Callable[[list[Sample[str]]], Any],
    *,
    with_usage: bool,
) -> AsyncIterator[str]:
    """Yield the data of a stream's events."""
    empty = {"usage": None} if with_usage else {}
    draws: dict[int, Sample[str]] = {}
    for i in range(count):
        opening = shape.opening(i)
        if opening is not None:
            yield json.dumps(shape.chunk([opening], **empty))
    try:
        async for i, event in job.events():
            if isinstance(event, Sample):
                draws[i] = event
                yield json.dumps(shape.chunk([shape.closing(i, event)], **empty))
            elif event.text:
                yield json.dumps(shape.chunk([shape.written(i, event.text)], **empty))
    except Exception as error:
        raise faults.translate(error) from error
    spent = told([draws[i] for i in range(count)])
    if with_usage:
        yield json.dumps(shape.chunk([], usage=spent))
    yield "[DONE]"


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "genwright"}
