"""What no prompt can make of one attention head: a certified distance from a wanted output.

Choose it to prove that an output cannot be reached, where a search (`prompt_search`) can only fail
to reach it. It speaks of one head: its output at a row, given the rows it cannot change (imposed)
and up to k rows that a prompt may choose (control).

Bhargava et al. 2023, "What's the Magic Word? A Control Theory of LLM Prompting", arXiv:2310.04444,
Section 4. With D = sum_j exp(q k_j / sqrt d) over the imposed rows and y_hat the output without a
control, the output with one is

    y = a y_hat + (1 - a) v,   a = D / (D + s),   0 < s <= s_max,   |v| <= sigma_v omega_u,

so that |y* - y| >= min over a in [a_min, 1] of |y* - a y_hat| - (1 - a) sigma_v omega_u.

Ours: that minimum is taken exactly, so that the bound is the distance that stays, where the printed
theorem asks whether the part of y* orthogonal to y_hat is long enough (`orthogonal_margin`; its
inequality is printed the wrong way round, with sigma_q for sigma_v). s_max uses the query's own
length, |q| sigma_k omega_u, where the paper takes the longest imposed row. Both are untouched by
rotary embeddings, which the head may have.
"""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genwright.core import InvalidArgument

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AttentionHead:
    """One head: y = sum_j softmax_j(q k_j / sqrt d) v_j, seen from the last row.

    Args:
        query: [d, D], maps a row to its query.
        key: [d, D].
        value: [e, D].
        frequencies: [d / 2] of a rotary embedding (the second half turns with the first), or None.

    Raises:
        InvalidArgument: matrices that do not fit together.
    """

    query: Array
    key: Array
    value: Array
    frequencies: Array | None = None

    def __post_init__(self) -> None:
        for name in ("query", "key", "value"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        shapes = {name: getattr(self, name).shape for name in ("query", "key", "value")}
        fits = all(len(s) == 2 for s in shapes.values()) and self.query.shape == self.key.shape
        if not fits or self.value.shape[1] != self.key.shape[1]:
            raise InvalidArgument(
                f"AttentionHead: query and key must be [d, D] and value [e, D], got {shapes}."
            )

    @cached_property
    def sigma_k(self) -> float:
        """The largest singular value of the key map."""
        return float(np.linalg.norm(self.key, 2))

    @cached_property
    def sigma_v(self) -> float:
        """The largest singular value of the value map."""
        return float(np.linalg.norm(self.value, 2))

    def scores(self, rows: ArrayLike) -> Array:
        """Return q k_j / sqrt d of the last row's query with every row: [n]."""
        x = np.asarray(rows, dtype=np.float64)
        places = np.arange(len(x))
        keys = self._turned(x @ self.key.T, places)
        query = self._turned(x[-1:] @ self.query.T, places[-1:])[0]
        return keys @ query / sqrt(len(query))

    def output(self, rows: ArrayLike) -> Array:
        """Return the output at the last row of [n, D]: [e]."""
        scores = self.scores(rows)
        weights = np.exp(scores - scores.max())
        return weights @ (np.asarray(rows, dtype=np.float64) @ self.value.T) / weights.sum()

    def _turned(self, vectors: Array, places: NDArray[np.int_]) -> Array:
        if self.frequencies is None:
            return vectors
        angles = places[:, None] * self.frequencies
        cos, sin = np.cos(angles), np.sin(angles)
        first, second = np.split(vectors, 2, axis=1)
        return np.hstack([first * cos - second * sin, second * cos + first * sin])


def exclusion_margin(
    head: AttentionHead, imposed: ArrayLike, wanted: ArrayLike, k: int, omega_u: float
) -> float:
    """Return a distance from `wanted` that no control can get below; at most 0: nothing is proved.

    Args:
        head: the head.
        imposed: [n, D], the rows the prompt cannot change; the output is that of the last.
        wanted: [e], the output asked for.
        k: the most control rows, put before the imposed ones.
        omega_u: the most length of a control row.

    Raises:
        InvalidArgument: k below 0, omega_u below 0, or shapes that do not fit.
    """
    y_hat, share = _pulled(head, imposed, wanted, k, omega_u)
    y, reach = np.asarray(wanted, dtype=np.float64), head.sigma_v * omega_u
    length = float(np.linalg.norm(y_hat))
    along = float(y @ y_hat) / length**2 if length else 0.0
    off = float(np.linalg.norm(y - along * y_hat))
    # |y - a y_hat| - (1 - a) reach is convex in a, and flat at this place
    flat = along - reach * off / (length * sqrt(length**2 - reach**2)) if length > reach else -1.0
    a = min(max(flat, 1.0 - share), 1.0)
    return float(np.linalg.norm(y - a * y_hat)) - (1.0 - a) * reach


def orthogonal_margin(
    head: AttentionHead, imposed: ArrayLike, wanted: ArrayLike, k: int, omega_u: float
) -> float:
    """Return the paper's margin: the part of `wanted` orthogonal to y_hat, less what v can do.

    Never above `exclusion_margin`, whose arguments and errors it has.
    """
    y_hat, share = _pulled(head, imposed, wanted, k, omega_u)
    y = np.asarray(wanted, dtype=np.float64)
    square = float(y_hat @ y_hat)
    off = y - (float(y @ y_hat) / square if square else 0.0) * y_hat
    return float(np.linalg.norm(off)) - share * head.sigma_v * omega_u


def _pulled(
    head: AttentionHead, imposed: ArrayLike, wanted: ArrayLike, k: int, omega_u: float
) -> tuple[Array, float]:
    """Return the output without control, and 1 - a_min: the most weight that controls can take."""
    x = np.asarray(imposed, dtype=np.float64)
    if k < 0 or not omega_u >= 0:
        raise InvalidArgument(
            f"attention bound: k and omega_u must be 0 or more, got {k} and {omega_u}."
        )
    if x.ndim != 2 or not len(x) or x.shape[1] != head.key.shape[1]:
        raise InvalidArgument(
            f"attention bound: imposed rows must be [n, {head.key.shape[1]}] with n 1 or more, "
            f"got {x.shape}."
        )
    if np.shape(wanted) != (len(head.value),):
        raise InvalidArgument(
            f"attention bound: wanted must be [{len(head.value)}], got {np.shape(wanted)}."
        )
    if k == 0:
        return head.output(x), 0.0
    query = float(np.linalg.norm(x[-1] @ head.query.T))
    log_s = np.log(k) + query * head.sigma_k * omega_u / sqrt(len(head.query))
    log_d = np.logaddexp.reduce(head.scores(x))
    return head.output(x), float(np.exp(-np.logaddexp(0.0, log_d - log_s)))
