"""Train a critic of statements, and find the threshold from which most of what it accepts is true.

Choose it to make `verifiers.critic.Critic` from labelled draws. The threshold is found on draws of
prompts that the head was not trained on (cross-validation by prompt), for a critic that has seen a
prompt's other draws looks better than it is.

Bhagavatula et al. 2022, arXiv:2212.09246, Section 2.2: a critic, and a threshold of high precision.
Ours: logistic regression with L2 regularisation, and a threshold that must accept at least a
twentieth of the draws; where none reaches the wanted precision, the one with the highest is taken,
and the report says what it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from genwright.core import InvalidArgument, child_seed
from genwright.verifiers.critic import Embed, Head, features

FOLDS = 5
LEAST = 0.05
"""Share of the draws that a threshold must accept: of fewer, a share of true ones says little."""


@dataclass(frozen=True, kw_only=True)
class CriticReport:
    """What came of a training, on prompts that were held out in turn.

    Args:
        rows: labelled draws.
        base: share of them that is true.
        threshold: the least probability that is accepted.
        precision: share of accepted draws that is true.
        recall: share of true draws that is accepted.
        reached: whether the precision is what was asked for.
    """

    rows: int
    base: float
    threshold: float
    precision: float
    recall: float
    reached: bool


def fit_critic(
    file: Path | str,
    rows: Sequence[Mapping[str, Any]],
    *,
    seed: int,
    precision: float = 0.9,
    weight: float = 0.1,
    embed: Embed | None = None,
) -> CriticReport:
    """Train a critic and write its file.

    Args:
        file: where it goes, with the ending .npz.
        rows: `{"prompt", "completion", "passed"}` each.
        seed: of the division of prompts into folds.
        precision: wanted of what is accepted.
        weight: of the squared length of the weights, beside the mean loss of a draw.
        embed: texts -> vectors; None for MiniLM.

    Raises:
        InvalidArgument: rows of fewer than two prompts or of one label, or a precision outside
            (0, 1].
    """
    if not 0 < precision <= 1:
        raise InvalidArgument(f"fit_critic: precision must be in (0, 1], got {precision}.")
    labels = np.array([bool(row["passed"]) for row in rows])
    prompts = [str(row["prompt"]) for row in rows]
    names = sorted(set(prompts))
    if len(names) < 2 or labels.all() or not labels.any():
        raise InvalidArgument(
            f"fit_critic: rows must be of two prompts or more and hold both true and false draws, "
            f"got {len(rows)} rows of {len(names)} prompts, {int(labels.sum())} of them true."
        )
    if embed is None:
        from genwright.generators.language.sentences import MiniLM

        embed = MiniLM(max_tokens=64)
    found = features(embed, prompts, [str(row["completion"]) for row in rows])
    rng = np.random.default_rng(child_seed(seed, "folds"))
    fold_of = dict(zip(names, rng.permutation(len(names)) % FOLDS, strict=True))
    folds = np.array([fold_of[p] for p in prompts])
    held = np.zeros(len(rows))
    for fold in np.unique(folds):
        inside = folds != fold
        held[~inside] = _fit(found[inside], labels[inside], weight).probabilities(found[~inside])
    report = calibrate(held, labels, precision)
    head = _fit(found, labels, weight)
    replace(head, threshold=report.threshold).save(Path(file))
    return report


def calibrate(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], precision: float
) -> CriticReport:
    """Return the lowest threshold from which the wanted share of what is accepted is true.

    Args:
        scores: float64[n], of draws that the head was not trained on.
        labels: bool[n].
        precision: wanted.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, true = scores[order], np.cumsum(labels[order])
    counts = np.arange(1, len(scores) + 1)
    shares = true / counts
    last_of_equals = np.append(ranked[1:] < ranked[:-1], True)
    allowed = last_of_equals & (counts >= max(1, round(LEAST * len(scores))))
    good = np.flatnonzero(allowed & (shares >= precision))
    spots = np.flatnonzero(allowed)
    at = int(good[-1]) if len(good) else int(spots[np.argmax(shares[spots])])
    return CriticReport(
        rows=len(scores),
        base=float(labels.mean()),
        threshold=float(ranked[at]),
        precision=float(shares[at]),
        recall=float(true[at] / max(true[-1], 1)),
        reached=bool(len(good)),
    )


def _fit(found: NDArray[np.float64], labels: NDArray[np.bool_], weight: float) -> Head:
    mean, scale = found.mean(0), found.std(0) + 1e-6
    rows = (found - mean) / scale / np.sqrt(found.shape[1])
    signs = np.where(labels, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = signs * (rows @ weights[:-1] + weights[-1])
        pull = -signs / (1 + np.exp(np.clip(margin, -500, 500))) / len(rows)
        gradient = np.append(rows.T @ pull, pull.sum())
        gradient[:-1] += 2 * weight / len(rows) * weights[:-1]
        square = float(weights[:-1] @ weights[:-1])
        return float(np.logaddexp(0, -margin).mean()) + weight / len(rows) * square, gradient

    best = minimize(loss, np.zeros(found.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return Head(mean, scale * np.sqrt(found.shape[1]), best, 0.5)
