"""What requests of the writing page hold: types are strict, texts and lists have limits."""

from typing import Any, Literal

from pydantic import Field

from genwright.serving.openai_api import Body, Text

MOST_FILTERS = 12
MOST_TEXT = 1_000_000
"""Characters of a document."""


class Filter(Body):
    """A form, filled in."""

    method: Text
    values: dict[str, Any] = Field(default_factory=dict)


class Place(Body):
    """A cursor: what stands before it, and what holds from there on."""

    context: Text = Field("", max_length=MOST_TEXT)
    passage: Text = Field("", max_length=MOST_TEXT)
    brief: Text = Field("", max_length=20_000)
    filters: list[Filter] = Field(default_factory=list, max_length=MOST_FILTERS)


class Looking(Place):
    """What the next words are asked for with."""

    top: int = Field(12, ge=1, le=50)


class Drawing(Place):
    """What alternatives are asked for with."""

    n: int = Field(3, ge=1, le=16)
    seed: int | None = Field(None, ge=0, lt=2**53, description="at most what JavaScript counts to")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_new_tokens: int = Field(40, ge=1, le=512)
    mode: Literal["mask", "exact"] = "mask"
    stream: bool = True


class Document(Body):
    """What a document holds, beside what the page itself keeps with it."""

    title: Text = Field("", max_length=200)
    text: Text = Field("", max_length=MOST_TEXT)
    brief: Text = Field("", max_length=20_000)
    passage: int = Field(0, ge=0, le=2 * MOST_TEXT)
    filters: list[dict[str, Any]] = Field(default_factory=list, max_length=MOST_FILTERS)
    settings: dict[str, Any] = Field(default_factory=dict)
    alternatives: list[dict[str, Any]] = Field(default_factory=list, max_length=64)


class Saving(Document):
    """A document and the revision that it changes."""

    revision: int = Field(ge=1)
