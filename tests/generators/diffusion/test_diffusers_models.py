"""U-Nets of `diffusers` give here what they give there, and ours there what they give here."""

import pytest

pytest.importorskip("torch")
import torch
from torch import nn

from genwright.core import InvalidArgument
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusers_models import from_diffusers, to_diffusers
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.path import from_canonical, to_canonical
from genwright.generators.diffusion.precondition import Edm, RawFlow
from genwright.generators.diffusion.samplers import euler, karras
from genwright.nets.unet import UNet

pytestmark = pytest.mark.slow  # importing the library takes as long as a slow test


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("diffusers")


def unet(library, classes=None):
    torch.manual_seed(0)
    return library.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        layers_per_block=1,
        num_class_embeds=classes,
    ).eval()


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_one_euler_step_here_is_one_ddim_step_there(kind, library):
    scheduler = library.DDIMScheduler(
        prediction_type=kind, clip_sample=False, set_alpha_to_one=False
    )
    scheduler.set_timesteps(10)
    model = unet(library)
    denoise = from_diffusers(model, scheduler)
    x_t, (t, u) = torch.randn(3, 1, 8, 8), scheduler.timesteps[4:6].tolist()
    with torch.no_grad():
        wanted = scheduler.step(model(x_t, t).sample, t, x_t).prev_sample
        x, sigma = to_canonical(denoise.path, x_t, float(t))
        lower = denoise.path.sigma(torch.tensor([float(u)]))
        ended = euler(denoise, x, [sigma[0].item(), lower.item()])
        found, _ = from_canonical(denoise.path, ended, lower.item())
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_a_wrapped_unet_with_classes_is_a_generator_like_any_other(library):
    denoise = from_diffusers(unet(library, 3), library.EDMEulerScheduler(sigma_data=0.7))
    assert (denoise.shape, denoise.classes) == ((1, 8, 8), 3)
    model = DiffusionModel(denoiser=denoise, steps=2, batch=2)
    assert model.sample(1, 3, seed=0) != model.sample(2, 3, seed=0)


def test_our_denoiser_draws_the_same_as_a_pipeline(library):
    torch.manual_seed(1)
    net = UNet(8, 1, 8, (1, 2), 1, 3)
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.1)
    denoiser, cond = Denoiser(net.eval(), Edm(sigma_data=0.7)), torch.tensor([0, 1, 2])
    noise = torch.randn(3, 1, 8, 8)
    pipeline = to_diffusers(denoiser)
    there = pipeline(num_inference_steps=9, latents=noise, class_labels=cond).images
    levels = karras(9)
    start = (80.0**2 + 1) ** 0.5  # where that scheduler begins
    with torch.no_grad():
        here = euler(lambda x, s: denoiser(x, s, cond), start * noise, levels)
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_read_is_named(library):
    edm = library.EDMEulerScheduler(prediction_type="v_prediction")
    with pytest.raises(InvalidArgument, match="must predict epsilon"):
        from_diffusers(unet(library), edm)
    with pytest.raises(InvalidArgument, match="only a denoiser read by Edm"):
        to_diffusers(Denoiser(UNet(8), RawFlow()))
