"""A diffusion model brought to a new domain by a few pictures, without copying them.

Choose it with some ten pictures of a style and a model of the same things in another style. Plain
fine-tuning copies the pictures; here the similarities between generated pictures, and between their
fine details, must stay those of the model that one began with.

Zhu et al. 2023, "DomainStudio: Fine-Tuning Diffusion Models for Domain-Driven Image Generation
using Limited Data", arXiv:2306.14153, Equations 3 to 9, and the authors' code (weights 4 and 4 of
similarities, 0.05 of the details' error: a flag of 1 that its sum of losses takes 0.05 times;
groups of 3 pictures). The source model and the adapted one see the same noised pictures; p_i is the
softmax over j != i of the cosine between predictions of x_0, for either model, and the loss is
KL(p_i of the source | p_i of the adapted), as a mean over pictures (their code divides by the
entries of p as well: its weights act a group size less one times more weakly than ours). Details
are the sum of the three Haar bands LH, HL and HH.
Ours: EDM's preconditioning and weighting of levels for the base loss; `most_noise` leaves the
pairwise terms out where predictions are near the mean of all pictures; the learning rate falls
along a cosine.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genwright.core import InvalidArgument, method
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, metered
from genwright.generators.diffusion.noise import Batch, Gaussian, LogNormal
from genwright.learning.course import (
    Course,
    Losses,
    expect_settings,
    kernel_of,
    trainable,
    weights_of,
)
from genwright.learning.denoising import denoising_loss
from genwright.learning.descent import Watch
from genwright.learning.examples import source_of


@method(paper="arXiv:2306.14153")
@dataclass(frozen=True, kw_only=True)
class DomainStudio:
    """Adapt a `DiffusionModel` to a few pictures, keeping its diversity.

    Args:
        folder: where the adapted denoiser and its checkpoint go; "" keeps it in memory.
        steps: optimizer steps.
        batch: pictures a step, a multiple of `group`.
        group: pictures among which similarities are kept, 3 or more.
        pairwise: weight of the similarities of whole pictures.
        hf_pairwise: weight of the similarities of their details.
        hf_mse: weight of the details' own error. With all three 0 it is plain fine-tuning.
        most_noise: level above which the pairwise terms are left out; infinity, as in the paper,
            leaves none out.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        ema: how much of their running average the weights keep each step; the average is returned.
        save_every: steps between checkpoints.

    Raises:
        InvalidArgument: a number out of its range.
    """

    folder: str = ""
    steps: int = 1500
    batch: int = 24
    group: int = 3
    pairwise: float = 4.0
    hf_pairwise: float = 4.0
    hf_mse: float = 0.05
    most_noise: float = float("inf")
    learning_rate: float = 1e-4
    warmup: int = 20
    ema: float = 0.99
    save_every: int = 500

    def __post_init__(self) -> None:
        expect_settings(self)
        if self.group < 3 or self.batch < 1 or self.batch % self.group:
            raise InvalidArgument(
                "DomainStudio: group must be 3 or more and divide batch, got "
                f"group={self.group}, batch={self.batch}."
            )
        if min(self.pairwise, self.hf_pairwise, self.hf_mse, self.most_noise) < 0:
            raise InvalidArgument("DomainStudio: weights and most_noise must be 0 or more.")

    def fit(
        self,
        generator: DiffusionModel,
        data: Any,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> DiffusionModel:
        """Adapt; an adaptation that was cut off goes on.

        Args:
            generator: the source model.
            data: `Images` or rows of `prompt` and `completion` of the new domain, of even height
                and width.
            seed: of batches, noise and levels.
            watch: told the loss of every step and its parts.
            meter: counts train units.

        Raises:
            InvalidArgument: data that does not fit, or pictures of odd height or width.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
        """
        start = trainable(generator.denoiser)
        source = source_of(data, start.shape, start.classes)
        if len(start.shape) != 3 or start.shape[1] % 2 or start.shape[2] % 2:
            raise InvalidArgument(
                f"DomainStudio: needs pictures of even height and width, got {start.shape}."
            )
        told = [weights_of(start), source.identity, seed, *kernel_of(generator)]
        course = Course(self, start.net, *told)
        if course.finished:
            return replace(generator, denoiser=self.folder)
        noise = generator.noise or Gaussian()
        adapted = replace(start, net=course.net)
        frozen = replace(adapted, net=deepcopy(course.net).eval().requires_grad_(False))

        def losses(i: int) -> Losses:
            rng = Batch(seed, "step", i)
            x_0, cond = course.here(*source.batch(self.batch, rng))
            sigma = LogNormal().sample(self.batch, rng).to(x_0)
            x = x_0 + noise.sample(x_0.shape, sigma, rng)
            base = denoising_loss(adapted, x_0, x, sigma, cond)
            terms = self._kept_alike(adapted, known, x_0, x, sigma, cond)
            return Losses(base, sigma, terms)

        with metered(meter, frozen, course.net) as known:
            course.run(losses, what="denoising loss", watch=watch, meter=meter)
        found = replace(start, net=course.average)
        return replace(generator, denoiser=course.kept(found))

    def _kept_alike(
        self,
        adapted: Any,
        source: Any,
        x_0: Tensor,
        x: Tensor,
        sigma: Tensor,
        cond: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return the weighted terms beside the base loss; those of weight 0 cost nothing."""
        zero = x_0.new_zeros(())
        names = ("loss of whole", "loss of details", "loss of error")
        if not (self.pairwise or self.hf_pairwise or self.hf_mse):
            return dict.fromkeys(names, zero)
        said = adapted(x, sigma, cond)
        details = high_frequencies(said)
        error = (details - high_frequencies(x_0)).square().mean() if self.hf_mse else zero
        whole = fine = zero
        if self.pairwise or self.hf_pairwise:
            with torch.no_grad():
                wanted = source(x, sigma, cond)
            near = sigma <= self.most_noise
            whole = pairwise_loss(said, wanted, self.group, near)
            fine = pairwise_loss(details, high_frequencies(wanted), self.group, near)
        weighted = (self.pairwise * whole, self.hf_pairwise * fine, self.hf_mse * error)
        return dict(zip(names, weighted, strict=True))


