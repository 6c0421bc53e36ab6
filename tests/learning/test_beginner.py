"""An untrained denoiser is written once, whole, and depends on its seed."""

import numpy as np
import pytest

from genwright.core import InvalidArgument
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.stored import load
from genwright.learning.beginner import UntrainedDenoiser


@pytest.mark.parametrize("net", ["res_mlp", "patch_mixer", "unet"])
def test_a_model_draws_from_its_file(tmp_path, net):
    make = UntrainedDenoiser(
        path=str(tmp_path / "model"), net=net, shape=(3, 8, 8), classes=2, width=16, blocks=1
    )
    path = make()
    model = DiffusionModel(denoiser=str(path), steps=2)
    assert model.sample(1, 2, seed=0).values.shape == (2, 3, 8, 8)
    assert load(path).precondition.sigma_data == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_weights_depend_on_the_seed_and_are_written_once(tmp_path):
    def weights(name, seed):
        path = UntrainedDenoiser(path=str(tmp_path / name), width=8, seed=seed)()
        return load(path).net.into.weight.detach().numpy()

    first = weights("a", 0)
    assert np.array_equal(first, weights("b", 0))
    assert not np.array_equal(first, weights("c", 1))
    assert np.array_equal(first, weights("a", 5))  # it is there already


def test_bad_settings_are_refused():
    with pytest.raises(InvalidArgument, match="net must be one of"):
        UntrainedDenoiser(path="x", net="cnn")
    with pytest.raises(InvalidArgument, match="square picture"):
        UntrainedDenoiser(path="x", shape=(1, 8, 4))
