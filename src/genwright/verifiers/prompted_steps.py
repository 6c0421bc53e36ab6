"""One step of a chain, judged by a language model that sees nothing but the premises it cites.

Choose it for steps that are no arithmetic, with a model that is able to judge: small models answer
at random. For numbers `SymbolicStepVerifier` is surer and free.

Ling et al. 2023, "Deductive Verification of Chain-of-Thought Reasoning", arXiv:2306.03872,
Section 4.3: k' = 3 replies and their majority; one prompt for all checks, or one each for
grounding, reasoning and calculation. Ours: the wording of the prompts, shorter and without their
worked example; and how replies are read: their last word of the kind decides, and one that says
neither yes nor no is undecided. The published code takes the first, so that "there are no errors,
so the answer is yes" counts as no, and counts what says neither as yes; `as_published` does both.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from genwright.core import Cost, Generator, InvalidArgument, Samples, Verdict, child_seed, method
from genwright.verifiers.deduction import Step

Mode = Literal["simultaneous", "sequential"]

_ASKS = {
    "everything": "Check this reasoning. Does every number have a source in the information? Does "
    "each line follow, and serve the purpose stated at first? Is every calculation right?",
    "grounding": "Check the numbers in this reasoning. Does each of them stand in the information, "
    "or follow from an earlier line?",
    "reasoning": "Check the sense of this reasoning. Does each line serve the purpose stated at "
    "first, with nothing wrong or beside the point?",
    "calculation": "Check the calculations in this reasoning. Is each of them right?",
}
_PROMPT = """Information:
{premises}

Reasoning:
{step}

{question} Think it through without assumptions, and end with the word "yes" or "no".
"""
_NO = (
    "no|is correct or not|is incorrect|is not correct|partially correct|cannot determine|"
    "cannot confirm"
)
_LAST = re.compile(rf"(?<!\w)(?:(?P<no>{_NO})|yes)(?!\w)", re.IGNORECASE)
_FIRST = re.compile(rf"[ :\"](?:(?P<no>{_NO})|yes)[ ,.\"]", re.IGNORECASE)
_LOOSE = re.compile(r"(?:(?P<no>no)|yes)[ ,.\"]", re.IGNORECASE)


@method(paper="arXiv:2306.03872")
@dataclass(frozen=True, kw_only=True)
class PromptedStepVerifier:
    """Passes a step if most of k replies of a language model say yes.

    Args:
        generator: what is asked, with prompts that are texts. None stands for the generator of the
            draws themselves, which `UnanimityPlurality` fills in.
        mode: one prompt for all checks ("simultaneous"), or one for each of grounding, reasoning
            and calculation, up to the first that fails ("sequential").
        k: replies to each prompt. The default is the paper's.
        as_published: read replies as the published code does (see `read_reply`), and take an even
            split for a no. Otherwise an even split is undecided.
        seed: of the replies.

    Raises:
        InvalidArgument: k below 1, or an unknown mode.
    """

    generator: Generator[Any] | None = None
    mode: Mode = "simultaneous"
    k: int = 3
    as_published: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidArgument(f"PromptedStepVerifier: k must be 1 or more, got {self.k}.")
        if self.mode not in get_args(Mode):
            raise InvalidArgument(
                f"PromptedStepVerifier: mode must be one of {get_args(Mode)}, got {self.mode!r}."
            )

    @property
    def most_replies(self) -> int:
        """The most draws that the check of one step takes."""
        return self.k if self.mode == "simultaneous" else 3 * self.k

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Ask about each step; a draw that is no `Step` is undecided.

        Raises:
            InvalidArgument: no generator.
        """
        return [self._judge(value) for value in samples.values]

    def _judge(self, step: Any) -> Verdict:
        if not isinstance(step, Step):
            return Verdict.undecided({"reason": "the draw is not a Step"})
        if self.generator is None:
            raise InvalidArgument(
                "PromptedStepVerifier: generator is None; name the one to ask, or use it within "
                "UnanimityPlurality, which asks the generator of the draws."
            )
        asked = ("everything",) if self.mode == "simultaneous" else tuple(_ASKS)[1:]
        cost, unsure = Cost(verifier_calls=1), False
        for what in asked:
            prompt = _PROMPT.format(
                premises="\n".join(step.premises), step=step.text, question=_ASKS[what]
            )
            replies = self.generator.sample(prompt, self.k, seed=child_seed(self.seed, what))
            cost += replies.cost
            said = [read_reply(str(r), as_published=self.as_published) for r in replies.values]
            passed = self._majority(said)
            if passed is False:
                evidence = {"check": what, "reply": str(replies.values[0])[-300:]}
                return Verdict(passed=False, score=0.0, evidence=evidence, cost=cost)
            unsure = unsure or passed is None
        if unsure:
            evidence = {"reason": "the replies said neither yes nor no"}
            return Verdict(passed=None, score=None, evidence=evidence, cost=cost)
        return Verdict(passed=True, score=1.0, evidence={"asked": list(asked)}, cost=cost)

    def _majority(self, replies: list[bool | None]) -> bool | None:
        yes, no = replies.count(True), replies.count(False)
        if yes == no and not self.as_published:
            return None
        return yes > no  # in the published code an even split is no yes


def read_reply(reply: str, *, as_published: bool = False) -> bool | None:
    """Return what the last line of a reply says.

    Args:
        reply: the text.
        as_published: read it as the published code does: the first word that says yes or no
            decides, and yes where none does. Otherwise the last such word decides.

    Returns:
        None where the line says neither.
    """
    lines = [line for line in reply.split("\n") if line]
    last = lines[-1] if lines else ""
    if "not applicable" in last or "N/A" in last or "passes" in last:
        return True
    if "fails" in last:
        return False
    if as_published:
        first = _FIRST.search(last) or _LOOSE.search(last)
        return first is None or first["no"] is None
    found = list(_LAST.finditer(last))
    return found[-1]["no"] is None if found else None
