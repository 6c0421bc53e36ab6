"""Short Python programs with comments, the problems they solve, and tests of both.

Choose them to study how a model learns to write code from nothing but a few thousand examples: a
program is a composition of two or three steps on a list of numbers or words, and a fifth of all
compositions is kept for held-out problems, although each of their steps is in the training rows.

Chen et al. 2024, "Comments as Natural Logic Pivots" (MANGO), arXiv:2404.07549, trains on pairs of
an instruction and a commented solution. Ours: all programs are generated, from a bank of steps that
has two clauses, two comments and one line of code for each.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from genwright.core import InvalidArgument, child_seed, method, uniform

FRAMES: Mapping[int, tuple[str, ...]] = {
    2: (
        "{0}, then {1}.",
        "first {0}, and after that {1}.",
        "{1}, but before that {0}.",
        "when you are done with this: {0}, go on with that: {1}.",
    ),
    3: (
        "{0}, then {1}, then {2}.",
        "first {0}, next {1}, and last {2}.",
        "{2}, but before that {0}, and then {1}.",
        "{1}, having begun like this: {0}; at the end {2}.",
    ),
}
"""How the clauses of two or three steps are put together, and not always in their order."""

LETTERS = "aeinrst"
HELD_OUT = 5
"""One composition in so many is held out."""

SIZES = (0, 3, 5, 6, 7, 8)
"""Lengths of the lists that a program is tested on."""

TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a program.

    Args:
        name: such as `numbers.even`.
        takes: kind of list it works on.
        gives: kind of list that it makes; "end" where it makes the result.
        says: clauses that ask for it.
        notes: comments that explain it.
        code: an expression in `xs`; in it `{n}` stands for a number, `{c}` for a letter.
    """

    name: str
    takes: str
    gives: str
    says: tuple[str, ...]
    notes: tuple[str, ...]
    code: str


