"""Text compared with a known text, or with a regular expression.

Choose `ExactMatch` for short answers that have one spelling, `RegexMatch` for a form (a date, a
code, a line that must occur). Exact match after normalization: Rajpurkar et al. 2016, "SQuAD",
arXiv:1606.05250, Section 6.1. Ours: articles stay and only outer punctuation goes, since "the who"
is not "who"; Unicode is brought to NFKC; a pattern that backtracks without end is cut off.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, Samples, Verdict, method
from genwright.core.processes import NoAnswer, Processes, side_by_side

SHOWN = 200
"""Characters of a draw that the evidence keeps."""


@method(paper="arXiv:1606.05250")
@dataclass(frozen=True, kw_only=True)
class ExactMatch:
    """Passes a draw that is the known text.

    Args:
        gold: the known text.
        normalize: whether case, runs of blanks, Unicode width, and quotes and full stops around
            the text are ignored.
    """

    gold: str
    normalize: bool = True

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Compare each draw; what is not text fails."""
        form = normalized if self.normalize else str
        gold = form(str(self.gold))
        return [
            Verdict.ok()
            if isinstance(value, str) and form(value) == gold
            else Verdict.fail({"gold": gold[:SHOWN], "got": str(value)[:SHOWN]})
            for value in samples.values
        ]


@method(paper="")
@dataclass(frozen=True, kw_only=True)
class RegexMatch:
    """Passes a draw that matches a regular expression of Python's `re`.

    The pattern is trusted, the text is not: each match runs in a process that is killed at the
    time limit, because `re` cannot be interrupted, and is then undecided.

    Args:
        pattern: the expression; flags stand inside it, such as `(?i)`.
        whole: whether it must match the whole draw, rather than a part of it.
        seconds: time limit of one match.

    Raises:
        InvalidArgument: the pattern does not compile.
    """

    pattern: str
    whole: bool = False
    seconds: float = 1.0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InvalidArgument(
                f"RegexMatch: {self.pattern!r} is no pattern: {error}."
            ) from error

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Match each draw; what is not text fails."""
        return side_by_side(self._judge, list(samples.values))

    def _judge(self, value: Any) -> Verdict:
        if not isinstance(value, str):
            return Verdict.fail({"reason": "the draw is not text"})
        evidence = {"pattern": self.pattern, "got": value[:SHOWN]}
        try:
            found = _workers.ask((self.pattern, self.whole, value), self.seconds)
        except NoAnswer as reason:
            return Verdict.undecided(evidence | {"reason": str(reason)})
        return Verdict.ok() if found else Verdict.fail(evidence)


def normalized(text: str) -> str:
    """Return a text without what `ExactMatch` ignores; a text of punctuation alone stays itself."""
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text.strip(" \"'`“”‘’.") or text


_workers = Processes(Path(__file__).with_name("_regex_worker.py"), mebibytes=1024)
