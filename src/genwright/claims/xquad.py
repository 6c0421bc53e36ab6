"""XQuAD's English half as a retrieval task: questions, and sentences of all its paragraphs.

Artetxe et al. 2020, "On the Cross-lingual Transferability of Monolingual Representations",
arXiv:1910.11856: paragraphs and questions of SQuAD's development set. Ours: paragraphs are cut
into sentences where a full stop, question or exclamation mark is followed by white space and a
capital, a digit or a quotation mark.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.claims.data import data_file
from genwright.core import child_seed
from genwright.core.task_file import read_jsonl
from genwright.generators.language.sentences import MiniLM

FILE = "text/xquad_en.jsonl.gz"
_BREAK = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


@dataclass(frozen=True)
class Question:
    """One question with its candidates.

    Args:
        text: the question.
        answers: any of them will do.
        gold: the sentence that holds the marked answer.
        vector: the question's embedding.
        chunks: the nearest sentences, nearest first.
        vectors: their embeddings [n, D].
    """

    text: str
    answers: tuple[str, ...]
    gold: str
    vector: NDArray[np.float32]
    chunks: tuple[str, ...]
    vectors: NDArray[np.float32]

    def answered_by(self, text: str) -> bool:
        """Whether a text contains an answer."""
        return any(answer in text for answer in self.answers)


class Corpus:
    """The sentences of all paragraphs, embedded once.

    Args:
        embed: the sentence model.
        paragraphs: how many to read; all where it is left out.
    """

    def __init__(self, embed: MiniLM, paragraphs: int | None = None) -> None:
        rows = list(read_jsonl(data_file(FILE)))
        kept = list(dict.fromkeys(row["context"] for row in rows))[:paragraphs]
        self.embed = embed
        self.sentences = list(dict.fromkeys(s for c in kept for s in _BREAK.split(c)))
        self._rows = [row for row in rows if row["context"] in set(kept)]
        self.count = lru_cache(None)(embed.count)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The embeddings of the sentences [S, D]."""
        return self.embed(self.sentences)

    def questions(self, n: int, seed: int, candidates: int = 10) -> list[Question]:
        """Return n questions in an order that depends on the seed, each with its candidates."""
        rows = sorted(self._rows, key=lambda row: child_seed(seed, row["id"]))[:n]
        vectors = self.embed([row["question"] for row in rows])
        nearest = np.argsort(-(vectors @ self.vectors.T), axis=1)[:, :candidates]
        return [
            Question(
                row["question"],
                tuple(row["answers"]),
                _sentence(row),
                vector,
                tuple(self.sentences[i] for i in near),
                self.vectors[near],
            )
            for row, vector, near in zip(rows, vectors, nearest, strict=True)
        ]


def _sentence(row: dict[str, Any]) -> str:
    """Return the sentence in which the marked answer begins."""
    context, at = row["context"], row["starts"][0]
    starts = [0, *(found.end() for found in _BREAK.finditer(context)), len(context) + 1]
    begin, end = next((a, b) for a, b in pairwise(starts) if a <= at < b)
    return context[begin:end].strip()
