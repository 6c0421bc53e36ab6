r"""HTML that is safe by construction: every text is escaped unless `h` itself made it.

Characters that a terminal or browser acts on instead of showing (controls, changes of the writing
direction, halves of surrogate pairs) are written out as `\u202e`, so that evidence reads as it is.
"""

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_VOID = {"meta", "br", "img"}


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: Any) -> Html:
    """Return a value as escaped text; markup stays as it is."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(visible(str(value))))


def visible(value: str) -> str:
    """Write out the characters that would act instead of show."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


def h(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Return an element. `class_="note"` is the attribute class; None and False leave one out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text("" if value is True else value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Html:
    """Return children one after the other; None is nothing."""
    return Html("".join(text(child) for child in children if child is not None))


def data(name: str, content: Any) -> Html:
    """Return a block of JSON that scripts of the page can read, and that can end no element."""
    written = content if isinstance(content, str) else json.dumps(content)
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{text(name)}">{written}</script>')


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], texts: int = 1
) -> Html:
    """Return a table in a box that scrolls by itself when the page is too narrow.

    Args:
        caption: says what it shows.
        heads: names of the columns.
        rows: cells; the first of a row names it.
        texts: how many columns from the left hold words; the others are numbers.
    """
    kind = ["text" if i < texts else "number" for i in range(len(heads))]
    head = [h("th", name, scope="col", class_=kind[i]) for i, name in enumerate(heads)]
    body = [
        h(
            "tr",
            h("th", row[0], scope="row", class_=kind[0]),
            *(h("td", cell, class_=kind[i]) for i, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    made = h(
        "table", h("caption", h("span", caption)), h("thead", h("tr", *head)), h("tbody", *body)
    )
    return h("div", made, class_="scroll", role="region", aria_label=caption, tabindex="0")