def pairwise_loss(
    adapted: Tensor, source: Tensor, group: int, counted: Tensor | None = None
) -> Tensor:
    """Return the mean over pictures of KL(p_i of the source | p_i of the adapted), in nats.

    Args:
        adapted: predictions of the adapted model, [B, ...]; B is a multiple of `group`.
        source: predictions of the source model, [B, ...].
        group: pictures that are compared with each other, in the order of the batch.
        counted: bool[B], which pictures count; None for all.
    """
    ours, theirs = (_similarities(values, group) for values in (adapted, source))
    each = (theirs.exp() * (theirs - ours)).sum(2).flatten()
    if counted is None:
        return each.mean()
    return (each * counted).sum() / counted.sum().clamp(min=1)


def _similarities(values: Tensor, group: int) -> Tensor:
    """Return log p_i(j), [B / group, group, group - 1]: j runs over the others of the group."""
    flat = torch.nn.functional.normalize(values.flatten(1), dim=1)
    flat = flat.reshape(-1, group, flat.shape[1])
    cosines = flat @ flat.transpose(1, 2)
    others = ~torch.eye(group, dtype=torch.bool, device=values.device)
    return torch.log_softmax(cosines[:, others].reshape(-1, group, group - 1), 2)


def haar(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the bands LL, LH, HL and HH of the orthonormal Haar transform, each of half the size.

    LH varies from row to row, HL from column to column, HH along both.

    Args:
        x: [..., height, width], both even.
    """
    top, bottom = x[..., 0::2, :], x[..., 1::2, :]
    a, b = top[..., 0::2], top[..., 1::2]
    c, d = bottom[..., 0::2], bottom[..., 1::2]
    return (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2


def high_frequencies(x: Tensor) -> Tensor:
    """Return LH + HL + HH, [..., height / 2, width / 2]."""
    _, lh, hl, hh = haar(x)
    return lh + hl + hh
