"""What surrounds an answer in a draw: code fences."""

import re

_FENCE = re.compile(r"```[ \t]*(?:\w*[ \t]*\n)?(.*?)(?:```|\Z)", flags=re.DOTALL)


def fenced(text: str) -> str | None:
    """Return what stands in the first code fence, or None where there is none.

    A fence that is never closed reaches to the end: a draw may have run out of tokens.
    """
    found = _FENCE.search(text)
    return found.group(1) if found else None
