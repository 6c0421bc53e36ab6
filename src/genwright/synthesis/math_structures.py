"""Structures of math word problems: numbers, one-step sums in order, and wordings.

Each structure is a chain of exact steps over whole numbers, so that its answer is right by
construction. Wordings stand in `math_structures.toml`; what is drawn and computed is here.

Zhang et al. 2024, "Training and Evaluating Language Models with Template-based Data Generation"
(TemplateGSM), arXiv:2411.18104, Section 2: templates that draw parameters and emit a problem with a
computed solution. Ours: the templates are data, a step that leaves the positive whole numbers makes
the drawing start anew, and every structure has wordings that are held out.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, child_seed, uniform

TRIES = 500

_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One sum: `name = left sign right`, and the sentence that says it.

    Args:
        name: names the result for later steps.
        left: a number, or the name of a parameter or an earlier step.
        sign: one of + - * /.
        right: as `left`.
        say: the sentence, whose `{sum}` becomes `6 * 4 = 24`.
    """

    name: str
    left: str
    sign: str
    right: str
    say: str


@dataclass(frozen=True, kw_only=True)
class MathStructure:
    """One structure: parameters, steps, wordings.

    Args:
        name: names it.
        numbers: parameter -> (least, greatest, step), ends included.
        steps: the last one's result is the answer.
        train: wordings for training.
        held_out: wordings kept for tests.
    """

    name: str
    numbers: Mapping[str, tuple[int, int, int]]
    steps: tuple[Step, ...]
    train: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MathBank:
    """Structures, and the lists of words (`person`, `thing`, ...) that wordings draw from."""

    structures: tuple[MathStructure, ...]
    words: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class MathProblem:
    """One problem with its answer and a solution that ends in `#### answer`."""

    question: str
    answer: int
    solution: str
    structure: str
    numbers: Mapping[str, int]


@cache
def math_bank() -> MathBank:
    """Read the bank that comes with genwright."""
    path = Path(__file__).with_suffix(".toml")
    return parse_bank(tomllib.loads(path.read_text(encoding="utf-8")))


def parse_bank(data: Mapping[str, Any]) -> MathBank:
    """Make a bank of a parsed TOML file.

    Raises:
        InvalidArgument: a wording or step with a field that nothing defines, or a wording that
            does not say every number.
    """
    words = {name: tuple(listed) for name, listed in data["words"].items()}
    structures = tuple(_structure(entry, words) for entry in data["structure"])
    return MathBank(structures=structures, words=words)


def draw_problem(
    bank: MathBank, structure: MathStructure, seed: int, *, held_out: bool
) -> MathProblem:
    """Draw numbers, words and a wording; the same seed gives the same problem.

    Raises:
        InvalidArgument: no drawing gave positive whole numbers in every step.
    """
    numbers, results = _draw_numbers(structure, seed)
    wording = _pick(structure.held_out if held_out else structure.train, seed, "wording")
    says = [step.say for step in structure.steps]
    words = _draw_words(bank, " ".join([wording, *says]), seed)
    known = numbers | results
    sentences: list[str] = []
    for step in structure.steps:
        left, right = (known.get(part, part) for part in (step.left, step.right))
        total = f"{left} {step.sign} {right} = {results[step.name]}"
        sentences.append(_fill(step.say, {**known, **words, "sum": total}))
    answer = results[structure.steps[-1].name]
    return MathProblem(
        question=_fill(wording, {**numbers, **words}),
        answer=answer,
        solution="\n".join([*sentences, f"#### {answer}"]),
        structure=structure.name,
        numbers=numbers,
    )


def compute(structure: MathStructure, numbers: Mapping[str, int]) -> dict[str, int] | None:
    """Return the result of every step, or None where one is not a positive whole number."""
    known = dict(numbers)
    for step in structure.steps:
        left, right = (known[p] if p in known else int(p) for p in (step.left, step.right))
        if step.sign == "/" and left % right:
            return None
        known[step.name] = {
            "+": left + right,
            "-": left - right,
            "*": left * right,
            "/": left // right,
        }[step.sign]
        if known[step.name] <= 0:
            return None
    return {step.name: known[step.name] for step in structure.steps}


def _structure(entry: Mapping[str, Any], words: Mapping[str, tuple[str, ...]]) -> MathStructure:
    steps: list[Step] = []
    known = set(entry["numbers"])
    for name, total, say in entry["steps"]:
        left, sign, right = total.split()
        unknown = {p for p in (left, right) if p not in known and not p.isdigit()}
        known.add(name)
        unknown |= set(_FIELD.findall(say)) - known - words.keys() - {"sum"}
        if unknown or sign not in "+-*/":
            raise InvalidArgument(
                f"math structure {entry['name']}: step {name!r} uses {sorted(unknown) or sign!r}, "
                "which no number, step or list of words defines."
            )
        steps.append(Step(name=name, left=left, sign=sign, right=right, say=say))
    for wording in (*entry["train"], *entry["held_out"]):
        fields = set(_FIELD.findall(wording))
        wrong = (fields - entry["numbers"].keys() - words.keys()) | (
            entry["numbers"].keys() - fields
        )
        if wrong:
            raise InvalidArgument(
                f"math structure {entry['name']}: {wording!r} must say every number and nothing "
                f"undefined; see {sorted(wrong)}."
            )
    return MathStructure(
        name=entry["name"],
        numbers={name: _range(listed) for name, listed in entry["numbers"].items()},
        steps=tuple(steps),
        train=tuple(entry["train"]),
        held_out=tuple(entry["held_out"]),
    )


def _range(listed: list[int]) -> tuple[int, int, int]:
    low, high, *step = listed
    return low, high, step[0] if step else 1


def _draw_numbers(structure: MathStructure, seed: int) -> tuple[dict[str, int], dict[str, int]]:
    for attempt in range(TRIES):
        numbers = {
            name: _pick(range(low, high + 1, step), seed, name, attempt)
            for name, (low, high, step) in structure.numbers.items()
        }
        results = compute(structure, numbers)
        if results is not None:
            return numbers, results
    raise InvalidArgument(
        f"math structure {structure.name}: {TRIES} drawings left the positive whole numbers; "
        "widen its numbers."
    )


def _draw_words(bank: MathBank, text: str, seed: int) -> dict[str, str]:
    """Draw a word for each list that the text names."""
    named = [name for name in dict.fromkeys(_FIELD.findall(text)) if name in bank.words]
    return {name: _pick(bank.words[name], seed, "word", name) for name in named}


def _pick(choices: Any, seed: int, *names: int | str) -> Any:
    return choices[int(uniform(child_seed(seed, "pick"), *names) * len(choices))]


def _fill(text: str, fields: Mapping[str, Any]) -> str:
    return _FIELD.sub(lambda m: str(fields[m[1]]), text)
