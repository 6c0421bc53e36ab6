"""How much an ordered selection of chunks is worth to a query: three measures, and their mean.

Each is a `retrieval.Utility`: called with a query and a batch of selections, it returns one number
a selection. Choose `EmbeddingUtility` where a sentence model is at hand, `QueryLikelihood` with any
local language model, `BM25Utility` where neither is: it needs no network.

Ponte and Croft 1998, "A Language Modeling Approach to Information Retrieval", SIGIR, and Sachan et
al. 2022, "Improving Passage Retrieval with Zero-Shot Question Generation", arXiv:2204.07496 (query
likelihood); Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"
(BM25). Ours: BM25 takes the whole selection as one document, so that a repeated word saturates.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import numpy as np

from genwright.core import InvalidArgument
from genwright.generators.language.local import LocalLM
from genwright.search.at_once import each_at_once

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class EmbeddingUtility:
    """The cosine between the query's embedding and that of the selection's joined text.

    Args:
        embed: texts -> vectors [n, D], such as `MiniLM()`.
    """

    embed: Callable[[Sequence[str]], Any]

    def __call__(self, query: str, selections: Sequence[tuple[str, ...]]) -> list[float]:
        """See `retrieval.Utility`."""
        texts = [" ".join(chunks) for chunks in selections]
        vectors = np.asarray(self.embed([query, *texts]), dtype=np.float64)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return (unit[1:] @ unit[0]).tolist()


@dataclass(frozen=True, kw_only=True)
class QueryLikelihood:
    """The mean log-probability (nats a token) of the query after the selection's joined text.

    Args:
        model: gives the log-probabilities.
        template: what the query continues; `{chunks}` stands for the joined text.
    """

    model: LocalLM
    template: str = "{chunks}\nQuestion:"

    def __post_init__(self) -> None:
        if "{chunks}" not in self.template:
            raise InvalidArgument(
                f"QueryLikelihood: template must contain {{chunks}}, got {self.template!r}."
            )

    def __call__(self, query: str, selections: Sequence[tuple[str, ...]]) -> list[float]:
        """See `retrieval.Utility`."""
        length = len(self.model.vocabulary.encode(f" {query}"))

        def score(chunks: tuple[str, ...]) -> float:
            text = self.template.replace("{chunks}", " ".join(chunks))
            return self.model.score(self.model.vocabulary.encode(text), [f" {query}"])[0] / length

        return each_at_once(score, selections)


@dataclass(frozen=True)
class BM25Utility:
    """BM25 of the selection's joined text for the query.

    Args:
        documents: what word frequencies and the mean length are learned from.
        k1: how soon a repeated word saturates.
        b: how much length counts against a text.

    Raises:
        InvalidArgument: no documents.
    """

    documents: Sequence[str]
    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if not self.documents:
            raise InvalidArgument("BM25Utility: needs at least one document, got none.")

    def __call__(self, query: str, selections: Sequence[tuple[str, ...]]) -> list[float]:
        """See `retrieval.Utility`."""
        asked = _words(query)
        found = (_words(" ".join(chunks)) for chunks in selections)
        return [self._score(asked, Counter(words)) for words in found]

    def _score(self, asked: list[str], held: Counter[str]) -> float:
        counts, mean = self._statistics
        long = 1 - self.b + self.b * held.total() / mean
        total = 0.0
        for word in asked:
            rare = log(1 + (len(self.documents) - counts[word] + 0.5) / (counts[word] + 0.5))
            total += rare * held[word] * (self.k1 + 1) / (held[word] + self.k1 * long)
        return total

    @cached_property
    def _statistics(self) -> tuple[Counter[str], float]:
        """Return in how many documents each word stands, and their mean length."""
        words = [_words(document) for document in self.documents]
        counts = Counter(word for found in words for word in set(found))
        return counts, max(1.0, sum(map(len, words)) / len(words))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