@cache
def _bank() -> dict[str, Any]:
    text = (files("genwright.synthesis") / "commented_programs.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def steps() -> Mapping[str, tuple[Step, ...]]:
    """Return the steps that come with genwright, by the kind of list they take."""
    return {
        takes: tuple(
            Step(
                name=f"{takes}.{name}",
                takes=takes,
                gives=row.get("gives", takes),
                says=tuple(row["says"]),
                notes=tuple(row["notes"]),
                code=row["code"],
            )
            for name, row in rows.items()
        )
        for takes, rows in _bank()["steps"].items()
    }


@method()
@dataclass(frozen=True, kw_only=True)
class CommentedPrograms:
    """Rows with `question`, `program`, `tests`, `entry_point`, `steps` and `clauses`.

    The clauses are those of the question, in the order of the steps.

    Args:
        n: how many, no question twice.
        seed: which; the same seed gives the same rows.
        split: "train", or "held_out" for compositions of steps that training rows never have.
        commented: chance that a step has its comment.

    Raises:
        InvalidArgument: n below 1, a chance out of [0, 1], or another split.
    """

    n: int = 50
    seed: int = 0
    split: Literal["train", "held_out"] = "held_out"
    commented: float = 1.0

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 <= self.commented <= 1:
            raise InvalidArgument(
                "CommentedPrograms: n must be 1 or more and commented in [0, 1], got "
                f"{self.n} and {self.commented}."
            )
        if self.split not in ("train", "held_out"):
            raise InvalidArgument(
                f"CommentedPrograms: split must be 'train' or 'held_out', got {self.split!r}."
            )

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows."""
        found: dict[str, dict[str, Any]] = {}
        index = 0
        while len(found) < self.n:
            row = self._row(child_seed(self.seed, self.split, index))
            found.setdefault(row["question"], row)
            index += 1
        return list(found.values())

    def _row(self, seed: int) -> dict[str, Any]:
        """Draw compositions until one is of the split and its tests see each of its steps."""
        for attempt in range(TRIES):
            here = child_seed(seed, attempt)
            chain = _chain(here)
            names = [step.name for step in chain]
            if held_out(names) != (self.split == "held_out"):
                continue
            values = {"n": str(2 + _pick(8, here, "n")), "c": LETTERS[_pick(7, here, "c")]}
            codes = [_fill(step.code, values) for step in chain]
            inputs = [_input(chain[0].takes, size, here) for size in SIZES]
            if _all_matter(codes, inputs):
                tests = [f"assert solve({xs!r}) == {_run(codes, xs)!r}" for xs in inputs]
                clauses = _clauses(chain, values, here)
                return {
                    "question": _question(chain[0].takes, clauses, here),
                    "clauses": clauses,
                    "program": _program(chain, codes, values, here, self.commented),
                    "tests": "\n".join(tests),
                    "entry_point": "solve",
                    "steps": names,
                }
        raise InvalidArgument(f"CommentedPrograms: in {TRIES} compositions some step did nothing.")


def held_out(names: Sequence[str]) -> bool:
    """Tell whether a composition is kept from training; no seed changes that."""
    return child_seed(0, "held out", *names) % HELD_OUT == 0


def _chain(seed: int) -> list[Step]:
    """Draw two or three different steps, each of which takes what the one before it gives."""
    kind = ("numbers", "words")[_pick(2, seed, "kind")]
    length = 2 + _pick(2, seed, "length")
    chain: list[Step] = []
    for place in range(length):
        last = place == length - 1
        fit = [s for s in steps()[kind] if s not in chain and (last or s.gives != "end")]
        chain.append(fit[_pick(len(fit), seed, "step", place)])
        kind = chain[-1].gives
    return chain


def _clauses(chain: Sequence[Step], values: Mapping[str, str], seed: int) -> list[str]:
    return [
        _fill(step.says[_pick(len(step.says), seed, "says", i)], values)
        for i, step in enumerate(chain)
    ]


def _question(kind: str, clauses: Sequence[str], seed: int) -> str:
    frames = FRAMES[len(clauses)]
    asked = frames[_pick(len(frames), seed, "frame")].format(*clauses)
    return f"Write solve(xs) for a list of {kind}: {asked}"


def _program(
    chain: Sequence[Step],
    codes: Sequence[str],
    values: Mapping[str, str],
    seed: int,
    commented: float,
) -> str:
    lines = ["def solve(xs):"]
    for i, (step, code) in enumerate(zip(chain, codes, strict=True)):
        if uniform(seed, "commented", i) < commented:
            note = step.notes[_pick(len(step.notes), seed, "note", i)]
            lines.append(f"    # {_fill(note, values)}")
        lines.append(f"    {'return' if step.gives == 'end' else 'xs ='} {code}")
    if chain[-1].gives != "end":
        lines.append("    return xs")
    return "\n".join(lines) + "\n"


def _all_matter(codes: Sequence[str], inputs: Sequence[list[Any]]) -> bool:
    """Whether the tests fail each program that lacks one of the steps."""
    whole = [_run(codes, xs) for xs in inputs]
    for i in range(len(codes)):
        try:
            if [_run([*codes[:i], *codes[i + 1 :]], xs) for xs in inputs] == whole:
                return False
        except (TypeError, AttributeError):  # the next step cannot take what it is given
            continue
    return True


def _run(codes: Sequence[str], value: Any) -> Any:
    for code in codes:
        value = eval(code, {"xs": value})  # of the bank, never of a model
    return value


def _input(kind: str, size: int, seed: int) -> list[Any]:
    seeds = [child_seed(seed, "input", size, i) for i in range(size)]
    values = _bank()["inputs"][kind]
    return [values[_pick(len(values), s)] for s in seeds]


def _fill(text: str, values: Mapping[str, str]) -> str:
    return text.replace("{n}", values["n"]).replace("{c}", values["c"])


def _pick(n: int, seed: int, *names: int | str) -> int:
    return int(uniform(seed, *names) * n)
