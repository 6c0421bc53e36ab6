"""`genwright draw` shows what a trained generator makes, and how."""

import json

import numpy as np
import pytest
import torch

from genwright.core import InvalidArgument, Ledger, Task, Verdict
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.exact import FiniteData
from genwright.generators.diffusion.precondition import Edm
from genwright.generators.diffusion.stored import save
from genwright.nets.denoisers import ResMLP
from genwright.serving.drawn import drawn, quality_by_steps, trajectory

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def model(tmp_path):
    """Return the folder of an untrained model of 4 x 4 pictures in 3 classes."""
    torch.manual_seed(0)
    save(Denoiser(ResMLP((1, 4, 4), 8, 1, classes=3), Edm()), tmp_path / "model")
    return tmp_path / "model"


def test_a_model_is_drawn_class_by_class(run, model):
    told = run("draw", model, "--prompts", "0,2", "--n", 3, "--scale", 1, "--json").json
    assert (told["draws"], told["prompts"]) == (6, [0, 2])
    assert told["cost"]["network_evaluations"] == 6 * 35
    found = np.asarray(Image.open("draws.png"))
    assert found.shape == (2 * 4 + 1, 3 * 4 + 2, 3)
    values, _ = drawn(DiffusionModel(denoiser=str(model)), [0, 2], 3, 0)
    first = np.round((np.clip(values[4, 0], -1, 1) + 1) * 127.5)
    assert np.array_equal(found[5:9, 5:9, 0], first.astype(np.uint8))


def test_the_way_from_noise_is_animated(run, model):
    told = run("draw", model, "--n", 2, "--animate", "way.gif", "--json").json
    with Image.open("way.gif") as found:
        assert found.n_frames == told["frames"] == 19


def test_a_way_begins_in_noise_and_ends_in_the_draws():
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.5]])
    model = DiffusionModel(denoiser=FiniteData(points))
    frames = trajectory(model, [None], 5, seed=3)
    values, _ = drawn(model, [None], 5, 3)
    assert np.allclose(frames[-1], values, atol=1e-5)
    assert len(frames) == 19
    assert abs(frames[0]).max() > 0.3  # noise of about one standard deviation
    nearest = abs(frames[-1][:, None] - points.numpy()).max(2).min(1)
    assert nearest.max() < 1e-4


def test_what_cannot_be_drawn_is_told(run, model, task, endpoint, tmp_path):
    task(endpoint)
    assert "no pictures" in run("draw", "sums").err
    assert "n must be" in run("draw", model, "--n", 0).err
    (tmp_path / "empty").mkdir()
    assert "neither generator.json" in run("draw", tmp_path / "empty").err
    said = run("draw", model, "--prompts", "7", "--json")
    assert said.code == 2
    assert "0 to 2" in json.loads(said.out)["message"]
    save_one_step(model)
    assert "only a diffusion model" in run("draw", model, "--animate", "a.gif").err


class AboveZero:
    """Passes pictures whose mean is above 0."""

    def check(self, samples):
        return [Verdict.ok() if v.mean() > 0 else Verdict.fail() for v in samples.values]


def test_quality_is_recorded_by_the_steps_of_the_schedule():
    points = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0]])
    model = DiffusionModel(denoiser=FiniteData(points))
    tasks = [Task(None, AboveZero(), "any")]
    with Ledger() as ledger:
        run, found = quality_by_steps(model, tasks, [1, 6], 40, 0, ledger)
        assert [(row.steps, row.evaluations, row.draws) for row in found] == [
            (1, 1, 40),
            (6, 11, 40),
        ]
        assert run.metrics() == [
            ("by evaluations/passed", 1, found[0].passed.estimate),
            ("by evaluations/passed", 11, found[1].passed.estimate),
        ]
        drawn = [d.sample.value for d in run.draws("6 steps: any")]
        assert found[1].passed.estimate == np.mean([v.mean() > 0 for v in drawn])
        for steps, wrong in (([], tasks), ([0], tasks), ([2], []), ([2], [Task(None)])):
            with pytest.raises(InvalidArgument, match="draw: steps"):
                quality_by_steps(model, wrong, steps, 2, 0, ledger)


def save_one_step(folder):
    table = {"method": "one_step", "denoiser": str(folder)}
    (folder / "generator.json").write_text(json.dumps(table))
