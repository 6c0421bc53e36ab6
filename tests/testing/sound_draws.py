"""A generator, a verifier and a strategy that keep every law, and break one on demand."""

from dataclasses import dataclass, field
from itertools import count

from genwright.core import (
    Cost,
    Outcome,
    Sample,
    Samples,
    Stop,
    Task,
    Verdict,
)
from genwright.testing import (
    GeneratorCase,
    Passes,
    StrategyCase,
    Uniform,
    VerifierCase,
)

CHOICES = ["heads", "tails"]

# Generators.


class Coin:
    """A sound generator with a stream; `twist` breaks one thing."""

    def __init__(self, twist=""):
        self.twist, self.count, self.coin = twist, 0, Uniform(CHOICES)

    def sample(self, prompt, n, *, seed, first=0):
        self.count += 1
        twist = self.twist
        if twist == "remembers":
            return Samples([self.count] * n)
        if twist == "forgets first":
            return self.coin.sample(prompt, n, seed=seed)
        if twist == "eats the prompt":
            prompt.clear()
        if twist == "no seed":
            seed = 0
        if twist == "one draw for all":
            return Samples(self.coin.sample(prompt, 1, seed=seed).values * n)
        if twist == "one too many" and n:
            n, first = n + (n == 1), first
        drawn = self.coin.sample(prompt, n, seed=seed, first=first)
        if twist == "free":
            drawn.costs = [Cost()] * n
        if twist == "earns":
            drawn.costs = [Cost(draws=1, money=-1.0)] * n
        if twist == "NaN":
            return Samples(drawn.values, [NAN] * n)
        return drawn

    def stream(self, prompt, n, *, seed, first=0):
        drawn = self.sample(prompt, n, seed=seed, first=first)
        indices = range(n) if self.twist == "stream from 0" else range(first, first + n)
        if self.twist == "stream shuffles":
            drawn = drawn[::-1]
        yield from reversed(list(zip(indices, drawn, strict=True)))


NAN = float("nan")


def coin(twist=""):
    return GeneratorCase(make=lambda: Coin(twist), prompt=["p"], n=6)


# Verifiers.


@dataclass(frozen=True)
class IsSeven:
    twist: str = ""
    calls: list = field(default_factory=list)

    def check(self, samples):
        twist = self.twist
        self.calls.append(1)
        if twist == "sorts":
            samples.values.sort()
        verdicts = [self.verdict(value) for value in samples.values]
        if twist == "drops duplicates of the batch" and len(verdicts) > 1:
            return verdicts[:-1]
        if twist == "first wins":
            first = verdicts[0].score if verdicts else 0
            return [v if i == 0 or not first else Verdict.fail() for i, v in enumerate(verdicts)]
        if twist == "moody" and len(self.calls) > 1:
            return [Verdict.fail() for _ in verdicts]
        return verdicts

    def verdict(self, value):
        if self.twist == "blind":
            return Verdict.fail()
        if self.twist == "kind":
            return Verdict.ok()
        try:
            passed = int(value) == 7
        except ValueError:
            if self.twist == "fragile":
                raise
            passed = False
        if self.twist == "evidence of bytes":
            return Verdict.ok(b"7") if passed else Verdict.fail(b"")
        return Verdict.ok() if passed else Verdict.fail()


def seven(twist=""):
    return VerifierCase(
        make=lambda: IsSeven(twist),
        gold=["7", " 07"],
        corrupted=["8", "77"],
        hostile=["", "x", "("],
    )


# Strategies.

TURNS = count()


@dataclass(frozen=True)
class FirstHeads:
    """Draw until heads, at most ten draws, two a call."""

    twist: str = ""

    def run(self, generator, task, budget, seed):
        twist = self.twist
        drawn = Samples()
        stop, checked = None, Cost()
        if twist == "plans first" and budget.room(Cost(), 1):
            plan = generator.sample("a plan, please", 1, seed=seed)
            budget = budget.after(plan.cost)
        if twist == "edits the task":
            task.prompt.append("more")
        if twist == "moody":
            seed = next(TURNS) % 2
        if twist == "draws anew when recorded" and hasattr(generator, "_inner"):
            seed = next(TURNS)
        while stop is None:
            n = 2 if twist == "no room" else budget.room(drawn.cost + checked, 2)
            if twist == "at least one":
                n = max(n, 1)
            if twist == "blind to tokens" and budget.draws is None:
                n = 2
            if n == 0 or (twist == "no room" and budget.is_spent(drawn.cost)):
                break
            first = 0 if twist == "no first" else len(drawn)
            if twist == "goes round the ledger":
                generator = getattr(generator, "_inner", generator)
            batch = generator.sample(task.prompt, n, seed=seed, first=first)
            drawn += batch
            verdicts = task.verifier.check(batch)
            checked += sum((v.cost for v in verdicts), Cost())
            stop = Stop.COMPLETE if len(drawn) >= 10 else None
        chosen = next((s for s in drawn if s.value == "heads"), None)
        stop = stop or (Stop.COMPLETE if twist == "no reason" else Stop.BUDGET)
        if twist == "chooses its own":
            chosen = Sample("edge")
        if twist in ("names no such part", "leaves a part out"):
            parts = [0, 999] if twist == "names no such part" else [0]
            chosen = Sample("a whole", info={"draws": parts})
        if twist == "earns":
            drawn = Samples(drawn.values, drawn.logprobs, [Cost()] * len(drawn))
        if twist == "hides a draw":
            drawn = drawn[1:]
            chosen = None
        info = {"votes": {("heads",): 1}} if twist == "tuple keys" else {"draws": len(drawn)}
        return Outcome(chosen, drawn, stop, info)


def heads(twist=""):
    task = Task(["p"], Passes(lambda value: value == "heads"), data={"a": [1]})
    return StrategyCase(
        make=lambda: FirstHeads(twist), generator=Uniform(CHOICES), task=task, batch=2
    )
