"""magic-word's attacks are fair: what they attack is excluded by a little, and heads are real."""

import numpy as np
import pytest

from genwright.assurance.attention_bound import AttentionHead, exclusion_margin
from genwright.assurance.controlled import ControlledModel
from genwright.claims import magic_word
from genwright.generators.language.local import LocalLM


def test_what_is_attacked_is_excluded_and_near():
    rng = np.random.default_rng(0)
    head = AttentionHead(*(rng.normal(size=(3, 8, 16)) / 4))
    imposed = rng.normal(size=(6, 16))
    wanted = magic_word._excluded(head, imposed, rng.normal(size=8), 2, 4.0)
    far = float(np.linalg.norm(wanted - head.output(imposed)))
    assert 0.1 * far <= exclusion_margin(head, imposed, wanted, 2, 4.0) < 0.25 * far


def test_an_attack_that_gets_too_near_is_counted(monkeypatch):
    """With a margin three times its size the attacks must find violations."""
    plain = magic_word._attacked([], 10, 400, seed=0)
    assert plain["violations"] == 0
    real = magic_word.exclusion_margin
    factor = 1.5 * plain["nearest_over_margin"]
    excluded = magic_word._excluded
    monkeypatch.setattr(magic_word, "exclusion_margin", lambda *a: factor * real(*a))
    monkeypatch.setattr(
        magic_word,
        "_excluded",
        lambda *a: _with(monkeypatch, real, excluded, a),
    )
    assert magic_word._attacked([], 10, 400, seed=0)["violations"] > 0


def _with(monkeypatch, real, excluded, arguments):
    """Place the wanted output by the real margin."""
    false = magic_word.exclusion_margin
    magic_word.exclusion_margin = real
    try:
        return excluded(*arguments)
    finally:
        magic_word.exclusion_margin = false


def test_first_heads_compute_what_the_layer_computes(tiny_llama):
    """The heads' outputs, through the output map, are the first layer's attention."""
    torch = pytest.importorskip("torch")
    model = ControlledModel.of(LocalLM(model=str(tiny_llama), chat=False, dtype="float32"))
    ids = [3, 77, 200, 9]
    layer, seen = model.exact.model.layers[0].self_attn, {}
    handle = layer.register_forward_hook(lambda m, i, out: seen.update(out=out[0]))
    model.logits(torch.tensor([ids]), ())
    handle.remove()
    heads = magic_word.first_heads(model)
    mixed = np.concatenate([head.output(rows[ids]) for head, rows in heads])
    found = layer.o_proj.weight.double().numpy() @ mixed
    assert np.allclose(found, seen["out"][0, -1].double().numpy(), atol=1e-5)
