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
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, silu

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


class Llama(nn.Module):
    """A Llama decoder.

    Args:
        model: a loaded `LlamaForCausalLM`; its weights are copied where they are fused and shared
            where they are not.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        config = model.config
        self.heads: int = config.num_attention_heads
        self.kinds: int = config.num_key_value_heads
        self.size: int = config.head_dim or config.hidden_size // self.heads
        self.eps: float = config.rms_norm_eps
        inner = model.model
        self.embedding: Tensor = inner.embed_tokens.weight.detach()
        self.head: Tensor = model.lm_head.weight.detach()
        self.norm: Tensor = inner.norm.weight.detach()
        self.layers = [_fused(layer) for layer in inner.layers]
        self._frequencies: Tensor = inner.rotary_emb.inv_freq.detach().float()

    def forward(self, tokens: Tensor, positions: Tensor, outputs: Tensor, attend: Attend) -> Tensor:
        """Return the logits after the chosen tokens.

        Args:
            tokens: long[N].
            positions: long[N].
            outputs: long[M], indices into N.
            attend: attention over whatever the caller keeps.

        Returns:
            [M, V] logits in the weights' dtype.
        """
        x = self.embedding[tokens]
        width = x.shape[1:]
        angles = positions[:, None].float() * self._frequencies
        cos, sin = angles.cos(), angles.sin()
        # with the halves swapped, [-x2, x1] * sin is [x2, x1] * [-sin, sin]
        cos = torch.cat([cos, cos], 1)[:, None].to(x.dtype)
        sin = torch.cat([-sin, sin], 1)[:, None].to(x.dtype)
        rotated = self.heads + self.kinds
        for i, (norm_1, qkv, out, norm_2, gate_up, down) in enumerate(self.layers):
            h = linear(rms_norm(x, width, norm_1, self.eps), qkv)
            h = h.view(-1, rotated + self.kinds, self.size)
            qk = h[:, :rotated]
            qk = torch.addcmul(qk * cos, qk.roll(self.size // 2, -1), sin)
            seen = attend(i, qk[:, : self.heads], qk[:, self.heads :], h[:, rotated:])
            x = torch.addmm(x, seen.reshape(len(x), -1), out)
            h = linear(rms_norm(x, width, norm_2, self.eps), gate_up)
            gate, up = h.chunk(2, 1)
            x = torch.addmm(x, silu(gate).mul_(up), down)
        return linear(rms_norm(x[outputs], width, self.norm, self.eps), self.head)


def _fused(layer: Any) -> tuple[Tensor, ...]:
    """Return (norm, qkv [H D + 2 K D, C], out [H D, C], norm, gate and up, down [F, C])."""
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    return (
        layer.input_layernorm.weight.detach(),
        torch.cat([p.weight.detach() for p in projections]),
        attention.o_proj.weight.detach().t(),
        layer.post_attention_layernorm.weight.detach(),
        torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()]),
        mlp.down_proj.weight.detach().t(),
    )
