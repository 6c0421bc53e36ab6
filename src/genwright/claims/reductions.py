"""A language of sums to be worked out step by step, and a beginner who errs at a quarter of them.

For `claims/alphamath.py`. A question is an expression of 4 to 6 operations on the digits 0 to 4,
read from left to right and filled up to 13 characters. A step replaces the first two digits by what
their operation gives, modulo 5, in the same place; what is left at the end is the answer:

    ____2-4*4+1*3
    ______3*4+1*3
    ________2+1*3
    __________3*3
    ____________4

Of the 75 facts (digit, operation, digit) a third are *hard*: the demonstrator gets a hard fact
wrong three times in four, always with the same wrong digit, and the other facts right. So a quarter
of the demonstrated steps are wrong, and what is likeliest is wrong where a fact is hard: greedy
decoding cannot find out, and the check of a final digit can.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import add, mul, sub
from pathlib import Path
from typing import Any

import numpy as np

from genwright.core import Cost, Samples, Task, Verdict, child_seed, uniform
from genwright.generators.language.local import LocalLM
from genwright.generators.language.untrained import untrained
from genwright.learning.supervised import Supervised

OPERATIONS = {"+": add, "-": sub, "*": mul}
HARD, WRONG = 1 / 3, 3 / 4
BASE = 5
FINAL = r"^_*\d$"
WIDTH = 13
MOST_TOKENS = 104


@dataclass(frozen=True)
class Language:
    """Expressions, and what the demonstrator makes of them.

    Args:
        seed: of which facts are hard, and of what is made of them.
    """

    seed: int

    @cached_property
    def wrong(self) -> dict[str, str]:
        """The wrong digit of each hard fact."""
        facts = [f"{a}{o}{b}" for a in range(BASE) for o in OPERATIONS for b in range(BASE)]
        rng = np.random.default_rng(child_seed(self.seed, "hard"))
        hard = rng.permutation(len(facts))[: round(HARD * len(facts))]
        shifts = rng.integers(1, BASE, size=len(facts))
        return {facts[i]: str((int(result(facts[i])) + int(shifts[i])) % BASE) for i in hard}

    def question(self, *names: int | str) -> str:
        """Return the expression called by these names."""
        rng = np.random.default_rng(child_seed(self.seed, *names))
        n = int(rng.integers(4, 7))
        digits, signs = rng.integers(BASE, size=n + 1), rng.choice(list(OPERATIONS), size=n)
        text = str(digits[0]) + "".join(f"{o}{d}" for o, d in zip(signs, digits[1:], strict=True))
        return text.rjust(WIDTH, "_")

    def demonstration(self, *names: int | str) -> list[str]:
        """Return question and steps, a hard fact wrong three times in four."""
        lines = [self.question(*names)]
        while not is_answer(lines[-1]):
            lines.append(self.step(lines[-1], child_seed(self.seed, "errs", *names, len(lines))))
        return lines

    def step(self, line: str, seed: int) -> str:
        """Return the demonstrator's next line, a hard fact wrong three times in four."""
        fact = line.lstrip("_")[:3]
        made = self.wrong.get(fact) if uniform(seed, 0) < WRONG else None
        return reduced(line, made or result(fact))

    def demonstrator(self) -> "Demonstrator":
        """Return the demonstrator as a generator of steps."""
        return Demonstrator(language=self)

    def tasks(self, n: int, *names: int | str) -> list[Task[Any]]:
        """Return n questions, each with a check of the final digit."""
        found: dict[str, Task[Any]] = {}
        number = 0
        while len(found) < n:
            text = self.question("task", *names, number)
            gold = worth(text)
            found.setdefault(text, Task(f"{text}\n", FinalDigit(gold), text, {"gold": gold}))
            number += 1
        return list(found.values())


