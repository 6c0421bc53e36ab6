r"""The final answer of a solution, compared with a known one as mathematics and not as text.

Choose it for word problems and mathematics with one short answer: 1/2, 0.5, \frac{1}{2} and 50/100
are the same. Plain numbers are compared exactly as fractions; everything else goes to math-verify
and sympy.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168 (the line
"#### 18"); Hendrycks et al. 2021, "Measuring Mathematical Problem Solving With the MATH Dataset",
arXiv:2103.03874, Section 3 (the last \boxed{}); the library math-verify for what is equal. Ours:
exact fractions first; currency and percent signs are dropped, so that 50% equals 50; a comparison
runs in a process of its own, which is killed at the time limit, and is then undecided.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from genwright.core import InvalidArgument, Samples, Verdict, method, require
from genwright.core.processes import NoAnswer, Processes, side_by_side

Extract = Literal["auto", "boxed", "answer_line", "last_number"]

LONGEST = 1_000
"""Characters an answer may have: beyond it is a text, not an answer."""

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_IN_TEXT = re.compile(rf"(?<![\w.)\]])-?\s?\\?\$?(?:{_NUMBER})(?:/\d+)?%?|(?:{_NUMBER})%?")
_PLAIN = re.compile(
    rf"(?P<sign>[+-]?)(?P<top>{_NUMBER})(?P<power>[eE][+-]?\d{{1,3}})?(?:/(?P<bottom>{_NUMBER}))?"
    r"(?:\s+[A-Za-z]{3,}[A-Za-z ]*)?"
)
_LINE = re.compile(r"(?:####|(?i:\banswer\b(?:\s+is)?)\s*[:=]?)[ \t]*(?P<answer>[^\n]*\S)")


@method(paper="arXiv:2110.14168")
@dataclass(frozen=True, kw_only=True)
class MathAnswer:
    r"""Passes a draw whose final answer equals the known one.

    Args:
        gold: the known answer, bare ("18", "\frac{1}{2}") or a solution that marks it with "####"
            or \boxed{}.
        extract: where a draw's answer stands. "boxed": in the last \boxed{}; "answer_line": after
            the last "####" or "answer is"; "last_number": the last number; "auto": the first of
            these three that the draw has.
        seconds: time limit of one symbolic comparison; beyond it the draw is undecided.
    """

    gold: str
    extract: Extract = "auto"
    seconds: float = 5.0

    def __post_init__(self) -> None:
        _known(self.extract)

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Find and compare each draw's answer.

        Raises:
            MissingExtra: an answer needs sympy and math-verify, and they are not installed.
        """
        gold = str(self.gold)
        if "####" in gold or r"\boxed" in gold:
            gold = final_answer(gold, "auto") or gold
        return side_by_side(lambda value: self._judge(bare(gold), value), list(samples.values))

    def _judge(self, gold: str, value: Any) -> Verdict:
        answer = final_answer(value, self.extract) if isinstance(value, str) else None
        if answer is None:
            return Verdict.fail({"reason": "no answer was found", "gold": gold})
        evidence = {"answer": answer[:LONGEST], "gold": gold}
        if len(answer) > LONGEST:
            return Verdict.fail(evidence | {"reason": f"longer than {LONGEST} characters"})
        ours, theirs = plain_number(gold), plain_number(answer)
        if ours is not None and theirs is not None:
            same: bool | None = ours == theirs
        elif gold == answer:
            same = True
        else:
            try:
                same = _ask(("equal", gold, answer), self.seconds)
            except NoAnswer as reason:
                return Verdict.undecided(evidence | {"reason": str(reason)})
        return Verdict.ok(evidence) if same else Verdict.fail(evidence)


@method(paper="arXiv:2203.11171")
@dataclass(frozen=True, kw_only=True)
class MathKey:
    r"""The final answer of a draw as a vote: 1/2, 0.5 and \frac{1}{2} vote together.

    Args:
        extract: where a draw's answer stands, as in `MathAnswer`.
        seconds: time limit of one simplification; beyond it the answer votes as it is written.
    """

    extract: Extract = "auto"
    seconds: float = 2.0

    def __post_init__(self) -> None:
        _known(self.extract)

    def __call__(self, text: Any) -> str | None:
        """Return the answer in canonical form, or None where a draw has no answer."""
        answer = final_answer(text, self.extract) if isinstance(text, str) else None
        if answer is None or len(answer) > LONGEST:
            return None
        number = plain_number(answer)
        if number is not None:
            return str(number)
        try:
            return _ask(("canonical", answer), self.seconds) or answer
        except NoAnswer:
            return answer


def final_answer(text: str, extract: Extract) -> str | None:
    """Return the bare answer in a solution, or None where it has none."""
    found: str | None = None
    if extract in ("auto", "boxed"):
        found = _boxed(text)
    if found is None and extract in ("auto", "answer_line"):
        lines = [match["answer"] for match in _LINE.finditer(text)]
        found = lines[-1] if lines else None
    if found is None and extract in ("auto", "last_number"):
        numbers = _IN_TEXT.findall(text.replace("−", "-"))
        found = numbers[-1] if numbers else None
    return bare(found) or None if found is not None else None


def bare(answer: str) -> str:
    """Strip blanks, emphasis, mathematics delimiters and a full stop from around an answer."""
    answer = answer.strip().strip("*").strip()
    answer = answer.removesuffix(".").strip()
    for left, right in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        if len(answer) > len(left + right) and answer.startswith(left) and answer.endswith(right):
            answer = answer[len(left) : -len(right)].strip()
    return answer


def plain_number(text: str) -> Fraction | None:
    r"""Return the number that a text is, exactly, or None where it is something else.

    >>> plain_number("$1,250.50"), plain_number(r"-\frac{1}{2}"), plain_number("18 dollars")
    (Fraction(2501, 2), Fraction(-1, 2), Fraction(18, 1))
    """
    text = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text.replace("−", "-"))
    text = re.sub(r"\\?[$%£€]|\\[!,; ]|\{(?=,\})|(?<=\{,)\}|(?<=[+-]) ", "", text).strip()
    found = _PLAIN.fullmatch(text.replace("{,", ","))
    if found is None:
        return None
    top = Fraction(found["top"].replace(",", "") + (found["power"] or ""))
    bottom = Fraction((found["bottom"] or "1").replace(",", ""))
    if bottom == 0:
        return None
    return -top / bottom if found["sign"] == "-" else top / bottom


def _boxed(text: str) -> str | None:
    r"""Return what stands in the last \boxed{...} whose braces close."""
    start = text.rfind(r"\boxed{")
    if start < 0:
        return None
    depth = 0
    for place in range(start + len(r"\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + len(r"\boxed{") : place]
    return None


@lru_cache(maxsize=10_000)
def _ask(request: tuple[str, ...], seconds: float) -> Any:
    """Ask sympy, in a process that can be killed."""
    require("math_verify", extra="science", needed_by="verifiers.math_answer")
    return _workers.ask(request, seconds)


def _known(extract: str) -> None:
    if extract not in ("auto", "boxed", "answer_line", "last_number"):
        raise InvalidArgument(
            f"extract must be auto, boxed, answer_line or last_number, got {extract!r}."
        )


_workers = Processes(Path(__file__).with_name("_math_worker.py"), mebibytes=2048)
