"""Learners, sources, keys, loaders and selectors that keep every law, and break one on demand."""

import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import numpy as np

from genwright.testing import (
    KeyCase,
    LearnerCase,
    LoaderCase,
    SelectorCase,
    SourceCase,
    Uniform,
)

CHOICES = ["heads", "tails"]

NAN = float("nan")
TURNS = count()


# Learners.


@dataclass
class Learned:
    """A generator whose only weight is its list of choices."""

    choices: list

    def sample(self, prompt, n, *, seed, first=0):
        return Uniform(self.choices).sample(prompt, n, seed=seed, first=first)


@dataclass(frozen=True)
class Imitate:
    twist: str = ""

    def fit(self, generator, data, *, seed):
        twist = self.twist
        rows = [row["completion"] for row in data]
        if twist == "in place":
            generator.choices[:] = rows
            return Learned(rows)
        if twist == "moody":
            return Learned([Random().random() for _ in rows])
        if twist == "eats the data":
            data.pop()
        return Learned(generator.choices if twist == "lazy" else rows)


def imitate(twist=""):
    data = [{"prompt": "p", "completion": "edge"}, {"prompt": "p", "completion": "lost"}]
    return LearnerCase(
        make=lambda: Imitate(twist), generator=lambda: Learned(list(CHOICES)), data=data, prompt="p"
    )


# Sources, keys, loaders, selectors.


@dataclass(frozen=True)
class Squares:
    twist: str = ""
    seed: int = 0
    kept: list = field(default_factory=list)

    def rows(self):
        twist, seed = self.twist, 0 if self.twist == "no seed" else self.seed
        made = [{"question": f"{seed + i}^2?", "answer": (seed + i) ** 2} for i in range(3)]
        if twist == "none":
            return []
        if twist == "lists":
            return [list(row.items()) for row in made]
        if twist == "sets":
            made[0]["answer"] = {1}
        if twist == "lacks one":
            del made[2]["answer"]
        if twist == "moody":
            made.append({"question": "?", "answer": next(TURNS)})
        if twist == "hands out its own":
            self.kept[:] = self.kept or made
            return self.kept
        return made


def squares(twist=""):
    return SourceCase(
        make=lambda: Squares(twist),
        other=lambda: Squares(twist, 5),
        columns=("question", "answer"),
    )


@dataclass(frozen=True)
class Total:
    """The sum of numbers joined by plus signs."""

    twist: str = ""

    def __call__(self, value):
        twist = self.twist
        if isinstance(value, list):
            total = sum(value)
            if twist == "eats the value":
                value.clear()
            return total
        if twist == "literal" and "+" in value:
            return value
        if twist == "constant":
            return 1
        if twist == "moody":
            return next(TURNS)
        try:
            total = sum(int(part) for part in str(value).split("+"))
        except ValueError:
            if twist == "raises":
                raise
            return 0 if twist == "zero for nonsense" else None
        return [total] if twist == "list" else total


def total(twist=""):
    return KeyCase(
        make=lambda: Total(twist),
        groups=[["1+2", "3", "0+3"], ["4"], [[2, 3]]],
        nonsense=["one", ""],
        hostile=["(", "1+"],
    )


@dataclass(frozen=True)
class Written:
    path: Path
    twist: str = ""

    def __call__(self):
        twist = self.twist
        path = self.path / f"data{next(TURNS)}" if twist == "another path" else self.path / "data"
        if twist == "nowhere":
            return path
        if not path.exists() or twist == "again":
            path.write_bytes(b"" if twist == "empty" else os.urandom(8))
        if twist == "leaves a part":
            path.with_name("data.part").write_text("x")
        return path


def written(twist=""):
    folder = Path(mkdtemp())
    return LoaderCase(make=lambda: Written(folder, twist))


@dataclass(frozen=True)
class Ranked:
    programs: tuple
    score: float


@dataclass(frozen=True)
class MostPassed:
    twist: str = ""

    def select(self, matrix, counts=None):
        twist, matrix = self.twist, np.asarray(matrix)
        weights = np.ones(matrix.shape[1]) if counts is None else np.array(counts[1])
        if twist == "no counts":
            weights = np.ones(matrix.shape[1])
        if twist == "the first test counts double":
            weights = weights * np.where(np.arange(len(weights)) == 0, 2, 1)
        scores = (matrix @ weights).tolist()
        if twist == "writes":
            matrix[:] = 0
        if twist == "NaN":
            scores = [NAN] * len(scores)
        if twist == "one by one":
            scores = [score - i / 100 for i, score in enumerate(scores)]
        groups = [
            Ranked(tuple(p for p, s in enumerate(scores) if s == score or s != s), score)
            for score in sorted(set(scores), reverse=twist != "worst first")
        ]
        return groups[:1] if twist == "the best alone" else groups


def most_passed(twist=""):
    return SelectorCase(make=lambda: MostPassed(twist))
