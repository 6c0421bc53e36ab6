"""What `Match` can be given beside its rule: streams of conditions, a discriminator, regression.

Yin et al. 2024, "Improved Distribution Matching Distillation" (DMD2), arXiv:2405.14867, Section 4.3
(the discriminator on the fake denoiser's features) and DMD, arXiv:2311.18828, Section 3.3 (pairs);
Chen et al. 2024, "Score Forgetting Distillation", arXiv:2409.11219 (streams whose teacher is asked
for another class).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.noise import Batch
from genwright.generators.diffusion.path import each, wide


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A part of the conditions, and which class the teacher is asked for in their place.

    Args:
        weight: of its loss on the student.
        fake_weight: of its loss on the fake denoiser.
        classes: drawn equally often; () is every class.
        teacher: classes the teacher is given instead, one at random a draw; () is the same class.
        share: of a batch that the stream takes.

    Raises:
        InvalidArgument: a weight below 0, or a share outside (0, 1].
    """

    weight: float = 1.0
    fake_weight: float = 1.0
    classes: tuple[int, ...] = ()
    teacher: tuple[int, ...] = ()
    share: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight >= 0 or not self.fake_weight >= 0:
            raise InvalidArgument("Stream: weights must be 0 or more.")
        if not 0 < self.share <= 1:
            raise InvalidArgument(f"Stream: share must be in (0, 1], got {self.share}.")

    def draw(self, n: int, classes: int, rng: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Return the student's and the teacher's conditions, int64[n] each, or None twice.

        Args:
            n: how many.
            classes: how many the student knows.
            rng: where they come from.

        Raises:
            InvalidArgument: a class that it does not know.
        """
        for name in (*self.classes, *self.teacher):
            if not 0 <= name < classes:
                known = f"0 to {classes - 1}" if classes else "none"
                raise InvalidArgument(f"Stream: there is no class {name}; classes are {known}.")
        if not classes:
            return None, None
        own = torch.tensor(self.classes or range(classes))
        cond = own[rng.integers(len(own), n)]
        if not self.teacher:
            return cond, cond
        other = torch.tensor(self.teacher)
        return cond, other[rng.integers(len(other), n)]


@dataclass(frozen=True, kw_only=True)
class GanHead:
    """A discriminator on the features of the fake denoiser, real data against the student's draws.

    With it the method is no longer free of data.

    Args:
        weight_student: of softplus(-logit) in the student's loss; DMD2 takes 3e-3.
        weight_head: of the logistic loss beside the fake denoiser's; DMD2 takes 1e-2.

    Raises:
        InvalidArgument: a weight out of its range.
    """

    weight_student: float = 3e-3
    weight_head: float = 1e-2

    def __post_init__(self) -> None:
        if not self.weight_student >= 0 or not self.weight_head > 0:
            raise InvalidArgument("GanHead: weight_student must be 0 or more, weight_head above 0.")

    def made_for(self, denoiser: Denoiser) -> nn.Module:
        """Return a fresh head for the features of a denoiser.

        Raises:
            InvalidArgument: its network has no `features`.
        """
        if not hasattr(denoiser.net, "features"):
            raise InvalidArgument(
                f"GanHead: a {type(denoiser.net).__name__} has no features to judge by."
            )
        with torch.no_grad():
            x = torch.zeros(1, *denoiser.shape)
            width = self.features(denoiser, x, torch.ones(1), None).shape[1]
        return nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    @staticmethod
    def features(denoiser: Denoiser, x: Tensor, sigma: Tensor, cond: Tensor | None) -> Tensor:
        """Return what the last layer of a denoiser's network reads, [B, width]."""
        c = denoiser.precondition.coefficients(each(sigma, x), denoiser.path)
        return denoiser.net.features(x * wide(c.into, x), c.noise, cond)  # pyright: ignore


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Regression on where the teacher's own sampler takes the student's noise (`ode_pairs`).

    Args:
        n: pairs that are made before training.
        weight: of the squared error in the student's loss, beside the rule's; DMD takes 0.25.

    Raises:
        InvalidArgument: a number that is not above 0.
    """

    n: int = 2048
    weight: float = 0.25

    def __post_init__(self) -> None:
        if self.n < 1 or not self.weight > 0:
            raise InvalidArgument("Regression: n and weight must be above 0.")
