r"""Solutions grown step by step: what every search over steps asks of its generator and verifier.

A *step* is one draw of the generator, which is to stop at the delimiter (`LocalLM(stop=("\n",))`).
A *state* is the solution so far: every step, its delimiter, and what a tool answered to it. The
generator continues the task's prompt with the state's text; a prompt that goes through a chat
template is continued token by token instead, so that the model's turn stays open.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp
from typing import Any

from genwright.core import (
    Budget,
    Cost,
    Generator,
    InvalidArgument,
    Outcome,
    Sample,
    Samples,
    Stop,
    Task,
    Verdict,
    child_seed,
)
from genwright.search.at_once import Ask, draw_at_once

FINAL = r"(?i)answer is|\\boxed|####|<answer>"
"""What a step that ends a solution holds, in the usual formats of mathematics."""

Value = Callable[[Sequence[Any]], Sequence[float]]
"""Prompts, each with a solution so far -> how likely each leads to a right answer, in [-1, 1]."""


@dataclass(frozen=True)
class Observation:
    """What a tool answered to a step.

    Args:
        text: appended to the solution, with its own line ends.
        failed: whether the step's call went wrong.
    """

    text: str
    failed: bool = False


Tool = Callable[[str, str], Observation | None]
"""(solution before the step, step) -> what the tool answers, or None where the step calls none."""


@dataclass(frozen=True, kw_only=True)
class StepFormat:
    """How a text is cut into steps, and where it ends.

    Args:
        delimiter: closes every step.
        final: regular expression found in a step that ends a solution with an answer.
        depth: the most steps of a solution; a longer one has failed.
        tool: answers steps that call it.
        most_errors: failed calls of the tool in a row that a solution survives.

    Raises:
        InvalidArgument: no delimiter, a pattern that cannot be compiled, or a number out of range.
    """

    delimiter: str = "\n"
    final: str = FINAL
    depth: int = 8
    tool: Tool | None = None
    most_errors: int = 3

    def __post_init__(self) -> None:
        if not self.delimiter or self.depth < 1 or self.most_errors < 0:
            raise InvalidArgument(
                "steps: needs a delimiter, a depth of 1 or more and most_errors of 0 or more, got "
                f"{self.delimiter!r}, {self.depth} and {self.most_errors}."
            )
        try:
            re.compile(self.final)
        except re.error as error:
            raise InvalidArgument(f"steps: final must be a regular expression: {error}.") from None

    @cached_property
    def ends(self) -> re.Pattern[str]:
        """The compiled pattern of a final step."""
        return re.compile(self.final)


@dataclass(frozen=True)
class State:
    """A solution so far.

    Args:
        text: all of it.
        draws: the numbers of the draws that it is made of.
        prior: exp of the mean log-probability of the last step's tokens; 1 where it is unknown.
        logprob: nats of all its draws, or None where one is unknown.
        end: why nothing follows: "" (something may), "answer", "garbled" (the generator ended or
            cut a step that is no answer), "errors" (of the tool), "depth".
        errors: failed calls of the tool in a row.
    """

    text: str = ""
    draws: tuple[int, ...] = ()
    prior: float = 1.0
    logprob: float | None = 0.0
    end: str = ""
    errors: int = 0


class Growth:
    """The draws, checks, values and costs of one task's search over steps.

    Args:
        generator: draws one step a draw.
        task: what is worked on; its verifier checks whole solutions, without the prompt.
        budget: what may be spent.
        seed: the task's seed. A state's steps are drawn under a seed of its text.
        form: how steps are cut.
        value: judges states; None asks the generator's `prefix_values()` where it has them, else 0.
    """

    def __init__(
        self,
        generator: Generator[Any],
        task: Task[Any],
        budget: Budget,
        seed: int,
        form: StepFormat,
        value: Value | None = None,
    ) -> None:
        self.samples: Samples[Any] = Samples()
        self.cost: Cost = Cost()
        self.cut = False
        """Whether the budget left no room for a draw that was wanted."""
        self.has_values = value is not None or hasattr(generator, "prefix_values")
        self._generator, self._task, self._budget, self._seed = generator, task, budget, seed
        self._form, self._value = form, value
        self._verdicts: dict[str, Verdict] = {}

    def grow(self, states: Sequence[State], n: int) -> list[list[State]]:
        """Draw up to n steps after each state, equal ones once, in one batch of the generator.

        A list is empty where the budget left no room for a single draw.
        """
        room = self._budget.room(self.cost, n * len(states))
        self.cut = self.cut or room < n * len(states)
        shares = [min(n, max(0, room - i * n)) for i in range(len(states))]
        asks = [
            Ask(
                continued(self._generator, self._task.prompt, s.text),
                k,
                child_seed(self._seed, s.text),
            )
            for s, k in zip(states, shares, strict=True)
            if k
        ]
        drawn = draw_at_once(self._generator, asks)
        grown: list[list[State]] = []
        for state, samples in zip(states, drawn, strict=False):
            first = len(self.samples)
            self.samples += samples
            self.cost += samples.cost
            children: dict[str, State] = {}
            for i, sample in enumerate(samples, start=first):
                child = self._after(state, sample, i)
                children.setdefault(child.text, child)
            grown.append(list(children.values()))
        return grown + [[] for _ in states[len(grown) :]]

    def values(self, states: Sequence[State]) -> list[float]:
        """Return the value of each state, in one batch; 0 where nothing can tell.

        Raises:
            InvalidArgument: a value outside [-1, 1], or another number of values than states.
        """
        if not states or not self.has_values:
            return [0.0] * len(states)
        prompts = [continued(self._generator, self._task.prompt, s.text) for s in states]
        if self._value is not None:
            found = [float(v) for v in self._value(prompts)]
        else:
            source: Any = self._generator
            read: Samples[Any] = source.prefix_values().sample(prompts, 1, seed=0)
            self.cost += replace(read.cost, draws=0)
            found = [float(v) for v in read.values[0]]
        if len(found) != len(states) or not all(-1.0 <= v <= 1.0 for v in found):
            raise InvalidArgument(
                f"a value function must return {len(states)} numbers in [-1, 1], got "
                f"{found!r:.200}."
            )
        return found

    def check(self, states: Sequence[State]) -> list[Verdict]:
        """Return the verdict on each solution, as far as the budget for checks goes.

        A solution that the budget leaves no room for is undecided.

        Raises:
            InvalidArgument: the task has no verifier.
        """
        verifier = self._task.verifier
        if verifier is None:
            raise InvalidArgument(
                f"task {self._task.key or self._task.prompt!r}: this search checks solutions, but "
                "the task has no verifier; give it one, or search by value with check=False."
            )
        texts = dict.fromkeys(self._solution(s) for s in states)
        new = [text for text in texts if text not in self._verdicts]
        limit = self._budget.verifier_calls
        if limit is not None:
            new = new[: max(0, limit - self.cost.verifier_calls)]
        if new:
            for text, verdict in zip(new, verifier.check(Samples(new)), strict=True):
                self._verdicts[text] = verdict
                self.cost += verdict.cost
        return [self._verdicts.get(self._solution(s), Verdict.undecided()) for s in states]

    @property
    def spent(self) -> bool:
        """Whether the budget leaves no room for a draw."""
        return not self._budget.room(self.cost, 1)

    def outcome(self, chosen: State | None, stop: Stop, **info: Any) -> Outcome[Any]:
        """Bring back a solution: a draw made of the draws of its steps, which `info` names."""
        if chosen is None:
            return Outcome(None, self.samples, stop, info, None, self.cost)
        cost = sum((self.samples.costs[i] for i in chosen.draws), Cost())
        told = {"draws": list(chosen.draws), "end": chosen.end}
        sample = Sample(self._solution(chosen), chosen.logprob, cost, told)
        return Outcome(sample, self.samples, stop, info, None, self.cost)

    def _solution(self, state: State) -> str:
        return state.text.removesuffix(self._form.delimiter)

    def _after(self, state: State, sample: Sample[Any], number: int) -> State:
        """Append a drawn step, and what the tool answers to it."""
        form, step = self._form, str(sample.value)
        text = state.text + step.removesuffix(form.delimiter) + form.delimiter
        end, errors = "", 0
        cut = sample.info.get("finish_reason") == "length" or "end_logprob" in sample.info
        if form.ends.search(step):
            end = "answer"
        elif cut or not step.strip():
            end = "garbled"
        elif form.tool is not None and (seen := form.tool(state.text, step)) is not None:
            text += seen.text
            errors = state.errors + 1 if seen.failed else 0
            end = "errors" if errors > form.most_errors else ""
        if not end and len(state.draws) + 1 >= form.depth:
            end = "depth"
        logprob: float | None = None
        if state.logprob is not None and sample.logprob is not None:
            logprob = state.logprob + sample.logprob
        return State(text, (*state.draws, number), _prior(sample), logprob, end, errors)


def continued(generator: Any, prompt: Any, text: str) -> Any:
    """Return the prompt that a solution so far makes of a task's prompt.

    Raises:
        InvalidArgument: chat messages, or a chat model behind an endpoint: its turn cannot be left
            open.
    """
    if not text:
        return prompt
    template = getattr(generator, "template", "{prompt}")
    chat = bool(getattr(generator, "chat", False))
    if (chat or not template.endswith("{prompt}")) and hasattr(generator, "vocabulary"):
        return [*generator.encode(prompt), *generator.vocabulary.encode(text)]
    if chat or not isinstance(prompt, str):
        raise InvalidArgument(
            "a search over steps continues the model's own text: give it a text as prompt and a "
            "model with chat=False, or a local one."
        )
    return prompt + text


def _prior(sample: Sample[Any]) -> float:
    """Return exp(mean log-probability of the step's tokens); 1 where it is unknown."""
    tokens = sample.info.get("tokens") or ()
    if sample.logprob is None or not len(tokens):
        return 1.0
    return min(1.0, exp(sample.logprob / len(tokens)))
