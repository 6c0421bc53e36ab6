"""Losses that move a one-step student so that the law of its draws becomes the teacher's.

A rule maps x_0 = G(z), x = x_0 + sigma n, what the teacher says of x (`real`) and what a denoiser
of the student's own draws says of it (`fake`) to a loss a draw. y = fake - real is the difference
of scores times sigma^2. In `ReverseKL` and `FDivergence` gradients reach x_0 alone; in `Sid` and
`ScoreImplicit` they also go through x and both denoisers, whose weights stay as they are.

Yin et al. 2024, "One-step Diffusion with Distribution Matching Distillation" (DMD),
arXiv:2311.18828, equations 7 and 8; Xu et al. 2025, "One-step Diffusion Models with f-Divergence
Distribution Matching" (f-distill), arXiv:2502.15681; Zhou et al. 2024, "Score identity
Distillation" (SiD), arXiv:2404.04057, equation 23; Luo et al. 2024, "One-Step Diffusion
Distillation through Score Implicit Matching" (SIM), arXiv:2410.16794, Theorem 3.1.
Ours: sums over a draw's numbers everywhere, so that the rules differ in nothing else; a row that is
not finite ends the training instead of being left out; the bins of `FDivergence` are even in log
sigma and hold this batch alone, where the authors' code has them even in t, as running averages.

Legend: B draws; losses are [B].
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from genwright.core import InvalidArgument, nearest
from genwright.generators.diffusion.path import wide
from genwright.learning.distillation.distances import Distance, PseudoHuber, dot
from genwright.learning.distillation.divergences import DIVERGENCES

LEAST = 1e-5
"""Lower bound of the weight that SiD divides by."""
LOGIT = 10.0
"""Largest logit of a discriminator that is read."""
SPAN = (0.002, 80.0)
"""Levels of noise over which `FDivergence` spreads its bins, evenly in log sigma."""


class Matched(NamedTuple):
    """What a rule is given.

    Args:
        x_0: the student's draws, [B, ...], with gradient.
        x: the same at a level of noise; carries gradient only where the rule says `through_x`.
        sigma: the levels, [B].
        real: the teacher's denoised x.
        fake: the fake denoiser's denoised x.
        logits: of a discriminator at x, [B], or None; high where x looks like data.
    """

    x_0: Tensor
    x: Tensor
    sigma: Tensor
    real: Tensor
    fake: Tensor
    logits: Tensor | None = None


class Rule(Protocol):
    """A loss of a one-step student."""

    through_x: bool
    """Whether gradients go through x and the denoisers."""
    needs_head: bool
    """Whether it reads a discriminator."""

    def __call__(self, given: Matched) -> Tensor:
        """Return the loss of each draw, [B]."""
        ...


@dataclass(frozen=True)
class ReverseKL:
    """KL(student || teacher): half the squared distance of x_0 to a step against the scores.

    The step is w y with w = 1 / mean |x_0 - real|. It seeks modes.
    """

    through_x = False
    needs_head = False

    def __call__(self, given: Matched) -> Tensor:
        """Return the loss of each draw, [B]."""
        return _pulled(given, torch.ones_like(given.sigma))


@dataclass(frozen=True, kw_only=True)
class FDivergence:
    """D_f(teacher || student) for one of several f: `ReverseKL` times h(r), r the density ratio.

    r = p / q at x is read from a discriminator: clipped, divided by its mean within a bin of sigma;
    h(r) is divided by its mean.

    Args:
        kind: one of `DIVERGENCES`.
        clip: least and largest ratio.
        bins: of log sigma.

    Raises:
        InvalidArgument: an unknown kind, or a clip that does not rise from above 0.
    """

    kind: str = "js"
    clip: tuple[float, float] = (0.1, 20.0)
    bins: int = 10

    through_x = False
    needs_head = True

    def __post_init__(self) -> None:
        if self.kind not in DIVERGENCES:
            known = list(DIVERGENCES)
            raise InvalidArgument(
                f"FDivergence: kind must be one of {', '.join(known)}, got {self.kind!r}."
                f"{nearest(self.kind, known)}"
            )
        if not 0 < self.clip[0] < self.clip[1] or self.bins < 1:
            raise InvalidArgument("FDivergence: clip must rise from above 0, bins be 1 or more.")

    def __call__(self, given: Matched) -> Tensor:
        """Return the loss of each draw, [B].

        Raises:
            InvalidArgument: no logits.
        """
        return _pulled(given, self.weights(given))

    def weights(self, given: Matched) -> Tensor:
        """Return h(r) over its mean, [B]; no gradient goes through it."""
        if given.logits is None:
            raise InvalidArgument(
                "FDivergence reads the density ratio from a discriminator; give the trainer a "
                "head: Match(rule=FDivergence(...), head=GanHead())."
            )
        with torch.no_grad():
            ratio = given.logits.float().clamp(-LOGIT, LOGIT).exp().clamp(*self.clip)
            h = DIVERGENCES[self.kind].h(ratio / self._means(ratio, given.sigma))
            return h / h.mean()

    def _means(self, ratio: Tensor, sigma: Tensor) -> Tensor:
        """Return for each draw the mean ratio of its bin of sigma, [B]."""
        low, high = (torch.tensor(s).log().item() for s in SPAN)
        place = (sigma.clamp(min=SPAN[0]).log() - low) / (high - low)
        which = (place * self.bins).long().clamp(0, self.bins - 1)
        sums = ratio.new_zeros(self.bins).index_add_(0, which, ratio)
        counts = torch.bincount(which, minlength=self.bins)
        return (sums / counts.clamp(min=1))[which]


@dataclass(frozen=True, kw_only=True)
class ScoreImplicit:
    """A distance of scores at every level, by the gradient theorem: -d'(y) . (fake - x_0).

    Args:
        distance: d; the gap y carries gradient within d' too, and must.
    """

    distance: Distance = field(default_factory=PseudoHuber)

    through_x = True
    needs_head = False

    def __call__(self, given: Matched) -> Tensor:
        """Return the loss of each draw, [B]."""
        slope = self.distance.slope(given.fake - given.real)
        return -dot(slope, given.fake - given.x_0)


@dataclass(frozen=True, kw_only=True)
class Sid:
    """SiD: (real - fake) . ((real - x_0) - alpha (real - fake)) / mean |x_0 - real|.

    Args:
        alpha: 1 is the squared distance of scores; the paper takes 1.2.
    """

    alpha: float = 1.2

    through_x = True
    needs_head = False

    def __call__(self, given: Matched) -> Tensor:
        """Return the loss of each draw, [B]."""
        gap = given.real - given.fake
        with torch.no_grad():
            scale = (given.x_0 - given.real).abs().flatten(1).mean(1).clamp(min=LEAST)
        return dot(gap, (given.real - given.x_0) - self.alpha * gap) / scale


RULES: dict[str, Callable[[], Any]] = {
    "reverse_kl": ReverseKL,
    "f_divergence": FDivergence,
    "score_implicit": ScoreImplicit,
    "sid": Sid,
}
"""Rules by name, with their own defaults."""


def rule_of(rule: Any) -> Rule:
    """Return a rule, given one or the name of one.

    Raises:
        InvalidArgument: no rule has the name.
    """
    if not isinstance(rule, str):
        return rule
    if rule not in RULES:
        known = list(RULES)
        raise InvalidArgument(
            f"no rule is called {rule!r}; there are: {', '.join(known)}.{nearest(rule, known)}"
        )
    return RULES[rule]()


def _pulled(given: Matched, weights: Tensor) -> Tensor:
    """Return half the squared distance of x_0 to x_0 - weights w y, the latter without gradient."""
    with torch.no_grad():
        x_0 = given.x_0
        scale = (x_0 - given.real).abs().flatten(1).mean(1).clamp(min=LEAST)
        target = x_0 - wide(weights / scale, x_0) * (given.fake - given.real)
    return 0.5 * (given.x_0 - target).flatten(1).square().sum(1)
