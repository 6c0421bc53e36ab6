"""The laws of filters: what judges the text of a token or of a word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from genwright.testing.contracts.sentences import law
from genwright.testing.contracts.verifier import HOSTILE_TEXTS


class Judge(Protocol):
    """What fills the slot `filter`."""

    def allows(self, texts: Sequence[str]) -> list[bool]:
        """Return one answer a text, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class FilterCase:
    """A filter, and texts of which the answer is known.

    Args:
        make: returns the filter.
        allowed: texts that pass.
        refused: texts that do not.
    """

    make: Callable[[], Judge]
    allowed: Sequence[str]
    refused: Sequence[str]


def known_texts_get_the_known_answers(case: FilterCase) -> None:
    """A filter that allows everything, or nothing, keeps every other law."""
    law(bool(case.allowed and case.refused), "the case must name a text of each kind.")
    texts = [*case.allowed, *case.refused]
    for text, answer in zip(texts, case.make().allows(texts), strict=True):
        wanted = text in case.allowed
        law(answer == wanted, f"{text!r} must be {'allowed' if wanted else 'refused'}.")


def every_text_is_judged_on_its_own(case: FilterCase) -> None:
    """Company, order and repetition change no answer."""
    texts = [*case.allowed, *case.refused, *case.allowed]
    together = case.make().allows(texts)
    law(len(together) == len(texts), f"{len(texts)} texts got {len(together)} answers.")
    law(case.make().allows([]) == [], "no texts must get no answers.")
    for text, answer in zip(texts, together, strict=True):
        law(case.make().allows([text]) == [answer], f"{text!r} gets another answer by itself.")
    law(case.make().allows(texts[::-1]) == together[::-1], "the order of texts changes answers.")


def hostile_texts_get_an_answer(case: FilterCase) -> None:
    """The tokens of a model are all sorts of strings."""
    texts = ["", " ", "\n", "é", "\u0301", "\u200b", "🙂", "漢字", "a" * 300]
    texts += [text for text in HOSTILE_TEXTS if isinstance(text, str)]
    answers = case.make().allows(texts)
    law(len(answers) == len(texts), f"{len(texts)} texts got {len(answers)} answers.")
    law(all(type(a) is bool for a in answers), "every answer must be True or False.")


LAWS: tuple[Callable[[Any], None], ...] = (
    known_texts_get_the_known_answers,
    every_text_is_judged_on_its_own,
    hostile_texts_get_an_answer,
)
