"""More steps first: worked examples with the most steps, and votes by the longest chains alone.

Choose `ComplexVote` where chains of one question differ in how much they work out and short ones
guess; where all chains have one format it gains nothing over `MajorityVote`. Choose
`ComplexExamples` to pick worked examples for a prompt out of many.

Fu et al. 2022, "Complexity-Based Prompting for Multi-Step Reasoning", arXiv:2210.00720, Section 3:
a chain's complexity is its number of steps, and a step is a line; k = 8 examples with the most
steps; of N = 50 chains the majority among the K most complex (30 to 40 do best there). Ours: the
line that only states the answer is no step; chains without an answer take no place among the K;
and chains of equal complexity at the edge of the K share the places left, so that the order of
drawing decides nothing.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from genwright.core import (
    Budget,
    Generator,
    InvalidArgument,
    Outcome,
    Stop,
    Task,
    child_seed,
    method,
    nearest,
)
from genwright.search.tally import Tally, at_least_one
from genwright.search.voting import answer_of, count

Measure = Literal["steps", "question", "formula"]
Prefer = Literal["complex", "simple", "random"]

_NO_STEP = re.compile(
    r"\W*(?:\d+[.):]?|(?:so|therefore|thus|hence)?,?\s*(?:the\s+)?(?:final\s+)?answer\b[^\n]*|"
    r"####[^\n]*)?\W*",
    re.IGNORECASE,
)
_FIELDS: Mapping[Measure, str] = {"steps": "answer", "question": "question", "formula": "formula"}


def steps(chain: str) -> int:
    r"""Return the number of steps of a chain: its lines, but for blank ones and the answer's.

    >>> steps("1. 3 + 4 = 7\r\n\r\n2. 7 + 1 = 8\nThe answer is 8.")
    2
    """
    return sum(not _NO_STEP.fullmatch(line) for line in chain.splitlines())


@method(paper="arXiv:2210.00720")
@dataclass(frozen=True, kw_only=True)
class ComplexVote:
    """Return a draw with the commonest answer among the chains with the most steps.

    Args:
        n: the most chains to draw. The default is the paper's.
        top: share of the chains that vote, above 0 and at most 1, at least one chain. The default
            is 40 of 50, the upper end of what the paper found best.
        key: maps a chain to its answer, or to None, which casts no vote and takes no place.
        batch: draws per call of the generator; the budget is looked at between calls.

    Raises:
        InvalidArgument: n or batch below 1, or a share out of range.
    """

    n: int = 50
    top: float = 0.8
    key: Callable[[Any], Hashable | None] | None = None
    batch: int = 16

    def __post_init__(self) -> None:
        at_least_one("ComplexVote", n=self.n, batch=self.batch)
        if not 0 < self.top <= 1:
            raise InvalidArgument(f"ComplexVote: top must be in (0, 1], got {self.top}.")

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task. Draws must be texts.

        `info` holds `votes` (the weight behind each answer that got a vote), `groups` (for each
        draw the index of its answer, or None where it cast no vote), `steps` (of each draw) and
        `agreement` (the winner's share of the votes).
        """
        tally = Tally(generator, task, budget, seed)
        stop = Stop.COMPLETE
        while len(tally.samples) < self.n:
            if not len(tally.draw(min(self.batch, self.n - len(tally.samples)))):
                stop = Stop.BUDGET
                break
        answers = [answer_of(value, self.key) for value in tally.samples.values]
        counted = [steps(str(value)) for value in tally.samples.values]
        known = [None if a is None else s for a, s in zip(answers, counted, strict=True)]
        ballot = count(answers, top_weights(known, self.top), ties="first")
        return tally.outcome(
            ballot.representative,
            stop,
            votes=list(ballot.weights),
            groups=list(ballot.groups),
            steps=counted,
            agreement=ballot.agreement,
        )


def top_weights(complexities: Sequence[float | None], share: float) -> list[float]:
    """Return the weight of each chain's vote: 1 for the most complex ones, 0 for the others.

    Args:
        complexities: one a chain; None leaves it out.
        share: of the chains that are not left out, rounded to a number K, at least 1. Chains of
            equal complexity at the edge of the K share the places that are left.
    """
    ranked = sorted((c for c in complexities if c is not None), reverse=True)
    if not ranked:
        return [0.0] * len(complexities)
    places = max(1, round(share * len(ranked)))
    edge = ranked[places - 1]
    above, tied = sum(c > edge for c in ranked), ranked.count(edge)
    at_edge = (places - above) / tied
    return [0.0 if c is None or c < edge else 1.0 if c > edge else at_edge for c in complexities]


@dataclass(frozen=True, kw_only=True)
class ComplexExamples:
    """Pick the worked examples with the most steps, and write a prompt with them.

    Args:
        k: how many. The default is the paper's.
        measure: what complexity is: the "steps" of the worked answer, or, where there is none, the
            length in characters of the "question" or of a "formula".
        field: the field of an example that is measured; "answer", "question" or "formula" by
            default, as the measure says.
        prefer: the other two are the paper's controls: the fewest steps, or any examples.

    Raises:
        InvalidArgument: k below 1, or an unknown word.
    """

    k: int = 8
    measure: Measure = "steps"
    field: str = ""
    prefer: Prefer = "complex"

    def __post_init__(self) -> None:
        at_least_one("ComplexExamples", k=self.k)
        if self.measure not in get_args(Measure) or self.prefer not in get_args(Prefer):
            raise InvalidArgument(
                f"ComplexExamples: measure must be one of {get_args(Measure)} and prefer one of "
                f"{get_args(Prefer)}, got {self.measure!r} and {self.prefer!r}."
            )

    def choose(self, examples: Sequence[Mapping[str, Any]], *, seed: int) -> list[int]:
        """Return the numbers of the k examples, best first; equals in an order by their text.

        Raises:
            InvalidArgument: fewer than k examples, or one without the field.
        """
        if len(examples) < self.k:
            raise InvalidArgument(
                f"ComplexExamples: {self.k} examples are to be chosen from {len(examples)}; give "
                "more or ask for fewer."
            )
        sign = {"complex": -1, "simple": 1, "random": 0}[self.prefer]
        names = [f"{example.get('question')}\n{example.get('answer')}" for example in examples]
        ranks = [sign * self.complexity(example) for example in examples]
        order = sorted(range(len(examples)), key=lambda i: (ranks[i], child_seed(seed, names[i])))
        return order[: self.k]

    def complexity(self, example: Mapping[str, Any]) -> int:
        """Return the complexity of one example.

        Raises:
            InvalidArgument: it lacks the field.
        """
        field = self.field or _FIELDS[self.measure]
        if field not in example:
            raise InvalidArgument(
                f"ComplexExamples: an example has no field {field!r}; it has: "
                f"{', '.join(example)}.{nearest(field, list(example))}"
            )
        text = str(example[field])
        return steps(text) if self.measure == "steps" else len(text)

    def prompt(
        self,
        examples: Sequence[Mapping[str, Any]],
        question: str,
        *,
        seed: int,
        example: str = "Question: {question}\nLet's think step by step\n{answer}\n\n",
    ) -> str:
        """Return the chosen examples and the question, each in the form of `example`.

        The form is cut before `{answer}` for the question.
        """
        chosen = (examples[i] for i in self.choose(examples, seed=seed))
        shown = "".join(example.format(question=e["question"], answer=e["answer"]) for e in chosen)
        return shown + example.partition("{answer}")[0].format(question=question)
