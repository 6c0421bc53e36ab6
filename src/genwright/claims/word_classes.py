"""A judge of short texts: TF-IDF of words, and logistic regression.

Ours: nothing; it is the textbook's, with L2 regularisation, so that a judge shares no weights with
what it judges.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

WEIGHT = 1e-3
"""Of the squared length of the weights, beside the mean loss of a text."""


@dataclass(frozen=True)
class WordClassifier:
    """Tells texts of two classes apart by their words; made by `fit`.

    Args:
        words: word -> its column.
        rarity: float64[W]: inverse document frequency of each word.
        weights: float64[W + 1]: of each word, and the bias.
    """

    words: dict[str, int]
    rarity: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, texts: Sequence[str], labels: Sequence[bool]) -> "WordClassifier":
        """Train on texts, True for the class whose probability is wanted."""
        seen = Counter(word for text in texts for word in set(_words(text)))
        words = {word: i for i, word in enumerate(sorted(w for w, n in seen.items() if n > 1))}
        rarity = np.array([np.log(len(texts) / seen[word]) + 1 for word in words])
        rows, signs = _rows(texts, words, rarity), np.where(labels, 1.0, -1.0)

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            margin = signs * (rows @ weights[:-1] + weights[-1])
            pull = -signs / (1 + np.exp(margin)) / len(texts)
            gradient = np.append(rows.T @ pull, pull.sum())
            gradient[:-1] += 2 * WEIGHT * weights[:-1]
            square = float(weights[:-1] @ weights[:-1])
            return float(np.logaddexp(0, -margin).mean()) + WEIGHT * square, gradient

        found = minimize(loss, np.zeros(len(words) + 1), jac=True, method="L-BFGS-B")
        return cls(words, rarity, found.x)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return float64[n]: the probability of the class, for each text."""
        rows = _rows(texts, self.words, self.rarity)
        return 1 / (1 + np.exp(-(rows @ self.weights[:-1] + self.weights[-1])))


def _rows(texts: Sequence[str], words: dict[str, int], rarity: NDArray[np.float64]) -> "csr_matrix":
    """Return the texts as rows of length 1 over the known words."""
    data, at, row = list[float](), list[int](), list[int]()
    for i, text in enumerate(texts):
        counts = Counter(word for word in _words(text) if word in words)
        values = np.array([n * rarity[words[w]] for w, n in counts.items()])
        data += (values / max(float(np.linalg.norm(values)), 1e-12)).tolist()
        at += [words[w] for w in counts]
        row += [i] * len(counts)
    return csr_matrix((data, (row, at)), (len(texts), len(words)))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+|[£$!]", text.lower())
