"""Networks of the library `diffusers` as denoisers here, and denoisers of ours as its pipelines.

Choose `from_diffusers` to sample a published U-Net with our samplers, distil it or check its draws;
`to_diffusers` to hand a trained denoiser to code that expects a pipeline. The library itself is not
needed by anything else: pip install diffusers.

The reading follows the scheduler: its betas are the path, its `prediction_type` the preconditioner;
an EDM scheduler (Karras et al. 2022, arXiv:2206.00364) is read as `Edm`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument, require
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.path import VE, Discrete
from genwright.generators.diffusion.precondition import X0, Edm, NoisePrediction, VPrediction

PREDICTIONS = {"epsilon": NoisePrediction, "sample": X0, "v_prediction": VPrediction}


class DiffusersNet(nn.Module):
    """A U-Net of `diffusers` with the signature of our networks.

    Args:
        unet: a `UNet2DModel`.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, config = unet, unet.config
        size = config.sample_size
        sides = (size, size) if isinstance(size, int) else tuple(size)
        self.shape = (int(config.in_channels), *sides)
        self.classes = int(getattr(config, "num_class_embeds", None) or 0)

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """Return what the U-Net says."""
        told = {} if cond is None else {"class_labels": cond}
        return self.unet(x, c_noise, **told).sample


def from_diffusers(unet: Any, scheduler: Any) -> Denoiser:
    """Return a U-Net of `diffusers` as a denoiser.

    Args:
        unet: a `UNet2DModel`.
        scheduler: the one it was trained or is published with.

    Raises:
        InvalidArgument: a U-Net that is told no size, or a prediction that is not known.
    """
    config = scheduler.config
    if getattr(unet.config, "sample_size", None) is None:
        raise InvalidArgument("from_diffusers: the U-Net's config must have a sample_size.")
    kind = config.prediction_type
    if hasattr(config, "sigma_data"):
        if kind != "epsilon":
            raise InvalidArgument(
                f"from_diffusers: an EDM scheduler must predict epsilon, got {kind!r}."
            )
        return Denoiser(DiffusersNet(unet), Edm(sigma_data=config.sigma_data), VE())
    if kind not in PREDICTIONS:
        raise InvalidArgument(
            f"from_diffusers: prediction_type must be one of {', '.join(PREDICTIONS)}, "
            f"got {kind!r}."
        )
    betas = tuple(float(beta) for beta in scheduler.betas)
    return Denoiser(DiffusersNet(unet), PREDICTIONS[kind](), Discrete(betas=betas))


def to_diffusers(denoiser: Denoiser, *, lo: float = 0.002, hi: float = 80.0) -> Any:
    """Return a denoiser as a pipeline of `diffusers` with its Euler scheduler for EDM.

    The pipeline is called with `batch_size`, `generator`, `num_inference_steps`, `class_labels` and
    `latents`, and returns an object whose `images` is a tensor [B, ...].

    Args:
        denoiser: read by `Edm`.
        lo: lowest level of noise above 0.
        hi: highest level.

    Raises:
        InvalidArgument: a denoiser that is read otherwise.
        MissingExtra: diffusers is not installed.
    """
    diffusers: Any = require("diffusers", extra="diffusers", needed_by="to_diffusers")
    if not isinstance(denoiser.precondition, Edm):
        raise InvalidArgument(
            "to_diffusers: only a denoiser read by Edm has a scheduler there, got "
            f"{type(denoiser.precondition).__name__}."
        )
    scheduler = diffusers.EDMEulerScheduler(
        sigma_min=lo, sigma_max=hi, sigma_data=denoiser.precondition.sigma_data
    )

    class Pipeline(diffusers.DiffusionPipeline):
        """Draws of one denoiser."""

        def __init__(self, unet: Any, scheduler: Any) -> None:
            super().__init__()
            self.register_modules(unet=unet, scheduler=scheduler)

        @torch.no_grad()
        def __call__(
            self,
            batch_size: int = 1,
            generator: Any = None,
            num_inference_steps: int = 18,
            class_labels: Tensor | None = None,
            latents: Tensor | None = None,
        ) -> Any:
            self.scheduler.set_timesteps(num_inference_steps)
            x = latents
            if x is None:
                x = torch.randn((batch_size, *denoiser.shape), generator=generator)
            x = x * self.scheduler.init_noise_sigma
            for t in self.scheduler.timesteps:
                told = self.scheduler.scale_model_input(x, t)
                said = self.unet(told, t.expand(len(x)).to(x), class_labels)
                x = self.scheduler.step(said, t, x, generator=generator).prev_sample
            return diffusers.ImagePipelineOutput(images=x)

    return Pipeline(denoiser.net, scheduler)
