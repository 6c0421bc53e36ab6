"""Regular expressions over untrusted text; a process of its own runs it (`_process_loop.py`)."""

import re


def answer(pattern: str, whole: bool, text: str) -> bool:
    """Tell whether a text matches, as a whole or in a part."""
    compiled: re.Pattern[str] = re.compile(pattern)
    return (compiled.fullmatch(text) if whole else compiled.search(text)) is not None
