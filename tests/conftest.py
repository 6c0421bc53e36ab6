"""What the tests share: the real data that is too large for the repository, and a tiny model."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Tests ask no hub: read when the hub's library is first imported, here and in child processes.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A law is about values; how long one example takes depends on the machine and what else it does.
settings.register_profile("genwright", deadline=None)
settings.load_profile("genwright")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a name such as `code/humaneval.jsonl.gz` to its path.

    It skips the test where the file is absent. `GENWRIGHT_DATA` names the folder; without it, the
    folder `shared/data` beside the repository is used.
    """
    folder = Path(os.environ.get("GENWRIGHT_DATA") or ROOT.parent / "shared" / "data")

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs {name}: {path} is not there (set GENWRIGHT_DATA to its folder)")
        return path

    return find


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama that `LocalLM` takes: random weights, one token a byte.

    It has two layers of width 32.
    """
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {c: i for i, c in enumerate(["<end>", *alphabet])}
    raw = Tokenizer(models.BPE(vocab=words, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
