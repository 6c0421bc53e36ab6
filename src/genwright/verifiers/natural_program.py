"""Chains of thought whose steps say what they rest on: numbered statements, and their parser.

    #1. Each pen costs $2.
    #2. Ann buys 3 pens. How much does she pay?
    #3. (by #1 #2) Step 1: Calculate the price. Price: $2 * 3 = $6

A statement that cites others, or calls itself a step, is a step; the others are premises. Citations
stand before the step, "(by #1 #3)", or after it, "(Reference: #1, #3)"; ranges "#1-#3" are read.

Ling et al. 2023, "Deductive Verification of Chain-of-Thought Reasoning", arXiv:2306.03872,
Section 4.2 (the format) and Appendix (citations after the step). Ours: a chain that breaks the
format is an error with its line, where the published code skips what it cannot read.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from genwright.core import InvalidArgument, method
from genwright.verifiers.math_answer import plain_number

_LABEL = re.compile(r"\s*#\s*(?P<label>\d{1,3})\s*[.:]\s*(?P<text>.*)")
_BARE_LABEL = re.compile(r"\s*(?P<label>\d{1,3})[.:]\s+(?P<text>.*)")
_PREFIX = re.compile(r"\(\s*by\b(?P<cited>[^()]*)\)\s*:?\s*", flags=re.IGNORECASE)
_SUFFIX = re.compile(r"\s*\(?\s*References?\s*:?(?P<cited>[\s#\d,.&and–-]*)\)?\s*\Z")
_RANGE = re.compile(r"#?\s*(\d+)(?:\s*[-–]\s*#?\s*(\d+))?")
_STEP = re.compile(r"step\s+\d+\s*[:.]\s*", flags=re.IGNORECASE)
_ANNOUNCES = re.compile(r"(First|Next|Now|Then),?\s+let\b", flags=re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One numbered statement.

    Args:
        label: its number.
        text: what it says, without number, citations and the words "Step 1:".
        cites: the numbers of the statements it rests on, in order; None for a premise.
    """

    label: int
    text: str
    cites: tuple[int, ...] | None = None

    def __str__(self) -> str:
        if self.cites is None:
            return f"#{self.label}. {self.text}"
        cited = " ".join(f"#{label}" for label in self.cites)
        return f"#{self.label}. (by {cited}) {self.text}"


@dataclass(frozen=True)
class NaturalProgram:
    """A chain of numbered statements; `str` writes it down, and `parse` reads it back.

    Args:
        statements: in the order of the chain.
    """

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, text: str) -> "NaturalProgram":
        """Read a chain. Lines without a number continue the statement before them.

        Lines ahead of the first statement, and those that announce ("First, let's ..."), are left
        out. Where no number has its "#", numbers alone count as such.

        Raises:
            InvalidArgument: no numbered statement, a number that comes twice, or a citation of a
                number that is not there or comes later.
        """
        lines = text.splitlines()
        marked = any(_LABEL.match(line) for line in lines)
        blocks: list[tuple[int, list[str]]] = []
        for line in lines:
            if found := (_LABEL if marked else _BARE_LABEL).match(line):
                blocks.append((int(found["label"]), [found["text"]]))
            elif blocks and line.strip() and not _ANNOUNCES.match(line.strip()):
                blocks[-1][1].append(line)
        if not blocks:
            raise InvalidArgument(
                "NaturalProgram: no statement; each must begin a line with its number, as in "
                "'#1. Each pen costs $2.'"
            )
        known: set[int] = set()
        statements: list[Statement] = []
        for label, said in blocks:
            statement = _statement(label, "\n".join(line.strip() for line in said).strip())
            if label in known:
                raise InvalidArgument(f"NaturalProgram: two statements have the number #{label}.")
            if missing := [c for c in statement.cites or () if c not in known]:
                raise InvalidArgument(
                    f"NaturalProgram: #{label} cites #{missing[0]}, which does not come before it."
                )
            known.add(label)
            statements.append(statement)
        return cls(tuple(statements))

    @property
    def steps(self) -> tuple[Statement, ...]:
        """The statements that cite others, or call themselves steps."""
        return tuple(s for s in self.statements if s.cites is not None)

    def premises(self, step: Statement, *, cited_only: bool = True) -> tuple[str, ...]:
        """Return the texts a step may use: those it cites, or all that come before it."""
        before = self.statements[: self._place[step.label]]
        return tuple(s.text for s in before if not cited_only or s.label in (step.cites or ()))

    @cached_property
    def _place(self) -> dict[int, int]:
        return {s.label: i for i, s in enumerate(self.statements)}

    def __str__(self) -> str:
        return "\n".join(str(statement) for statement in self.statements)


def _statement(label: int, text: str) -> Statement:
    cites: tuple[int, ...] | None = None
    for pattern in (_PREFIX, _SUFFIX):
        found = pattern.match(text) if pattern is _PREFIX else pattern.search(text)
        if found and cites is None:
            cites = _cited(found["cited"])
            text = (text[: found.start()] + text[found.end() :]).strip()
    if named := _STEP.match(text):
        text = text[named.end() :].strip()
        cites = cites or ()
    return Statement(label, text, cites)


def _cited(text: str) -> tuple[int, ...]:
    """Read a list of numbers and ranges; of several of one number the first stays."""
    found: list[int] = []
    for low, high in _RANGE.findall(text):
        found += range(int(low), int(high or low) + 1)
    return tuple(dict.fromkeys(found))


LONGEST = 40
"""Characters of a number that still votes."""

_SAYS_ANSWER = re.compile(
    r"\b(?:answer|option|choice|one)\b[^\n]*?\b(?:is|are|be)\b", re.IGNORECASE
)
_OPTION = re.compile(r"(?:\A|\s|\()([A-E])\)")
_DATE = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b")
_NUMBER = re.compile(r"(?<![\w.])-?\s?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?|-?\.\d+")
_QUOTED = re.compile(r"[\"“'](\w+)[\"”']")


@method(paper="arXiv:2306.03872")
@dataclass(frozen=True, kw_only=True)
class ChainAnswer:
    """The final answer of a chain as a vote: an option's letter, a date, a number or a quoted word.

    It is looked for behind the last words of the kind "the answer is" in the last statement, else
    in its last line. Ours: the published code has a list of phrasings for each data set.
    """

    def __call__(self, value: Any) -> str | None:
        """Return the answer in canonical form, or None where there is none."""
        if not isinstance(value, str) or not value.strip():
            return None
        last = re.sub(
            r"\A#?\d+[.:]|#\d+|\(\s*by[^()]*\)",
            "",
            re.split(r"\n(?=\s*#)", value.strip())[-1].strip(),
        )
        said = list(_SAYS_ANSWER.finditer(last))
        tail = last[said[-1].end() :] if said else last.splitlines()[-1]
        if found := _OPTION.search(tail):
            return found[1]
        if found := _DATE.search(tail):
            return f"{int(found[1]):02d}/{int(found[2]):02d}/{found[3]}"
        if found := _NUMBER.search(tail):
            number = plain_number(found[0]) if len(found[0]) <= LONGEST else None
            return None if number is None else str(number)
        return found[1] if (found := _QUOTED.search(tail)) else None
