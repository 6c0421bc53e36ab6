"""A head learns the ratio of two laws; what streams and heads cannot be is refused."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.generators.diffusion.noise import LogNormal
from genwright.generators.diffusion.precondition import Edm
from genwright.learning.denoising import untrained
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.parts import GanHead, Regression, Stream
from genwright.learning.distillation.rules import FDivergence
from genwright.nets.denoisers import ResMLP


def test_a_learned_ratio_is_the_ratio_of_the_laws():
    """Between two Gaussians that stay: the student's rate is 0. Within 0.15 in mean |log r|."""
    far = GaussianMixture((1.0,), ((0.5,),), 1.0)
    own = Denoiser(Fixed(), Edm(sigma_data=1.0))
    seen = {}

    class Spy(FDivergence):
        def __call__(self, given):
            seen.update(x=given.x, sigma=given.sigma, logits=given.logits)
            return super().__call__(given)

    learner = Match(
        rule=Spy(kind="kl"),
        student=own,
        fake=Denoiser(untrained(lambda: ResMLP(1, 32, 2), seed=0), Edm(sigma_data=1.5)),
        head=GanHead(weight_head=1.0),
        steps=30,
        fake_per_step=8,
        batch=256,
        learning_rate=6e-3,
        student_sigmas=LogNormal(-0.5, 0.1),
        fake_sigmas=LogNormal(-0.5, 0.1),
        ema=0.9,
    )
    learner.fit(DiffusionModel(denoiser=far), far, seed=0)
    q = GaussianMixture((1.0,), ((0.0,),), 1.0)
    exact = far.log_prob(seen["x"], seen["sigma"]) - q.log_prob(seen["x"], seen["sigma"])
    assert (seen["logits"] - exact).abs().mean().item() < 0.15
    assert exact.abs().mean().item() > 0.25


class Fixed(torch.nn.Module):
    """Reads as a denoiser that returns its noise at unit variance, whatever its weight."""

    shape, classes = (1,), 0

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, c_noise, cond=None):
        # sigma 2.5, sigma_data 1: D = x / 7.25 + 2.5 / sqrt(7.25) F; unit draws need D = x / 2.5
        total = 7.25**0.5
        return x * total * (1 / 2.5 - 1 / 7.25) * total / 2.5 + 0 * self.weight


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidArgument, match="weights must be 0"):
        Stream(weight=-1.0)
    with pytest.raises(InvalidArgument, match="share must be"):
        Stream(share=0.0)
    with pytest.raises(InvalidArgument, match="weight_head"):
        GanHead(weight_head=0.0)
    with pytest.raises(InvalidArgument, match="above 0"):
        Regression(weight=0.0)
    with pytest.raises(InvalidArgument, match="no features"):
        Match(student=Denoiser(Fixed(), Edm()), head=GanHead()).fit(
            DiffusionModel(denoiser=GaussianMixture((1.0,), ((0.0,),), 1.0)),
            [{"prompt": None, "completion": np.zeros(1, np.float32)}],
            seed=0,
        )
