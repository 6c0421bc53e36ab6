"""Math word problems as rows of a task: GSM8K where its file is at hand, generated ones otherwise.

Choose GSM8K to compare with what others report, generated problems to train (nothing of them is in
a test set) and to test where no file can be had.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168 (GSM8K); Zhang
et al. 2024, arXiv:2411.18104 (generated problems). Ours: which of the two it was stands in every
row as `origin`.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genwright.core import InvalidArgument, MissingFile, child_seed, method, uniform
from genwright.core.environment import data_folder
from genwright.synthesis.math_structures import draw_problem, math_bank

GSM8K = "reasoning/gsm8k_test.jsonl.gz"
"""The file below the folder of `GENWRIGHT_DATA`, or below `../shared/data`."""


@method(paper="arXiv:2110.14168")
@dataclass(frozen=True, kw_only=True)
class WordProblems:
    """Rows with `question`, `answer`, `solution`, `structure` and `origin`.

    Args:
        gsm8k: "auto" takes the GSM8K test problems where the file is found, else generated ones;
            "never" generates; anything else is the path of GSM8K's file, which must be there.
        n: how many; fewer come back when the file or the wordings are exhausted.
        seed: which problems; the same seed gives the same rows.
        split: of generated problems: "train", or "held_out" with wordings that training lacks.

    Raises:
        InvalidArgument: n below 1, or another split.
    """

    gsm8k: str = "auto"
    n: int = 50
    seed: int = 0
    split: Literal["train", "held_out"] = "held_out"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidArgument(f"WordProblems: n must be 1 or more, got {self.n}.")
        if self.split not in ("train", "held_out"):
            raise InvalidArgument(
                f"WordProblems: split must be 'train' or 'held_out', got {self.split!r}."
            )

    def rows(self) -> list[dict[str, Any]]:
        """Return the problems.

        Raises:
            MissingFile: a path was given and is not there.
        """
        path = _file(self.gsm8k)
        return list(self._generated() if path is None else self._read(path))

    def _read(self, path: Path) -> Iterator[dict[str, Any]]:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            problems = [json.loads(line) for line in lines]
        order = sorted(range(len(problems)), key=lambda i: uniform(self.seed, "gsm8k", i))
        for index in order[: self.n]:
            problem = problems[index]
            _, _, final = problem["answer"].rpartition("####")
            yield {
                "question": problem["question"],
                "answer": final.strip(),
                "solution": problem["answer"],
                "structure": "",
                "origin": "gsm8k",
            }

    def _generated(self) -> Iterator[dict[str, Any]]:
        """Draw from the structures in turn; no question twice."""
        bank, seen, index = math_bank(), set[str](), 0
        while len(seen) < self.n and index < 20 * self.n:
            structure = bank.structures[index % len(bank.structures)]
            seed = child_seed(self.seed, self.split, index)
            problem = draw_problem(bank, structure, seed, held_out=self.split == "held_out")
            index += 1
            if problem.question in seen:
                continue
            seen.add(problem.question)
            yield {
                "question": problem.question,
                "answer": str(problem.answer),
                "solution": problem.solution,
                "structure": structure.name,
                "origin": "generated",
            }


def _file(gsm8k: str) -> Path | None:
    """Return where GSM8K is, or None where it is not wanted or not found."""
    if gsm8k == "never":
        return None
    if gsm8k != "auto":
        if not Path(gsm8k).is_file():
            raise MissingFile(
                f"WordProblems: gsm8k = {gsm8k!r} is not there; give GSM8K's file, 'auto' or "
                "'never'."
            )
        return Path(gsm8k)
    path = data_folder() / GSM8K
    return path if path.is_file() else None
