"""Fingerprints: short forms of a draw, and how far apart two of them are.

Two runs of one model on different machines seldom agree in every bit, so what is compared is a
fingerprint, within a tolerance. Choose `TokenFingerprint` for texts, `PerceptualHash` for images
(of 28 by 28 pixels and more: a smaller one is mostly what upsampling made of it), and
`EmbeddingFingerprint` where meaning may agree while wording does not.

Kim et al. 2023, "Generative Artificial Intelligence Consensus in a Trustless Network",
arXiv:2307.01898, compares images by perceptual hash and texts token by token. The hashes are those
of the library `imagehash`. Ours: edit distance and embeddings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genwright.core import InvalidArgument, nearest, require


class Fingerprint(Protocol):
    """A way to compare two values."""

    def of(self, value: Any) -> Any:
        """Return the fingerprint of a value."""
        ...

    def distance(self, one: Any, other: Any) -> float:
        """Return how far apart two fingerprints are; 0 for equal values."""
        ...


@dataclass(frozen=True, kw_only=True)
class PerceptualHash:
    """Bits that say what an image looks like; the distance is Hamming's, in bits.

    Args:
        kind: `"phash"` (signs of the lowest frequencies) or `"dhash"` (is the left neighbour
            brighter?).
        size: the hash has size^2 bits.

    Raises:
        InvalidArgument: an unknown kind, or a size below 2.
    """

    kind: Literal["phash", "dhash"] = "phash"
    size: int = 8

    def __post_init__(self) -> None:
        if self.kind not in ("phash", "dhash"):
            raise InvalidArgument(f"PerceptualHash: kind must be phash or dhash, got {self.kind}.")
        if self.size < 2:
            raise InvalidArgument(f"PerceptualHash: size must be 2 or more, got {self.size}.")

    def of(self, value: Any) -> NDArray[np.bool_]:
        """Return bool[size^2] of an image: uint8[H, W], uint8[H, W, 3], or one of Pillow's.

        Raises:
            InvalidArgument: an array of another shape or type.
            MissingExtra: imagehash is not installed.
        """
        imagehash: Any = require("imagehash", extra="images", needed_by="PerceptualHash")
        image = _image(value)
        return getattr(imagehash, self.kind)(image, hash_size=self.size).hash.ravel()

    def distance(self, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
        """Return the number of bits that differ."""
        return float(np.count_nonzero(one != other))


@dataclass(frozen=True, kw_only=True)
class TokenFingerprint:
    """The tokens of a draw, or the characters of a text.

    Args:
        edits: count insertions, deletions and replacements; otherwise the distance is 0 for equal
            sequences and 1 for all others.
    """

    edits: bool = False

    def of(self, value: str | Sequence[int]) -> tuple[str | int, ...]:
        """Return the sequence itself."""
        return tuple(value)

    def distance(self, one: Sequence[Any], other: Sequence[Any]) -> float:
        """Return 0 or 1, or the number of edits."""
        if not self.edits:
            return float(one != other)
        row = list(range(len(other) + 1))
        for i, a in enumerate(one, 1):
            above, row[0] = row[0], i
            for j, b in enumerate(other, 1):
                above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
        return float(row[-1])


@dataclass(frozen=True, kw_only=True)
class EmbeddingFingerprint:
    """A vector that stands for a value; the distance is 1 - cosine, from 0 to 2.

    Args:
        embed: maps a value to a vector that is not 0.
    """

    embed: Callable[[Any], ArrayLike]

    def of(self, value: Any) -> NDArray[np.float64]:
        """Return the vector at unit length.

        Raises:
            InvalidArgument: a vector of length 0, or one that is not finite.
        """
        vector = np.asarray(self.embed(value), dtype=np.float64).ravel()
        length = float(np.linalg.norm(vector))
        if not 0 < length < np.inf:
            raise InvalidArgument(
                f"EmbeddingFingerprint: a vector must be finite and not 0, got length {length}."
            )
        return vector / length

    def distance(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        """Return 1 - cosine."""
        return float(np.clip(1 - one @ other, 0, 2))


FINGERPRINTS: dict[str, Fingerprint] = {
    "tokens": TokenFingerprint(),
    "edits": TokenFingerprint(edits=True),
    "phash": PerceptualHash(),
    "dhash": PerceptualHash(kind="dhash"),
}
"""Fingerprints by the name that a task file gives them."""


def find_fingerprint(fingerprint: str | Fingerprint) -> Fingerprint:
    """Return the fingerprint of a name, or the fingerprint itself.

    Raises:
        InvalidArgument: an unknown name.
    """
    if not isinstance(fingerprint, str):
        return fingerprint
    if fingerprint not in FINGERPRINTS:
        raise InvalidArgument(
            f"fingerprint must be one of {', '.join(FINGERPRINTS)}, or a fingerprint, got "
            f"{fingerprint!r}.{nearest(fingerprint, list(FINGERPRINTS))}"
        )
    return FINGERPRINTS[fingerprint]


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """Return the first position at which two sequences differ; None where they are equal."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return None if len(one) == len(other) else min(len(one), len(other))


def _image(value: Any) -> Any:
    pillow: Any = require("PIL.Image", extra="images", needed_by="PerceptualHash")
    if isinstance(value, pillow.Image):
        return value
    pixels = np.asarray(value)
    grey, colour = pixels.ndim == 2, pixels.ndim == 3 and pixels.shape[-1] == 3
    if pixels.dtype != np.uint8 or not (grey or colour):
        raise InvalidArgument(
            f"PerceptualHash: an image must be uint8 [H, W] or [H, W, 3], got {pixels.dtype} "
            f"{list(pixels.shape)}."
        )
    return pillow.fromarray(pixels)
