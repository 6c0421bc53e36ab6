"""A tiny random model behind a real server on an ephemeral port, shared by a module's tests."""

from contextlib import contextmanager

import httpx
import pytest
from apps import running

from genwright.generators.language.local import LocalLM
from genwright.serving.server import create_app


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A Llama of random weights with the embedded model's tokenizer: real code, little work.

    It keeps 20 tokens. Over all 49,152, which a random model finds nearly equally likely, the
    rounding of another batch moves one of the many borders past a draw's number in 1 of 700
    positions (measured: 7 of 4,800), always to a neighbouring id.
    """
    transformers = pytest.importorskip("transformers")
    import torch

    from genwright.generators.language.embedded import EMBEDDED, resolve

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve(EMBEDDED))
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LocalLM(model=str(folder), dtype="float32", temperature=1.0, top_k=20, batch=16)


@contextmanager
def _serving(lm, **settings):
    """Run a server for `lm` in a thread; give its address."""
    with running(create_app(lm, **settings)) as url:
        yield url


@pytest.fixture(scope="session")
def serving():
    """Return what runs a server in a thread."""
    return _serving


@pytest.fixture(scope="module")
def server(tiny, serving):
    with serving(tiny, name="tiny") as url:
        yield url


@pytest.fixture
def client(server):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server, timeout=300) as made:
        yield made
