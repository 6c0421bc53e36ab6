"""A chain of reasoning checked step by step, each step seeing only the premises it cites.

`Deduction` judges a whole chain: it is valid if every step is. What judges one step is a
`StepVerifier`: `SymbolicStepVerifier` here, for numbers and arithmetic; a language model in
`prompted_steps.py`. Choose it to sift chains of thought before they vote (`UnanimityPlurality`), or
to keep only valid ones for training. It checks the way, not the answer: a chain may come to the
right answer by a wrong way, and the other way round.

Ling et al. 2023, "Deductive Verification of Chain-of-Thought Reasoning", arXiv:2306.03872,
Sections 4.1 to 4.3. Ours: the symbolic checks (the paper asks a language model for all), and chains
that cannot be read or have no step, which are undecided.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from genwright.core import Cost, InvalidArgument, Samples, Verdict, method
from genwright.verifiers.arithmetic import Quantity, equations, numbers
from genwright.verifiers.natural_program import NaturalProgram

Check = Literal["grounding", "calculation"]
Premises = Literal["cited", "all"]

UNITS = frozenset(map(Fraction, (0, 1, 2, 7, 12, 24, 52, 60, 100, 365, 1000)))
"""Numbers that need no source: 0, 1, 2, and those that turn units into others."""


_GIVEN = re.compile(r"#\d+|\b[Ss]teps?\s+\d+|(?<!\w)\(?[A-E]\)[^\n]*")
"""References to statements, and what an option says: no numbers that a premise must bring."""

_FRACTION = re.compile(r"(?<![\d/.])(\d{1,9})\s?/\s?(\d{1,9})(?![\d/.])")


@dataclass(frozen=True)
class Step:
    """One step of a chain, and what it may use.

    Args:
        premises: the statements that it may use.
        text: what it says.
    """

    premises: tuple[str, ...]
    text: str


@runtime_checkable
class StepVerifier(Protocol):
    """A verifier whose draws are steps."""

    def check(self, samples: Samples[Step]) -> list[Verdict]:
        """Return one verdict a step, in order."""
        ...


@method(paper="arXiv:2306.03872")
@dataclass(frozen=True, kw_only=True)
class SymbolicStepVerifier:
    """Passes a step whose numbers have a source and whose equations hold.

    Grounding: every number stands in a premise, earlier in the step, or to the right of an equals
    sign; the numbers of `UNITS` need no source. A percentage may also stand as a fraction (20%,
    0.2) or as what it leaves (80%, 0.8), a fraction as a decimal. Calculation: every equation made
    of numbers holds to the places it is written with; one with words or variables is not judged.

    Args:
        checks: which of the two are made.
    """

    checks: tuple[Check, ...] = ("grounding", "calculation")

    def __post_init__(self) -> None:
        if not self.checks or set(self.checks) - set(get_args(Check)):
            raise InvalidArgument(
                f"SymbolicStepVerifier: checks must be some of {get_args(Check)}, got "
                f"{self.checks!r}."
            )

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Check each step; a draw that is no `Step` is undecided."""
        return [
            self._judge(value)
            if isinstance(value, Step)
            else Verdict.undecided({"reason": "the draw is not a Step"})
            for value in samples.values
        ]

    def _judge(self, step: Step) -> Verdict:
        read = equations(step.text)
        if "calculation" in self.checks:
            for equation in read:
                if not equation.holds:
                    return Verdict.fail({"check": "calculation", "wrong": equation.text})
        if "grounding" in self.checks:
            known = UNITS.union(*(_brings(premise) for premise in step.premises))
            text = _GIVEN.sub(_blank, step.text)
            for quantity in numbers(text):
                meanings = _meanings(quantity)
                derived = _follows_equals(text, quantity.start)
                if not derived and known.isdisjoint(meanings):
                    shown = _number(quantity)
                    return Verdict.fail({"check": "grounding", "without_source": shown})
                known |= meanings
        return Verdict.ok({"equations": len(read)})


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _follows_equals(text: str, place: int) -> bool:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return "=" in line or "≈" in line


def _brings(premise: str) -> set[Fraction]:
    """Return every value that a premise is a source of, fractions such as 1/4 among them."""
    found = set[Fraction]().union(*(_meanings(quantity) for quantity in numbers(premise)))
    for top, bottom in _FRACTION.findall(premise):
        if int(bottom):
            value = Fraction(int(top), int(bottom))
            found |= {value, value * 100, 1 - value}
    return found


def _meanings(quantity: Quantity) -> set[Fraction]:
    """Return the values that a number may stand for."""
    value = quantity.value
    found = {value}
    if quantity.percent:
        found |= {value / 100, 100 - value, 1 - value / 100}
    elif 0 < value < 1:
        found |= {1 / value, value * 100, 1 - value}
    return found


def _number(quantity: Quantity) -> str:
    return f"{float(quantity.value):g}" + "%" * quantity.percent


@method(paper="arXiv:2306.03872")
@dataclass(frozen=True, kw_only=True)
class Deduction:
    """Passes a chain (see `natural_program.py`) if each of its steps passes.

    The score is the share of its steps that stand before the first wrong one. Checking ends there.

    Args:
        steps: judges one step.
        premises: what a step may use: "cited" by it, or "all" that was said before it.
    """

    steps: StepVerifier = field(default_factory=SymbolicStepVerifier)
    premises: Premises = "cited"

    def __post_init__(self) -> None:
        if self.premises not in get_args(Premises):
            raise InvalidArgument(
                f"Deduction: premises must be one of {get_args(Premises)}, got {self.premises!r}."
            )

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Check each chain; one that cannot be read, or has no step, is undecided."""
        return [judge_chain(value, self.steps, self.premises) for value in samples.values]


def judge_chain(
    chain: Any,
    steps: StepVerifier,
    premises: Premises = "cited",
    go_on: Callable[[Cost], bool] = lambda spent: True,
) -> Verdict:
    """Check the steps of one chain in order, up to the first that fails.

    Args:
        chain: the text.
        steps: judges each step.
        premises: what a step may use.
        go_on: asked before each step, with what the earlier ones cost; False ends the check.

    Returns:
        A failure where a step failed. Otherwise undecided where the chain cannot be read, has no
        step, or has one that was undecided or not reached; a pass where all steps passed. Its cost
        is that of the steps that were checked.
    """
    try:
        program = NaturalProgram.parse(chain if isinstance(chain, str) else "")
    except InvalidArgument as error:
        return replace(Verdict.undecided({"reason": str(error)}), cost=Cost())
    spent, unclear = Cost(), {"reason": "the chain has no step"} if not program.steps else None
    for number, step in enumerate(program.steps):
        if not go_on(spent):
            unclear = {"reason": "the budget was spent"}
            break
        shown = Step(program.premises(step, cited_only=premises == "cited"), step.text)
        verdict = steps.check(Samples([shown]))[0]
        spent += verdict.cost
        said = {"label": step.label, "says": verdict.evidence}
        if verdict.passed is False:
            score = number / len(program.steps)
            return replace(Verdict.fail(said, score=score), cost=spent)
        if verdict.passed is None:
            unclear = unclear or said
    if unclear is not None:
        return replace(Verdict.undecided(unclear), cost=spent)
    return replace(Verdict.ok({"steps": len(program.steps)}), cost=spent)
