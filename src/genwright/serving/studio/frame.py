"""The frame around the pages of the studio: what a page is, and the HTML they all share."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from fastapi import APIRouter

from genwright.generators.language.local import LocalLM
from genwright.serving.service import Limits, Service

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, kw_only=True)
class Studio:
    """What every page may use.

    Args:
        lm: the model, with the settings of a request that leaves them out.
        model: what people call it.
        service: runs draws.
        limits: what is taken on.
        folder: where pages keep files.
    """

    lm: LocalLM
    model: str
    service: Service
    limits: Limits
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the studio.

    Args:
        name: of its address `/NAME`, of its API `/api/NAME`, and of its folder of static files,
            which holds `NAME.html` (what stands in the frame), `NAME.css` and `NAME.js`.
        title: as the navigation shows it.
        routes: makes its API.
    """

    name: str
    title: str
    routes: Callable[[Studio], APIRouter]


def render(page: Page, pages: Sequence[Page]) -> str:
    """Return the HTML of a page in the frame."""
    links = "".join(
        f'<a href="/{other.name}"{_current(other is page)}>{html.escape(other.title)}</a>'
        for other in pages
    )
    frame = Template((STATIC / "frame.html").read_text(encoding="utf-8"))
    main = (STATIC / page.name / f"{page.name}.html").read_text(encoding="utf-8")
    return frame.substitute(title=html.escape(page.title), name=page.name, links=links, main=main)


def _current(yes: bool) -> str:
    return ' aria-current="page"' if yes else ""
