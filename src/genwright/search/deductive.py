"""Chains of thought vote only if every one of their steps holds.

Choose it where draws can be written as natural programs (numbered steps that cite their premises,
see `verifiers/natural_program.py`) and a step is easier to check than an answer. Without such
chains, `MajorityVote` is the same at less cost.

Ling et al. 2023, "Deductive Verification of Chain-of-Thought Reasoning", arXiv:2306.03872,
Section 4.3 ("Unanimity-Plurality Voting"): k = 10 chains, and to save calls only chains of the two
most voted answers are checked. Ours: where no checked chain is valid, those that stayed undecided
vote (they may be valid), and where none of them is left, all draws do; there the paper has no
answer.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genwright.core import (
    Budget,
    Cost,
    Generator,
    InvalidArgument,
    Outcome,
    Samples,
    Stop,
    Task,
    Verdict,
    child_seed,
    method,
)
from genwright.search.tally import Tally, at_least_one
from genwright.search.voting import Ballot, answer_of, count
from genwright.verifiers.deduction import (
    Premises,
    Step,
    StepVerifier,
    SymbolicStepVerifier,
    judge_chain,
)
from genwright.verifiers.natural_program import ChainAnswer
from genwright.verifiers.prompted_steps import PromptedStepVerifier


@method(paper="arXiv:2306.03872")
@dataclass(frozen=True, kw_only=True)
class UnanimityPlurality:
    """Return a chain with the commonest answer among those of which every step is valid.

    Args:
        steps: judges one step. A `PromptedStepVerifier` without a generator asks the generator of
            the draws, and its replies then count as draws of the task.
        k: the most chains to draw. The default is the paper's.
        only_top: chains of this many of the most voted answers are checked, more where answers are
            tied; 0 checks all.
        key: maps a chain to its answer, or to None, which casts no vote.
        premises: what a step may use: "cited" by it, or "all" that was said before it.
        batch: draws per call of the generator; the budget is looked at between calls and before
            each check of a step.

    Raises:
        InvalidArgument: k or batch below 1, or only_top below 0.
    """

    steps: StepVerifier = field(default_factory=SymbolicStepVerifier)
    k: int = 10
    only_top: int = 2
    key: Callable[[Any], Hashable | None] | None = field(default_factory=ChainAnswer)
    premises: Premises = "cited"
    batch: int = 8

    def __post_init__(self) -> None:
        at_least_one("UnanimityPlurality", k=self.k, batch=self.batch)
        if self.only_top < 0:
            raise InvalidArgument(
                f"UnanimityPlurality: only_top must be 0 or more, got {self.only_top}."
            )

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task.

        `info` holds `groups` (for each draw the index of its answer, or None), `votes` (for each
        answer its draws), `valid` (for each draw True, False, None where undecided, or
        "unchecked"), `voters` (who decided: "valid", "undecided" or "all" draws, or "nobody") and
        `checking` (its cost).
        """
        tally = Tally(generator, task, budget, seed)
        stop = Stop.COMPLETE
        while (left := self.k - len(tally.samples)) and stop is Stop.COMPLETE:
            if not len(tally.draw(min(self.batch, left))):
                stop = Stop.BUDGET
        answers = [answer_of(value, self.key) for value in tally.samples.values]
        everyone = count(answers, [1.0] * len(answers), ties="first")
        verdicts = self._check(tally, everyone, generator, budget, seed)
        if any(v is not None and _ran_out(v) for v in verdicts):
            stop = Stop.BUDGET
        voters, ballot = _vote(answers, verdicts)
        checking = sum((v.cost for v in verdicts if v is not None), Cost())
        return tally.outcome(
            ballot.representative,
            stop,
            votes=[int(weight) for weight in everyone.weights],
            groups=list(everyone.groups),
            valid=["unchecked" if v is None else v.passed for v in verdicts],
            voters=voters,
            checking=checking.as_dict(),
        )

    def _check(
        self,
        tally: Tally[Any],
        everyone: Ballot,
        generator: Generator[Any],
        budget: Budget,
        seed: int,
    ) -> list[Verdict | None]:
        """Judge the chains of the most voted answers; None for the others."""
        steps = self.steps
        if isinstance(steps, PromptedStepVerifier) and steps.generator is None:
            steps = replace(steps, generator=generator, seed=child_seed(seed, "steps"))
        once = _Once(steps)
        least = sorted(everyone.weights, reverse=True)[: self.only_top or None][-1:]
        goes_on = _room_for_a_check(budget, steps)
        verdicts: list[Verdict | None] = []
        for value, group in zip(tally.samples.values, everyone.groups, strict=True):
            if group is None or everyone.weights[group] < least[0]:
                verdicts.append(None)
                continue
            before = tally.cost
            verdict = judge_chain(
                value, once, self.premises, lambda spent, b=before: goes_on(b + spent)
            )
            tally.cost += verdict.cost
            verdicts.append(verdict)
        return verdicts


@dataclass(frozen=True)
class _Once:
    """Judges equal steps of several chains once; the second time costs nothing."""

    steps: StepVerifier
    known: dict[Step, Verdict] = field(default_factory=dict[Step, Verdict])

    def check(self, samples: Samples[Step]) -> list[Verdict]:
        new = Samples([step for step in samples.values if step not in self.known])
        fresh = dict(zip(new.values, self.steps.check(new) if len(new) else [], strict=True))
        self.known.update({s: replace(v, cost=Cost()) for s, v in fresh.items()})
        return [fresh.get(step, self.known[step]) for step in samples.values]


def _room_for_a_check(budget: Budget, steps: StepVerifier) -> Callable[[Cost], bool]:
    """Return what tells, given the cost so far, whether the budget allows one more step's check.

    Where no model is asked, a limit on draws or tokens does not limit checks.
    """
    if isinstance(steps, PromptedStepVerifier):
        return lambda cost: budget.room(cost, steps.most_replies) == steps.most_replies
    limits = Budget(
        verifier_calls=budget.verifier_calls,
        seconds=budget.seconds,
        money=budget.money,
        joules=budget.joules,
    )
    return lambda cost: not limits.is_spent(cost)


def _vote(
    answers: Sequence[Hashable | None], verdicts: Sequence[Verdict | None]
) -> tuple[str, Ballot]:
    """Let the valid chains vote; the undecided ones where none is valid; all where none is left."""
    sides = {
        "valid": [float(v is not None and v.passed is True) for v in verdicts],
        "undecided": [float(v is not None and v.passed is None) for v in verdicts],
        "all": [1.0] * len(answers),
    }
    for voters, weights in sides.items():
        ballot = count(answers, weights, ties="first")
        if ballot.winner is not None:
            return voters, ballot
    return "nobody", count(answers, [0.0] * len(answers))


def _ran_out(verdict: Verdict) -> bool:
    evidence: Any = verdict.evidence
    return verdict.passed is None and evidence.get("reason") == "the budget was spent"