@dataclass(frozen=True)
class FinalDigit:
    """Passes a solution whose last line is the known digit; it sees nothing else of it.

    Args:
        gold: the digit.
    """

    gold: str

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Look at the last line of each solution."""
        found = (answer_of(str(value)) for value in samples.values)
        return [Verdict.ok() if answer == self.gold else Verdict.fail() for answer in found]


@dataclass(frozen=True, kw_only=True)
class Demonstrator:
    """Draws the next step of a solution, as the demonstrator would take it.

    Args:
        language: whose facts it errs at.
    """

    language: Language

    def sample(self, prompt: str, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return n steps after a question and the steps so far; a token a character."""
        line = prompt.strip().rpartition("\n")[2]
        steps = [self.language.step(line, child_seed(seed, k)) for k in range(first, first + n)]
        return Samples(steps, None, [Cost(draws=1, new_tokens=len(s)) for s in steps])


def perfect_value(prompts: Sequence[str]) -> list[float]:
    """Return 1 for each question whose last step is still worth what the question is, else -1."""
    found: list[float] = []
    for prompt in prompts:
        lines = prompt.strip().split("\n")
        found.append(1.0 if worth(lines[0]) == worth(lines[-1]) else -1.0)
    return found


def worth(expression: str) -> str:
    """Return the digit that an expression comes to."""
    while not is_answer(expression):
        expression = reduced(expression, result(expression.lstrip("_")[:3]))
    return expression[-1]


def reduced(line: str, digit: str) -> str:
    """Return a line with the first operation replaced by a digit."""
    return (digit + line.lstrip("_")[3:]).rjust(WIDTH, "_")


def is_answer(line: str) -> bool:
    """Tell whether nothing is left to work out."""
    return len(line.lstrip("_")) == 1


def drawn(policy: Any, task: Task[Any], tokens: float, seed: int) -> list[str]:
    """Draw whole solutions until they have so many new tokens together."""
    texts, spent = list[str](), 0
    while spent < tokens:
        samples = policy.sample(task.prompt, 8, seed=seed, first=len(texts))
        for text, cost in zip(samples.values, samples.costs, strict=True):
            if spent < tokens:
                texts.append(text)
                spent += cost.new_tokens
    return texts


def result(fact: str) -> str:
    """Return what a fact such as `7*8` gives, modulo `BASE`."""
    return str(OPERATIONS[fact[1]](int(fact[0]), int(fact[2])) % BASE)


def beginner(
    language: Language,
    folder: Path,
    *,
    demonstrations: int,
    steps: int,
    seed: int,
    width: int = 128,
    layers: int = 4,
) -> LocalLM:
    """Train a small model from nothing on demonstrations; it draws one step a draw."""
    untrained(folder / "empty", width=width, layers=layers, context=MOST_TOKENS, seed=seed)
    rows: list[dict[str, str]] = []
    for number in range(demonstrations):
        question, *lines = language.demonstration("demonstration", number)
        rows.append({"prompt": f"{question}\n", "completion": "\n".join(lines) + "\n"})
    start = LocalLM(
        model=str(folder / "empty"),
        chat=False,
        dtype="float32",
        temperature=1.0,
        max_new_tokens=16,
        stop=("\n",),
    )
    learner = Supervised(
        folder=str(folder / "beginner"),
        rank=0,
        steps=steps,
        batch=32,
        learning_rate=3e-3,
        template="{prompt}",
        max_tokens=MOST_TOKENS,
        save_every=steps,
    )
    return learner.fit(start, rows, seed=seed)


def whole(policy: LocalLM) -> LocalLM:
    """Return the policy drawing whole solutions: it ends at its end token."""
    return replace(policy, stop=(), max_new_tokens=MOST_TOKENS - 16)


def answer_of(solution: str) -> str | None:
    """Return the final digit of a solution, or None."""
    last = solution.strip().rpartition("\n")[2].lstrip("_")
    return last if len(last) == 1 and last.isdigit() else None


def right_share(tasks: Sequence[Task[Any]], solutions: Sequence[str | None]) -> float:
    """Return the share of tasks whose solution ends in the right digit."""
    passed = [
        task.verifier is not None
        and solution is not None
        and task.verifier.check(Samples([solution.strip()]))[0].passed is True
        for task, solution in zip(tasks, solutions, strict=True)
    ]
    return sum(passed) / len(passed)
