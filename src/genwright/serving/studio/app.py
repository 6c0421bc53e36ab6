"""The studio as an ASGI application: pages in one frame, behind one door, on one engine.

Choose it to work with a model by hand. For programs there is `genwright serve`, whose queue of
draws, limits and errors these pages share.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from genwright import __version__
from genwright.generators.language.local import LocalLM
from genwright.serving import faults
from genwright.serving.gate import Gate
from genwright.serving.service import Limits, Service
from genwright.serving.studio.documents import data_folder
from genwright.serving.studio.door import Door
from genwright.serving.studio.frame import STATIC, Page, Studio, render
from genwright.serving.studio.writing import WRITING

PAGES = (WRITING,)
"""The pages, in the order of the navigation; the first is where one arrives."""

LIMITS = Limits(queue=64, body=4_000_000, compile_seconds=10.0)
"""One person at work, not a crowd of programs."""


def create_studio(
    lm: LocalLM,
    *,
    token: str = "",
    model: str = "",
    folder: Path | None = None,
    host: str = "localhost",
    limits: Limits = LIMITS,
    pages: Sequence[Page] = PAGES,
) -> FastAPI:
    """Return the studio; the model is read now. `app.state.token` opens its door.

    Args:
        lm: the model, with the settings of a request that leaves them out.
        token: what the link must hold; a random one by default.
        model: what people call the model; its own name by default.
        folder: where pages keep files; the user's data folder by default.
        host: a name under which the studio may be asked for, beside addresses and localhost.
        limits: what is taken on.
        pages: what is shown.
    """
    token = token or secrets.token_urlsafe(24)
    service = Service(lm, limits)
    studio = Studio(
        lm=lm,
        model=model or lm.model,
        service=service,
        limits=limits,
        folder=folder or data_folder(),
    )

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="genwright studio",
        version=__version__,
        lifespan=living,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.token, app.state.service = token, service
    faults.install(app)

    @app.get("/")
    async def arrive() -> Response:
        return RedirectResponse(f"/{pages[0].name}", 303)

    for page in pages:
        app.include_router(page.routes(studio), prefix=f"/api/{page.name}")
        app.add_api_route(f"/{page.name}", _shown(render(page, pages)))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    paths = frozenset(getattr(route, "path", "") for route in app.routes)
    app.add_middleware(Gate, key="", limits=limits, metrics=service.metrics, paths=paths)
    app.add_middleware(Door, token=token, host=host)
    return app


def _shown(text: str) -> Callable[[], Awaitable[HTMLResponse]]:
    async def page() -> HTMLResponse:
        return HTMLResponse(text)

    return page
