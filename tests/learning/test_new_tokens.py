"""A new token starts as the mean of the others, leaves no text, and can be trained."""

import pytest

pytest.importorskip("peft")
import torch
from safetensors.torch import load_file

from genwright.core import InvalidArgument
from genwright.generators.language.added_tokens import with_tokens
from genwright.generators.language.loading import read
from genwright.generators.language.local import LocalLM
from genwright.learning.supervised import Supervised

ROWS = [{"prompt": "x", "completion": "<lsp>yz"}] * 4


@pytest.fixture(scope="module")
def grown(tmp_path_factory, tiny_llama):
    return with_tokens(tmp_path_factory.mktemp("grown"), ["<lsp>", "<two>"], model=str(tiny_llama))


def embedding(model):
    net, _ = read(str(model), "float32")
    return net.get_input_embeddings().weight.detach()


def test_new_rows_are_the_mean_and_the_old_ones_as_they_were(tiny_llama, grown):
    old, new = embedding(tiny_llama), embedding(grown)
    assert new.shape[0] == old.shape[0] + 2
    assert torch.equal(new[:-2], old)
    for row in new[-2:]:
        assert torch.allclose(row, old.mean(0), atol=1e-6)


def test_it_is_one_token_without_text_wherever_it_stands(tiny_llama, grown):
    words = LocalLM(model=str(grown), chat=False).vocabulary
    plain = LocalLM(model=str(tiny_llama), chat=False).vocabulary
    new = len(plain)
    assert words.encode("a.<lsp>b<two>") == [*plain.encode("a."), new, *plain.encode("b"), new + 1]
    assert words.tokens[new] == b""
    assert new not in words.eos


@pytest.mark.parametrize("tokens", [("<lsp>",), ()], ids=["trained", "left"])
def test_only_the_embeddings_that_are_named_are_trained(grown, tmp_path, tokens):
    base = LocalLM(model=str(grown), chat=False, dtype="float32")
    learner = Supervised(
        folder=str(tmp_path / "out"), steps=2, batch=2, rank=2, learning_rate=0.1, tokens=tokens
    )
    trained = learner.fit(base, ROWS, seed=0)
    before, after = embedding(grown), embedding(trained.model)
    changed = (before != after).any(1).nonzero().flatten().tolist()
    assert changed == ([before.shape[0] - 2] if tokens else [])
    saved = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert sum(weight.numel() for weight in saved.values()) < 20_000


def test_tokens_that_change_nothing_leave_the_name_of_a_training_as_it_was(grown, tmp_path):
    """Else a training that somebody finished earlier would be done again."""
    base = LocalLM(model=str(grown), chat=False, dtype="float32")
    settings = {"folder": str(tmp_path / "out"), "steps": 1, "batch": 2, "rank": 2}
    seen = []
    for tokens in ((), [], ("<lsp>",)):
        Supervised(**settings, tokens=tokens).fit(
            base, ROWS, seed=0, watch=lambda *told: seen.append(told)
        )
    assert len(seen) == 2


@pytest.mark.parametrize("tokens", [[], ["<lsp>", ""], ["a"]], ids=["none", "empty", "one it has"])
def test_other_tokens_are_refused(tiny_llama, tmp_path, tokens):
    with pytest.raises(InvalidArgument, match="must be texts that"):
        with_tokens(tmp_path, tokens, model=str(tiny_llama))


def test_an_adapter_and_an_unknown_token_are_refused(grown, tmp_path):
    base = LocalLM(model=str(grown), chat=False, dtype="float32")
    with pytest.raises(InvalidArgument, match="has no token '<three>'"):
        Supervised(folder=str(tmp_path / "a"), tokens=("<three>",)).fit(base, ROWS, seed=0)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InvalidArgument, match="is an adapter"):
        with_tokens(tmp_path / "b", ["<x>"], model=str(tmp_path))
