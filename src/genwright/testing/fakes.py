"""Generators and verifiers with known answers, for tests of whatever uses one.

They keep the contract of `core.protocols` and are strict: asked for what they do not hold, they
raise `AssertionError`, which no code under test may catch as an error of genwright.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any, Generic, NamedTuple

from genwright.core import (
    Cost,
    InvalidArgument,
    Samples,
    T,
    Verdict,
    Verifier,
    child_seed,
    codec,
    uniform,
)

ONE_TOKEN = Cost(draws=1, new_tokens=1)
"""What a scripted draw costs unless the test says otherwise, so that token budgets bite."""


class Call(NamedTuple):
    """One call of `sample`, as a fake records it."""

    prompt: Any
    n: int
    seed: int
    first: int


@dataclass(frozen=True)
class Scripted(Generic[T]):
    """Draw k is `values[k]`, whatever the seed.

    Args:
        values: the draws of every prompt, or a mapping from each prompt to its draws.
        costs: one for every draw, or one a draw; `ONE_TOKEN` by default.
        logprobs: nats, one a draw, or None.
        calls: every call that was made, in order; starts empty.
    """

    values: Sequence[T] | Mapping[Any, Sequence[T]]
    costs: Cost | Sequence[Cost] = ONE_TOKEN
    logprobs: Sequence[float] | None = None
    calls: list[Call] = field(default_factory=list[Call], init=False, repr=False, compare=False)

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[T]:
        """Return `values[first : first + n]`.

        Raises:
            AssertionError: the prompt or a draw is not in the script.
        """
        self.calls.append(Call(prompt, n, seed, first))
        values = self.values
        if isinstance(values, Mapping):
            if prompt not in values:
                raise AssertionError(
                    f"Scripted: no script for the prompt {prompt!r}; it has: {list(values)!r}."
                )
            values = values[prompt]
        span = slice(first, first + n)
        costs = [self.costs] * n if isinstance(self.costs, Cost) else list(self.costs[span])
        held = min(len(column) for column in (values, self.logprobs or values))
        if n < 0 or first < 0 or first + n > held or len(costs) < n:
            raise AssertionError(
                f"Scripted: asked for draws {first} to {first + n - 1} of the prompt {prompt!r}, "
                f"but it holds {held} draws and "
                f"{'a cost for each' if isinstance(self.costs, Cost) else len(self.costs)} costs."
            )
        logprobs = None if self.logprobs is None else self.logprobs[span]
        return Samples(list(values[span]), logprobs, costs)


@dataclass(frozen=True)
class Uniform(Generic[T]):
    """Every draw is one of `choices`, each position equally likely, independent of all others.

    Args:
        choices: what may be drawn; listing a value twice makes it twice as likely.
        cost: of each draw.

    Raises:
        InvalidArgument: no choices.
    """

    choices: Sequence[T]
    cost: Cost = ONE_TOKEN

    def __post_init__(self) -> None:
        if not len(self.choices):
            raise InvalidArgument("Uniform: choices is empty; give at least one.")

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[T]:
        """Return draws `first` to `first + n - 1`, with their log-probabilities."""
        size = len(self.choices)
        drawn = [
            self.choices[int(uniform(child_seed(seed, k)) * size)] for k in range(first, first + n)
        ]
        logprobs = [log(sum(c == value for c in self.choices) / size) for value in drawn]
        return Samples(drawn, logprobs, [self.cost] * n)


@dataclass(frozen=True)
class Passes(Generic[T]):
    """A verifier from a predicate: True passes, False fails, None is undecided.

    Args:
        predicate: looks at one value. It may return a `Verdict` to give a score or evidence. What
            it raises goes through to the test: a bug in a predicate must not look like a verdict.
        cost: of each check.
    """

    predicate: Callable[[T], bool | Verdict | None]
    cost: Cost = Cost(verifier_calls=1)

    def check(self, samples: Samples[T]) -> list[Verdict]:
        """Return one verdict a draw, in order."""
        return [self._verdict(self.predicate(value)) for value in samples.values]

    def _verdict(self, answer: bool | Verdict | None) -> Verdict:
        if isinstance(answer, Verdict):
            return answer
        score = None if answer is None else float(answer)
        return Verdict(passed=answer, score=score, cost=self.cost)


@dataclass(frozen=True)
class Flaky(Generic[T]):
    """A verifier that errs at known rates, each time it is asked anew.

    What it says of a value the k-th time depends on the seed, the value and k alone.

    Args:
        truth: the verifier that does not err. What it leaves undecided stays so.
        false_accept: the chance that a draw which failed passes.
        false_reject: the chance that a draw which passed fails.
        seed: of the errors.
        systematic: err alike each time, as a verifier with a wrong reference does.
        asked: how often each value was asked about, by digest; starts empty.
    """

    truth: Verifier[T]
    false_accept: float = 0.05
    false_reject: float = 0.05
    seed: int = 0
    systematic: bool = False
    asked: dict[str, int] = field(
        default_factory=dict[str, int], init=False, repr=False, compare=False
    )

    def check(self, samples: Samples[T]) -> list[Verdict]:
        """Return the truth or its opposite for each draw."""
        verdicts = self.truth.check(samples)
        return [self._err(s, v) for s, v in zip(samples.values, verdicts, strict=True)]

    def _err(self, value: T, verdict: Verdict) -> Verdict:
        if verdict.passed is None:
            return verdict
        digest = codec.digest(value)
        time = self.asked[digest] = self.asked.get(digest, -1) + 1
        rate = self.false_reject if verdict.passed else self.false_accept
        if uniform(self.seed, digest, 0 if self.systematic else time) >= rate:
            return verdict
        told = not verdict.passed
        return Verdict(passed=told, score=float(told), evidence="an error", cost=verdict.cost)
