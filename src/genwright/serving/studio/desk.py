"""The desk of the writing page: it prepares a place in a text for the engine.

Filters are compiled, the passage that they hold is followed to the cursor, and what stands before
is read as far as the model's context goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from genwright.core import CompiledConstraint, InvalidArgument
from genwright.serving.faults import ApiError
from genwright.serving.studio.asked import Filter, Place
from genwright.serving.studio.documents import Documents
from genwright.serving.studio.filters import Filters
from genwright.serving.studio.forms import forms_of
from genwright.serving.studio.frame import Studio
from genwright.serving.studio.passage import Broken, Stand, stand
from genwright.serving.studio.pieces import Pieces

PATIENCE = 3.0
"""Seconds that the next words wait for each filter, before they are told without it."""

CHARACTERS = 8
"""Of the context, for each token that the model can read: more than tokens have."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A place, ready for the engine."""

    begin: list[int]
    stand: Stand
    problems: dict[int, dict[str, Any]]
    used: list[int]


class Desk:
    """What the routes of the page share."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.service = studio, studio.service
        self.plain = replace(studio.lm, chat=False, template="{prompt}")
        self.pieces = Pieces(studio.lm.vocabulary)
        self.forms = forms_of("constraint")
        self.filters = Filters(self.forms, studio.lm.vocabulary)
        self.documents = Documents(studio.folder)
        self.chats = self._can_chat()

    def _can_chat(self) -> bool:
        try:
            replace(self.studio.lm, chat=True).encode("?")
        except InvalidArgument:
            return False
        return True

    async def prepare(self, place: Place, *, strict: bool) -> Prepared:
        """Compile the filters and follow the passage.

        Args:
            place: where the cursor stands.
            strict: raise what a filter refuses, instead of leaving that filter out and telling.
        """
        longest = self.studio.limits.compile_seconds
        seconds = longest if strict else min(PATIENCE, longest)
        compiled: list[CompiledConstraint] = []
        used: list[int] = []
        problems: dict[int, dict[str, Any]] = {}
        for number, given in enumerate(place.filters):
            try:
                compiled.append(await self.filters.compiled(given.model_dump(), seconds=seconds))
                used.append(number)
            except ApiError as error:
                problems[number] = error.body["error"]
                if strict:
                    raise _about(error, number, self.title(given)) from error
        most = CHARACTERS * self.service.context
        context, passage = place.context[-most:], place.passage
        if not compiled:
            context, passage = (context + passage)[-most:], ""
        found = await self._stand(compiled, context, passage)
        if isinstance(found, Broken):
            where = passage.encode()[: found.at].decode(errors="ignore")
            culprit = used[found.by] if found.by >= 0 else None
            broken = self._broken(place, culprit, passage, len(where))
            if strict:
                raise broken
            for number in [culprit] if culprit is not None else used:
                problems[number] = {**broken.body["error"], "at": _units(where)}
            used = []
            found = await self._stand([], (context + passage)[-most:], "")
            assert isinstance(found, Stand)  # without filters every text goes on
        begin = await self._begin(place.brief)
        return Prepared(begin=begin, stand=found, problems=problems, used=used)

    def title(self, given: Filter) -> str:
        """Return what people call a filter."""
        form = self.forms.forms.get(given.method)
        return form.title if form else given.method

    async def _stand(
        self, compiled: Sequence[CompiledConstraint], context: str, passage: str
    ) -> Stand | Broken:
        return await self.service.apart(lambda: stand(compiled, context, passage, self.pieces))

    async def _begin(self, brief: str) -> list[int]:
        """Return the tokens before the text: the brief, or what the model's texts begin with."""
        if not brief:
            probe, encode = self.plain.encode("a"), self.pieces.vocabulary.encode
            return probe[: len(probe) - len(encode("a"))]
        if not self.chats:
            raise ApiError(
                400,
                "brief: this model has no chat template, so it takes no brief; put what it should "
                "read into the text.",
                param="brief",
            )
        return await self.service.apart(lambda: replace(self.studio.lm, chat=True).encode(brief))

    def fitted(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return the end of a prompt that leaves room for `most` tokens; never an empty one."""
        room = self.service.context - most
        if room < 1:
            raise ApiError(
                400,
                f"max_new_tokens: this model reads {self.service.context} tokens in all, got "
                f"{most}.",
                param="max_new_tokens",
            )
        return list(tokens[-room:]) or self.plain.encode("")

    def _broken(self, place: Place, culprit: int | None, passage: str, at: int) -> ApiError:
        who = "The filters together do"
        if culprit is not None:
            who = f"Filter {culprit + 1} ({self.title(place.filters[culprit])}) does"
        shown = passage[at : at + 20] or passage[-20:]
        return ApiError(
            400,
            f"{who} not allow the passage: it breaks at {shown!r}, character {at + 1}. Change the "
            "text there, let the passage begin later, or switch the filter off.",
            param=None if culprit is None else f"filters.{culprit}",
            code="passage_broken",
        )


def _units(text: str) -> int:
    """Return a text's length as browsers count it."""
    return len(text.encode("utf-16-le")) // 2


def _about(error: ApiError, number: int, title: str) -> ApiError:
    held = error.body["error"]
    said = f"Filter {number + 1} ({title}): {held['message']}"
    param = f"filters.{number}"
    return ApiError(
        error.status, said, param=param, code=held["code"], retry_after=error.retry_after
    )
