"""The Llama family's forward pass over packed tokens, with few operations a layer.

Choose it to decode on a processor, where at small batches the time goes into reading weights and
into the overhead of operations: query, key and value are one product, gate and up another, residual
sums ride on the products, and logits are computed only where they are asked for. It covers the
models whose layers are Llama's (no biases, no norms inside attention, full-width rotary embedding);
`fits` tells. Weights are taken from a loaded `transformers` model.

Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", arXiv:2302.13971;
grouped queries: Ainslie et al. 2023, arXiv:2305.13245; rotary embedding: Su et al. 2021,
arXiv:2104.09864. Ours: the packed step; attention is the caller's function.

Legend: N packed tokens, C model width, H query heads, K key heads, D head size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu

from genwright.nets.products import Product, product

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, queries [N, H, D], keys [N, K, D], values [N, K, D]) -> [N, H, D]."""


def fits(model: Any) -> bool:
    """Tell whether a `transformers` model is one that `Llama` computes."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type == "llama"
        and not config.attention_bias
        and not config.mlp_bias
        and config.hidden_act == "silu"
        and rope.get("rope_type", "default") == "default"
    )


class Llama:
    """A Llama decoder.

    Args:
        model: a loaded `LlamaForCausalLM`; its weights are copied, except the embedding's.
        int8: round the weights of all products to 8 bits.
    """

    def __init__(self, model: Any, *, int8: bool = False) -> None:
        config = model.config
        self.heads: int = config.num_attention_heads
        self.kinds: int = config.num_key_value_heads
        self.size: int = config.head_dim or config.hidden_size // self.heads
        self.eps: float = config.rms_norm_eps
        inner = model.model
        self.embedding: Tensor = inner.embed_tokens.weight.detach()
        self.dtype = self.embedding.dtype
        self.head = product(model.lm_head.weight.detach(), int8=int8)
        self.norm: Tensor = inner.norm.weight.detach()
        self.layers = [_layer(layer, int8) for layer in inner.layers]
        self.frequencies: Tensor = inner.rotary_emb.inv_freq.detach().float()

    def __call__(
        self, tokens: Tensor, positions: Tensor, outputs: Tensor, attend: Attend
    ) -> Tensor:
        """Return the logits after the chosen tokens.

        Args:
            tokens: long[N].
            positions: long[N].
            outputs: long[M], indices into N; with M = 0 nothing is computed past the last layer's
                attention.
            attend: attention over whatever the caller keeps.

        Returns:
            [M, V] logits in the weights' dtype.
        """
        x = self.embedding[tokens]
        angles = positions[:, None].float() * self.frequencies
        cos, sin = angles.cos(), angles.sin()
        # with the halves swapped, [-x2, x1] * sin is [x2, x1] * [-sin, sin]
        cos = torch.cat([cos, cos], 1)[:, None].to(x.dtype)
        sin = torch.cat([-sin, sin], 1)[:, None].to(x.dtype)
        rotated = self.heads + self.kinds
        last = -1 if len(outputs) else len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            h = layer.qkv(rms_norm(x, layer.norm_1, self.eps))
            h = h.view(-1, rotated + self.kinds, self.size)
            qk = h[:, :rotated]
            qk = torch.addcmul(qk * cos, qk.roll(self.size // 2, -1), sin)
            seen = attend(i, qk[:, : self.heads], qk[:, self.heads :], h[:, rotated:])
            if i == last:
                return x.new_empty(0, len(self.embedding))
            x = layer.out(seen.reshape(len(x), -1), x)
            h = layer.gate_up(rms_norm(x, layer.norm_2, self.eps))
            gate, up = h.chunk(2, 1)
            x = layer.down(silu(gate).mul_(up), x)
        return self.head(rms_norm(x[outputs], self.norm, self.eps))


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide each row by its root mean square (Zhang and Sennrich 2019, arXiv:1910.07467).

    In float32, as `torch.nn.functional.rms_norm`, which on a processor takes twice the time.

    Args:
        x: [N, C].
        weight: [C].
        eps: added to the mean square.
    """
    square = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32).square_()
    scale = square.mul_(1 / x.shape[1]).add_(eps).rsqrt_()
    return (x * scale).to(x.dtype).mul_(weight)


@dataclass(frozen=True, eq=False)
class _Layer:
    """One block: qkv [H D + 2 K D, C], out [C, H D], gate and up [2 F, C], down [C, F]."""

    norm_1: Tensor
    qkv: Product
    out: Product
    norm_2: Tensor
    gate_up: Product
    down: Product

    @property
    def maps(self) -> tuple[Product, ...]:
        """The products of one pass, in order."""
        return self.qkv, self.out, self.gate_up, self.down


def _layer(layer: Any, int8: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp

    def ready(*maps: Any) -> Product:
        return product(torch.cat([m.weight.detach() for m in maps]), int8=int8)

    return _Layer(
        layer.input_layernorm.weight.detach(),
        ready(attention.q_proj, attention.k_proj, attention.v_proj),
        ready(attention.o_proj),
        layer.post_attention_layernorm.weight.detach(),
        ready(mlp.gate_proj, mlp.up_proj),
        ready(mlp.down_proj),
    )
