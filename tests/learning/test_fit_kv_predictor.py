"""The loss against its formula, gradients that stop at the base, and a training that resumes."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch
import torch.nn.functional as F

from genwright.core import InvalidArgument, TrainingError
from genwright.generators.language.local import LocalLM
from genwright.learning.causal import load_for_training
from genwright.learning.fit_kv_predictor import FitKVPredictor
from genwright.learning.kv_losses import joint_losses
from genwright.learning.kv_start import prune_layers
from genwright.nets.kv_prediction import KVMaps, recorded, replaced

ROWS = [{"text": f"{c} says {c}{c}{c}, and so on"} for c in "abcdefgh"]
IDS = torch.randint(0, 250, (2, 9), generator=torch.Generator().manual_seed(0))


def learner(folder, **settings):
    defaults = {"steps": 6, "batch": 4, "length": 12, "learning_rate": 1e-3, "save_every": 2}
    return FitKVPredictor(folder=str(folder), **({"ridge": 200} | defaults | settings))


@pytest.fixture
def lm(tiny_llama):
    return LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4)


@pytest.fixture
def parts(tiny_llama):
    """Return (auxiliary, maps, base)."""
    base, _ = load_for_training(str(tiny_llama), rank=0, alpha=1)
    base.requires_grad_(False).eval()
    maps = KVMaps((0, 0), auxiliary=1, inputs=32, outputs=32)
    torch.manual_seed(0)
    with torch.no_grad():
        maps.keys += 0.1 * torch.randn_like(maps.keys)
    return prune_layers(base, (0,)), maps, base


@pytest.mark.parametrize("sinks", [0, 2])
def test_the_losses_are_those_of_the_paper(parts, sinks):
    """With sinks, on what is predicted."""
    small, maps, base = parts
    losses = joint_losses(small, maps, base, IDS, (1, 1, 1), sinks=sinks)
    found = {k: v.item() for k, v in losses.items()}

    def cross_entropy(logits):
        logits = logits[:, :-1].reshape(-1, logits.shape[-1])
        z = 1e-4 * logits.logsumexp(-1).pow(2).mean()
        return F.cross_entropy(logits, IDS[:, 1:].reshape(-1)) + z

    with torch.no_grad():
        with recorded(small) as x:
            assert found["auxiliary"] == pytest.approx(
                float(cross_entropy(small(input_ids=IDS).logits)), abs=1e-5
            )
        keys, values = maps(*x.stacked())
        with recorded(base) as own:
            base(input_ids=IDS)
        with replaced(base, keys, values, sinks=sinks):
            predicted = base(input_ids=IDS, use_cache=False).logits
        assert found["base"] == pytest.approx(float(cross_entropy(predicted)), abs=1e-5)
        distance = 0.0
        for layer in range(2):
            for ours, true in ((keys, own.keys), (values, own.values)):
                ours_BTO = ours[layer].view(2, 9, -1)
                distance += F.l1_loss(ours_BTO[:, sinks:], true[layer][:, sinks:])
    assert found["cache"] == pytest.approx(float(distance), rel=1e-5)


def test_gradients_reach_the_auxiliary_model_and_the_maps_and_never_the_base(parts):
    small, maps, base = parts
    joint_losses(small, maps, base, IDS, (1, 0, 0))["base"].backward()
    assert all(weight.grad is None for weight in base.parameters())
    assert maps.keys.grad.abs().sum() > 0
    assert maps.values.grad.abs().sum() > 0
    assert small.model.layers[0].self_attn.k_proj.weight.grad.abs().sum() > 0


def test_a_loss_of_weight_zero_is_not_computed(parts):
    small, maps, base = parts
    alone = joint_losses(small, maps, base, IDS, (0, 1, 0))
    assert (float(alone["base"]), float(alone["cache"])) == (0.0, 0.0)
    cache = joint_losses(small, maps, base, IDS, (0, 0, 1))
    assert cache["cache"].item() > 0
    assert (float(cache["base"]), float(cache["auxiliary"])) == (0.0, 0.0)


def weights(folder):
    from safetensors.torch import load_file

    found = load_file(Path(folder) / "kv_maps.safetensors")
    return found | load_file(Path(folder) / "auxiliary" / "model.safetensors")


def test_the_loss_falls_and_the_new_model_predicts_its_prompts(lm, tmp_path):
    losses = {}
    fitted = learner(tmp_path / "out", steps=25, learning_rate=1e-2).fit(
        lm, ROWS, seed=1, watch=lambda name, step, value: losses.setdefault(name, []).append(value)
    )
    assert sum(losses["loss"][-5:]) < 0.9 * sum(losses["loss"][:5])
    assert sum(losses["auxiliary"][-5:]) < 0.9 * sum(losses["auxiliary"][:5])
    assert (fitted.prefill, fitted.predictor) == ("predicted", str(tmp_path / "out"))
    assert (lm.prefill, lm.predictor) == ("exact", "")
    before, after = (m.sample("a says", 2, seed=0) for m in (lm, fitted))
    assert before.logprobs != after.logprobs
    assert "arXiv" not in (tmp_path / "out" / "README.md").read_text()


def test_a_training_that_was_cut_off_ends_at_the_same_weights(lm, tmp_path):
    class Killed(Exception):
        pass

    def kill(name, step, value):
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        learner(tmp_path / "cut").fit(lm, ROWS, seed=1, watch=kill)
    with pytest.raises(TrainingError, match="another training"):
        learner(tmp_path / "cut").fit(lm, ROWS, seed=2)
    steps = []
    learner(tmp_path / "cut").fit(lm, ROWS, seed=1, watch=lambda name, i, value: steps.append(i))
    learner(tmp_path / "whole").fit(lm, ROWS, seed=1)
    assert min(steps) == 4
    one, other = weights(tmp_path / "cut"), weights(tmp_path / "whole")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    steps.clear()
    learner(tmp_path / "cut").fit(lm, ROWS, seed=1, watch=lambda name, i, value: steps.append(i))
    assert not steps  # it was finished


def test_the_auxiliary_model_is_a_language_model_of_its_own(lm, tmp_path):
    """Greedy draws equal those of `transformers`, the peer."""
    import transformers

    learner(tmp_path / "out", steps=2, losses=(0, 1, 0)).fit(lm, ROWS, seed=1)
    folder = str(tmp_path / "out" / "auxiliary")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.num_hidden_layers == 1
    small = replace(lm, model=folder, temperature=0, max_new_tokens=6)
    prompt = torch.tensor([small.encode("a says")])
    tokens = model.generate(prompt, max_new_tokens=6, do_sample=False)[0, prompt.shape[1] :]
    assert small.sample("a says", 1, seed=0)[0].info["tokens"] == tokens.tolist()


def test_another_model_of_the_family_may_be_the_auxiliary(lm, tmp_path):
    from genwright.generators.language.untrained import untrained

    small = untrained(tmp_path / "small", width=16, layers=1, heads=2)
    fitted = learner(tmp_path / "out", steps=2, auxiliary=str(small)).fit(lm, ROWS, seed=1)
    assert len(fitted.sample("a says", 1, seed=0)) == 1
    other = untrained(tmp_path / "other", ["ab ab"] * 9, vocabulary=259, width=16, heads=2)
    with pytest.raises(InvalidArgument, match="another tokenizer"):
        learner(tmp_path / "no", auxiliary=str(other)).fit(lm, ROWS, seed=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"length": 2},
        {"sinks": -1},
        {"ridge": -1},
        {"learning_rate": 0.0},
        {"losses": (0, 0, 0)},
        {"losses": (1, 1)},
        {"auxiliary": "x", "layers": (0, 1)},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidArgument, match="FitKVPredictor"):
        FitKVPredictor(folder="x", **settings)


def test_rows_without_text_or_with_too_little_are_refused(lm, tmp_path):
    with pytest.raises(InvalidArgument, match="row 0: needs the field 'text'"):
        learner(tmp_path).fit(lm, [{"prompt": "a"}], seed=0)
    with pytest.raises(InvalidArgument, match="less than one batch"):
        learner(tmp_path).fit(lm, [{"text": "a"}], seed=0)


def test_the_closed_form_start_is_nearer_to_the_base_than_the_identity(lm, tmp_path):
    start = {}
    for ridge in (0, 200):
        first = {}
        learner(tmp_path / f"from{ridge}", steps=1, ridge=ridge).fit(
            lm,
            ROWS,
            seed=1,
            watch=lambda name, i, value, first=first: first.setdefault(name, value),
        )
        start[ridge] = first["cache"]
    assert start[200] < 0.95 * start[0]
