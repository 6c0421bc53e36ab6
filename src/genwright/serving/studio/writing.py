"""The page for writing: next words and alternatives under filters, and documents.

Pages fill in forms (`forms.py`); a filter holds the passage that the writer chose (`passage.py`).
The model reads what stands before the cursor, as far as its context goes.

Roush, Basu, Moorthy and Dubovoy 2022, "Most Language Models can be Poets too: An AI Writing
Assistant and Constrained Text Generation Studio", arXiv:2306.15926: filters on the vocabulary that
a writer composes, and the words that are left. Ours: any registered constraint is a filter, filters
hold from a place in the text on, and every piece of text that is taken away names who took it.
"""

import secrets
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from genwright.core import Sample
from genwright.serving import attend, faults
from genwright.serving.faults import Json
from genwright.serving.metrics import Clock
from genwright.serving.studio.asked import Document, Drawing, Looking, Saving
from genwright.serving.studio.desk import Desk
from genwright.serving.studio.drawing import lines, summary
from genwright.serving.studio.frame import Page, Studio
from genwright.serving.studio.next_words import Listening, prompts, told, ways
from genwright.serving.studio.passage import Passage


def routes(studio: Studio) -> APIRouter:
    """Return the API of the page."""
    desk, service, router = Desk(studio), studio.service, APIRouter()
    seconds = studio.limits.seconds

    @router.get("/forms")
    async def forms() -> Response:
        """Tell which filters there are and what each asks for, and what the model is."""
        model = {
            "name": studio.model,
            "context": service.context,
            "tokens": service.size,
            "brief": desk.chats,
            "temperature": studio.lm.temperature,
        }
        return Json(
            {
                "forms": [form.told() for form in desk.forms.forms.values()],
                "inner": [form.told() for form in desk.forms.inner.values()],
                "left_out": dict(desk.forms.left_out),
                "model": model,
                "folder": str(studio.folder),
            }
        )

    @router.post("/next")
    async def following(body: Looking, request: Request) -> Response:
        """Tell the likeliest next pieces of text, and what each filter takes away."""

        async def look() -> Response:
            prepared = await desk.prepare(body, strict=False)
            place, ear = prepared.stand, Listening()
            asked = [desk.fitted(ids, 1) for ids in prompts(prepared.begin, place, desk.pieces)]
            lm = replace(desk.plain, max_new_tokens=1, temperature=0.0, stop=(), constraints=())
            clock = Clock(service.metrics)
            job = await service.begin(lm.steered(ear), asked, 1, 0, clock, "filters")
            try:
                async for _ in job.events():
                    pass
            finally:
                job.cancel()
            odds = [ear.heard[tuple(ids)] for ids in asked]
            answer = await service.apart(
                lambda: told(ways(odds, place, desk.pieces), desk.pieces, body.top)
            )
            counted = dict(zip(prepared.used, answer["filters"], strict=True))
            answer["filters"] = [
                {"problem": prepared.problems.get(i), **counted.get(i, {})}
                for i in range(len(body.filters))
            ]
            for word in answer["removed"]:
                word["by"] = [prepared.used[i] for i in word["by"]]
            return Json(answer)

        return await _answered(request, look(), seconds)

    @router.post("/draw")
    async def draw(body: Drawing, request: Request) -> Response:
        """Draw alternatives for how the text goes on."""
        seed = secrets.randbits(31) if body.seed is None else body.seed
        service.check_size(body.n)

        async def begin() -> tuple[Any, str]:
            prepared = await desk.prepare(body, strict=True)
            prompt = desk.fitted([*prepared.begin, *prepared.stand.tokens], body.max_new_tokens)
            given = {"temperature": body.temperature, "top_p": body.top_p}
            lm = replace(
                desk.plain,
                max_new_tokens=body.max_new_tokens,
                mode=body.mode,
                constraints=(),
                **{key: value for key, value in given.items() if value is not None},
            )
            if body.filters or prepared.stand.pending:
                lm = lm.steered(Passage(prepared.stand, desk.pieces))
            else:
                lm = replace(lm, mode="mask")  # nothing to condition on: they are the same
            clock = Clock(service.metrics)
            job = await service.begin(lm, [prompt], body.n, seed, clock, "filters")
            return job, prepared.stand.pending.decode()

        job, again = await _answered(request, begin(), seconds)
        if body.stream:
            return attend.EventStream(lines(job, body.n, again, seed), job.cancel, seconds, {})

        async def collect() -> Response:
            draws = {i: event async for i, event in job.events() if isinstance(event, Sample)}
            told = [summary(i, draws[i], again) for i in range(body.n)]
            return Json({"seed": seed, "draws": told})

        try:
            return await _answered(request, collect(), seconds)
        finally:
            job.cancel()

    @router.get("/documents")
    async def listed() -> Response:
        """List the documents."""
        return Json({"documents": await service.apart(desk.documents.all)})

    @router.post("/documents")
    async def create(body: Document) -> Response:
        """Make a document."""
        content = body.model_dump()
        return Json(await service.apart(lambda: desk.documents.create(content)), 201)

    @router.get("/documents/{name}")
    async def read(name: str) -> Response:
        """Read a document."""
        return Json(await service.apart(lambda: desk.documents.read(name)))

    @router.put("/documents/{name}")
    async def save(name: str, body: Saving) -> Response:
        """Replace a document."""
        content = body.model_dump(exclude={"revision"})
        made = await service.apart(lambda: desk.documents.save(name, content, body.revision))
        return Json({key: made[key] for key in ("name", "revision", "changed")})

    @router.delete("/documents/{name}")
    async def delete(name: str) -> Response:
        """Move a document out of the way."""
        away = await service.apart(lambda: desk.documents.delete(name))
        return Json({"moved_to": str(away)})

    return router


async def _answered(request: Request, work: Any, seconds: float) -> Any:
    try:
        return await attend.until_gone(request.receive, work, seconds)
    except Exception as error:
        raise faults.translate(error, "filters") from error


WRITING = Page(name="writing", title="Writing", routes=routes)
