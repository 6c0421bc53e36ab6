"""A critic: how likely a statement is true, as a small classifier of its meaning sees it.

Choose it where nothing can check a draw and a few hundred labelled ones are at hand; where a rule
or a database can say it, that is the better judge. `learning.fit_critic` trains one and finds the
threshold from which the wanted share of what it accepts is true.

Bhagavatula et al. 2022, "I2D2: Inductive Knowledge Distillation with NeuroLogic and
Self-Imitation", arXiv:2212.09246, Section 2.2 (a critic of generics, trained on human labels).
Ours: vectors of MiniLM and logistic regression, where the paper tunes RoBERTa-large. The vectors
of what the statement is about and of what is said of it stand beside that of the whole, and the
product of the two, which is what a classifier of new subjects needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, MissingFile, Samples, Verdict, method

PAPER = "arXiv:2212.09246"

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> float32[n, D], rows of length 1."""


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class Critic:
    """Passes a draw that it finds likely to be true; the score is that probability.

    Args:
        file: what `fit_critic` wrote.
        prompt: what stands before each draw.
        threshold: the least score that passes; None takes the one that was found in training.
        embed: texts -> vectors, the ones it was trained with; None for MiniLM.

    Raises:
        InvalidArgument: a threshold outside [0, 1].
    """

    file: str
    prompt: str = ""
    threshold: float | None = None
    embed: Embed | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InvalidArgument(f"Critic: threshold must be in [0, 1], got {self.threshold}.")

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Judge each draw by itself: what stands beside it must not change its score.

        Raises:
            MissingFile: no such file.
            InvalidArgument: the file is no critic's, or for vectors of another length.
        """
        path = Path(self.file)
        if not path.is_file():
            raise MissingFile(f"Critic: there is no {path}; `fit_critic` writes one.")
        head = _load(path, path.stat().st_mtime_ns)
        least = head.threshold if self.threshold is None else self.threshold
        embed = self.embed or _minilm()
        found: list[Verdict] = []
        for value in samples.values:
            vectors = features(embed, [self.prompt], [str(value)])
            score = round(float(head.probabilities(vectors)[0]), 6)
            evidence = {"probability": score, "threshold": least}
            passed = score >= least
            verdict = Verdict.ok if passed else Verdict.fail
            found.append(verdict(evidence, score=score))
        return found


@dataclass(frozen=True, eq=False)
class Head:
    """Logistic regression on standardised features.

    Args:
        mean: float64[F].
        scale: float64[F]; features are divided by it.
        weights: float64[F + 1], the bias last.
        threshold: the least probability that is accepted.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    threshold: float

    def probabilities(self, found: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return float64[n] for features [n, F].

        Raises:
            InvalidArgument: the features are of another length.
        """
        if found.shape[1] != len(self.mean):
            raise InvalidArgument(
                f"Critic: it was trained on {len(self.mean)} features a statement, and these are "
                f"{found.shape[1]}; give it the `embed` it was trained with."
            )
        margin = (found - self.mean) / self.scale @ self.weights[:-1] + self.weights[-1]
        return 1 / (1 + np.exp(-margin))

    def save(self, path: Path) -> None:
        """Write it to a `.npz` file."""
        np.savez(
            path,
            mean=self.mean,
            scale=self.scale,
            weights=self.weights,
            threshold=np.array(self.threshold),
        )


def features(embed: Embed, prompts: Sequence[str], draws: Sequence[str]) -> NDArray[np.float64]:
    """Return float64[n, 4 D]: vectors of the statement, its beginning, the draw, and a product.

    Args:
        embed: texts -> vectors.
        prompts: what each draw continues.
        draws: continuations.
    """
    wholes = [f"{a} {b.strip()}".strip() for a, b in zip(prompts, draws, strict=True)]
    whole, begun, said = (embed(texts) for texts in (wholes, prompts, [d.strip() for d in draws]))
    return np.concatenate([whole, begun, said, begun * said], 1).astype(np.float64)


@lru_cache(8)
def _load(path: Path, changed: int) -> Head:
    """Read a head once; `changed` is when its file was, so that a new one is read anew."""
    try:
        with np.load(path) as file:
            mean, scale, weights = (file[name] for name in ("mean", "scale", "weights"))
            return Head(mean, scale, weights, float(file["threshold"]))
    except (OSError, ValueError, KeyError) as error:
        raise InvalidArgument(f"Critic: {path} is no critic's file ({error}).") from error


@lru_cache(1)
def _minilm() -> Embed:
    from genwright.generators.language.sentences import MiniLM

    return MiniLM(batch=1, max_tokens=64)
