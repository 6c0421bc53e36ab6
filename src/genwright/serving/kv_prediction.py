"""What a predicted prefill costs before the first token, in floating-point operations.

Operations are counted as `torch.utils.flop_counter` counts them: two for each multiply-add of a
matrix product, the causal mask not used to save any. Norms, activations, the softmax and rotations
are left out.

Horton et al. 2024, "KV Prediction for Improved Time to First Token", arXiv:2410.08391, Section 4,
compares methods at equal operations before the first token. Ours: the maps are counted, and the
auxiliary model's last layer only as far as it is computed (`generators.language.kv_predictor`).
"""

from typing import Any

from genwright.core import InvalidArgument


def ttft_flops(
    base: Any, tokens: int, *, auxiliary: Any = None, sinks: int = 1, cross: bool = True
) -> int:
    """Return the operations between a prompt and its first token.

    Args:
        base: `transformers` configuration of a model of Llama's shape.
        tokens: of the prompt.
        auxiliary: likewise of the model that reads all but the last token; None for exact prefill.
        sinks: first tokens that the base reads too.
        cross: whether keys and values are each predicted from both.

    Raises:
        InvalidArgument: no token.
    """
    if tokens < 1:
        raise InvalidArgument(f"ttft_flops: tokens must be 1 or more, got {tokens}.")
    head = 2 * base.hidden_size * base.vocab_size
    read = tokens - 1
    if auxiliary is None or read <= sinks:
        return base.num_hidden_layers * _layer(base, tokens, tokens) + head
    inputs = _kv_width(auxiliary) * (1 + cross)
    maps = 2 * base.num_hidden_layers * 2 * (read - sinks) * inputs * _kv_width(base)
    last = base.num_hidden_layers * _layer(base, 1, tokens) + head
    return _cache(auxiliary, read) + _cache(base, sinks) + maps + last


def _cache(config: Any, tokens: int) -> int:
    """Return the operations for the keys and values of some tokens, and nothing after them."""
    layers = config.num_hidden_layers * _layer(config, tokens, tokens)
    return layers - 2 * tokens * _after_attention(config)


def _layer(config: Any, new: int, seen: int) -> int:
    """Return the operations of one layer for `new` tokens that attend to `seen` each."""
    width = config.num_attention_heads * _head_size(config)
    inner = config.hidden_size * (width + 2 * _kv_width(config))
    return 2 * new * (inner + _after_attention(config)) + 4 * new * seen * width


def _after_attention(config: Any) -> int:
    """Return the multiply-adds for a token of a layer behind its attention."""
    width = config.num_attention_heads * _head_size(config)
    return config.hidden_size * (width + 3 * config.intermediate_size)


def _kv_width(config: Any) -> int:
    return config.num_key_value_heads * _head_size(config)


def _head_size(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
