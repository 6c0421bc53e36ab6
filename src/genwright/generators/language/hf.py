"""Any Hugging Face causal language model as a `TokenModel`.

`FastLlama` runs models of Llama's shape through our own forward pass (`nets.llama`). `HFModel` runs
every other: the model's own layers see the packed tokens of a step, and only attention is ours. It
is registered with `transformers` as an attention implementation, so every architecture that goes
through that interface (nearly all decoder-only transformers) works unchanged: rotary embeddings,
norms, experts and heads are the model's own. `token_model` chooses.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.core import Chunk, InvalidArgument, Vocabulary
from genwright.generators.language.attention import attend
from genwright.generators.language.cache import Pool, PromptCache, RowCache
from genwright.generators.language.plan import Plan
from genwright.nets.llama import Llama, fits

ATTENTION = "genwright"
_now = threading.local()


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention that `transformers` calls: [1, heads, N, D] in, [1, N, heads, D] out."""
    del attention_mask  # the plan knows who sees whom
    if softcap is not None or others.get("s_aux") is not None:
        raise InvalidArgument(
            f"{type(module).__name__} caps its scores or adds sinks to them, which the engine's "
            "attention does not do; choose a model without."
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    out = attend(_now.plan, module.layer_idx, q, k, v, scale, sliding_window)
    return out[None], None


def token_model(model: Any, vocabulary: Vocabulary, *, int8: bool = False) -> "HFModel | FastLlama":
    """Return the fastest token model for a loaded `transformers` causal model.

    Args:
        model: in the numbers that activations have: float32, or bfloat16.
        vocabulary: of its tokenizer, as wide as a logits row.
        int8: round the weights to 8 bits.

    Raises:
        InvalidArgument: int8 weights for a model that is not of Llama's shape.
    """
    if fits(model):
        return FastLlama(model, vocabulary, int8=int8)
    if int8:
        raise InvalidArgument(
            f"dtype int8 is for models of Llama's shape, got {model.config.model_type}; "
            "use bfloat16 or float32."
        )
    return HFModel(model, vocabulary)


def _pool(model: Any) -> Pool:
    """Return an empty cache of the shape that a model needs."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kinds = getattr(config, "num_key_value_heads", None) or heads
    weight = model.get_input_embeddings().weight
    # a processor's bfloat16 products of small matrices cost 40 us each, float32 ones a tenth
    dtype = torch.float32 if weight.device.type == "cpu" else weight.dtype
    return Pool(config.num_hidden_layers, kinds, size, dtype, weight.device)


class _Pooled:
    """The half of `TokenModel` that is the cache's."""

    pool: Pool

    def new_cache(self, source: PromptCache | None = None, length: int = 0) -> PromptCache:
        """Return a prompt's cache that starts with a copy of another's first tokens."""
        return self.pool.prompt(source, length)

    def branch(self, cache: PromptCache) -> RowCache:
        """Return a cache that continues a prompt and shares its keys and values."""
        return self.pool.branch(cache)

    def fork(self, cache: RowCache) -> RowCache:
        """Return an independent copy of a branch."""
        return self.pool.fork(cache)

    def keep(self, cache: RowCache, nodes: Sequence[int]) -> None:
        """Keep one path of the draft tree that was appended last."""
        self.pool.keep(cache, nodes)

    def release(self, cache: PromptCache | RowCache) -> None:
        """Free a cache."""
        self.pool.release(cache)


class HFModel(_Pooled):
    """Any `transformers` causal model behind the engine's cache.

    Args:
        model: the loaded model, in evaluation mode; its attention implementation is replaced.
        vocabulary: of its tokenizer, as wide as a logits row.
    """

    def __init__(self, model: Any, vocabulary: Vocabulary) -> None:
        from transformers import AttentionInterface

        AttentionInterface.register(ATTENTION, _attention)
        model.set_attn_implementation(ATTENTION)
        self.model = model
        self.vocabulary = vocabulary
        self.context = int(model.config.get_text_config().max_position_embeddings)
        self.pool = _pool(model)

    @torch.inference_mode()
    def step(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Append every chunk and return float32[rows, V] logits."""
        plan = Plan(self.pool, chunks)
        _now.plan = plan
        try:
            found = self.model(
                input_ids=plan.tokens[None],
                position_ids=plan.positions[None],
                use_cache=False,
                logits_to_keep=plan.outputs,
            ).logits[0]
        finally:
            del _now.plan
        plan.finish()
        return found.float().cpu().numpy()


class FastLlama(_Pooled):
    """A model of Llama's shape behind the engine's cache, with our own forward pass.

    Args:
        model: a loaded `LlamaForCausalLM`.
        vocabulary: of its tokenizer, as wide as a logits row.
        int8: round the weights to 8 bits.
    """

    def __init__(self, model: Any, vocabulary: Vocabulary, *, int8: bool = False) -> None:
        self.net = Llama(model, int8=int8)
        self.vocabulary = vocabulary
        self.context = int(model.config.max_position_embeddings)
        self.pool = _pool(model)
        self.scale = self.net.size**-0.5

    @torch.inference_mode()
    def step(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Append every chunk and return float32[rows, V] logits."""
        plan = Plan(self.pool, chunks)
        return self._run(plan, plan.outputs).float().cpu().numpy()

    @torch.inference_mode()
    def read(self, chunks: Sequence[Chunk]) -> None:
        """Append every chunk for its keys and values alone."""
        plan = Plan(self.pool, chunks)
        self._run(plan, plan.outputs[:0])

    def _run(self, plan: Plan, outputs: Tensor) -> Tensor:
        found = self.net(
            plan.tokens,
            plan.positions,
            outputs,
            lambda layer, q, k, v: attend(plan, layer, q, k, v, self.scale),
        )
        plan.finish()
        return found
