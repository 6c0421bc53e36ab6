"""Training lowers the loss, resumes to the same weights, and leaves its input as it was."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("peft")
import torch

from genwright.core import InvalidArgument, TrainingError
from genwright.generators.language.local import LocalLM
from genwright.learning import supervised
from genwright.learning.causal import load_for_training
from genwright.learning.supervised import Supervised

ROWS = [{"prompt": f"say {c}", "completion": c * 3} for c in "abcdefgh"]


def learner(folder, **settings):
    defaults = {"steps": 6, "batch": 4, "rank": 4, "learning_rate": 1e-2, "save_every": 2}
    return Supervised(folder=str(folder), **(defaults | settings))


@pytest.fixture
def base(tiny):
    return LocalLM(model=str(tiny), dtype="float32", temperature=0.0, max_new_tokens=5, system="x")


def weights(folder):
    from safetensors.torch import load_file

    (file,) = Path(folder).glob("*.safetensors")
    return load_file(file)


def test_the_loss_falls_and_the_card_says_how_it_was_trained(base, tiny, tmp_path):
    before = weights(tiny)
    losses = []
    trained = learner(tmp_path / "out", steps=30, rank=0).fit(
        base, ROWS, seed=1, watch=lambda name, step, value: losses.append(value)
    )
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert (trained.model, trained.system, trained.chat) == (str(tmp_path / "out"), "", False)
    assert base.system == "x"
    assert all(torch.equal(before[k], v) for k, v in weights(tiny).items())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- seed: 1" in card
    assert f"{losses[-1]:.3f} at the last" in card


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(base, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        learner(folder, steps=2).fit(base, ROWS, seed=seed)
    a, b, c = (weights(folder) for folder in folders)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_a_checkpoint_of_another_training_is_refused(base, tmp_path):
    (tmp_path / "out" / "checkpoint").mkdir(parents=True)
    state = {"identity": "other", "losses": [1.0]}
    (tmp_path / "out" / "checkpoint" / "training.json").write_text(json.dumps(state))
    with pytest.raises(TrainingError, match="belongs to another training"):
        learner(tmp_path / "out").fit(base, ROWS, seed=1)


def test_a_loss_that_is_not_finite_stops_and_says_where(base, tmp_path, monkeypatch):
    def broken(model, **settings):
        net, tokenizer = load_for_training(model, **settings)
        with torch.no_grad():
            net.get_output_embeddings().weight.fill_(float("nan"))
        return net, tokenizer

    monkeypatch.setattr(supervised, "load_for_training", broken)
    with pytest.raises(TrainingError, match="nan at step 0"):
        learner(tmp_path / "out").fit(base, ROWS, seed=1)


def test_a_trained_model_is_trained_further_with_its_adapter(base, tmp_path):
    first = learner(tmp_path / "one", steps=12).fit(base, ROWS, seed=1)
    losses = []
    again = learner(tmp_path / "two", warmup=1).fit(
        first, ROWS, seed=2, watch=lambda name, step, value: losses.append(value)
    )
    fresh = []
    learner(tmp_path / "three").fit(base, ROWS, seed=2, watch=lambda *told: fresh.append(told[2]))
    assert losses[0] < fresh[0]
    assert again.sample("say a", 1, seed=0).values  # the folder loads: base and adapter


def test_all_weights_are_trained_at_rank_zero(base, tiny, tmp_path):
    learner(tmp_path / "out", rank=0, steps=2).fit(base, ROWS, seed=1)
    before, after = weights(tiny), weights(tmp_path / "out")
    changed = [k for k in before if k in after and not torch.equal(before[k], after[k])]
    assert len(changed) == len(before)


def test_only_adapters_are_trained_otherwise(tiny):
    net, _ = load_for_training(str(tiny), rank=4, alpha=8)
    trained = [name for name, weight in net.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    assert not any("lm_head" in name for name in trained)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"template": "no place"}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidArgument, match="Supervised"):
        replace(learner("x"), **wrong)
