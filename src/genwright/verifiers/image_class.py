"""The class of a picture, as a small classifier sees it.

Choose it to check what a conditional picture generator drew: the digit that was asked for, the
shape of a sprite. The classifier is a file of `learning.features`, which says how many held-out
pictures it got right; below 97% it decides nothing. A picture made to fool it will: where the
generator is trained against this verdict, judge the result by another classifier.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168 (a learned
verifier that scores draws). Ours: pictures, and the accuracy that a verifier must prove.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genwright.core import InvalidArgument, Samples, Verdict, method, require


@method(paper="arXiv:2110.14168")
@dataclass(frozen=True, kw_only=True)
class ImageClass:
    """Passes a picture whose likeliest class is the one that was asked for.

    The score is the probability of that class.

    Args:
        features: the file of a trained classifier (`learning.features.DigitFeatures` writes one).
        label: the index of the class, which may come as text.
        confidence: the least probability with which the class must be the likeliest.

    Raises:
        InvalidArgument: a label that is no index, or a confidence outside [0, 1].
    """

    features: str
    label: int | str
    confidence: float = 0.0

    def __post_init__(self) -> None:
        if not str(self.label).isdecimal():
            raise InvalidArgument(f"ImageClass: label must be 0 or more, got {self.label!r}.")
        if not 0 <= self.confidence <= 1:
            raise InvalidArgument(
                f"ImageClass: confidence must be in [0, 1], got {self.confidence}."
            )

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Classify each draw; what is not a picture of the right shape fails.

        Raises:
            InvalidArgument: the classifier has no such class.
            MissingFile: no such file.
        """
        require("torch", extra="lm", needed_by="verifiers.image_class")
        path = Path(self.features)
        features = _load(path, path.stat().st_mtime_ns if path.exists() else 0)
        classes = features.net.settings["classes"]
        if int(self.label) >= classes:
            raise InvalidArgument(
                f"ImageClass: label must be in 0..{classes - 1}, got {self.label}."
            )
        return [self._judge(features, value) for value in samples.values]

    def _judge(self, features: Any, value: Any) -> Verdict:
        """Judge one draw by itself: what stands beside it must not change its verdict."""
        if not features.trusted:
            told = f"the classifier got {features.accuracy:.1%} of {features.held_out} right"
            return Verdict.undecided({"reason": f"{told}; it must get 97%"})
        picture = _picture(value, features.shape)
        if picture is None:
            shape = " x ".join(map(str, features.shape))
            return Verdict.fail({"reason": f"the draw is not a picture of {shape} numbers"})
        chances = features.probabilities(picture[None])[0]
        label, seen = int(self.label), int(chances.argmax())
        score = float(min(1.0, chances[label]))
        evidence = {"asked": label, "seen": seen, "probability": round(score, 4)}
        if seen == label and score >= self.confidence:
            return Verdict.ok(evidence, score=score)
        return Verdict.fail(evidence, score=score)


def _picture(value: Any, shape: tuple[int, ...]) -> Any:
    """Return a draw as float32 of that shape, or None where it is no such picture."""
    if not hasattr(value, "shape") or tuple(value.shape) != shape:
        return None
    picture = np.asarray(value, dtype=np.float32)
    return picture if np.isfinite(picture).all() else None


@lru_cache(maxsize=4)
def _load(path: Path, changed: int) -> Any:
    """Read a classifier once; `changed` is when its file was, so that a new one is read anew."""
    from genwright.nets.feature_net import load_features

    return load_features(path)
