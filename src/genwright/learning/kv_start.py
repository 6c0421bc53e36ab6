"""Where a KV predictor starts: an auxiliary model cut out of its base, and maps in closed form.

`prune_layers` keeps some layers of a model (KVP-LP of Horton et al. 2024, arXiv:2410.08391, Section
3.2, who keep every 4th, every 2nd, or 3 of 4). `ridge` is ours: for every base layer the linear map
with the least squared error on some text,

    W = (X^T X + lambda I)^-1 X^T Y,

X the auxiliary model's keys (or values) with a column of ones, Y the base's, so that training need
not find in thousands of steps what one pass over the text tells.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from genwright.core import InvalidArgument
from genwright.nets.kv_prediction import KVMaps, projections, recorded

RIDGE = 1e-4
"""lambda, as a share of the mean square of X's columns times the number of tokens."""


def prune_layers(model: Any, keep: Sequence[int]) -> Any:
    """Return a model of the same family with some of a model's layers, as copies.

    Args:
        model: a `transformers` causal model of Llama's shape.
        keep: indices of layers, rising, the first of them 0: every base layer needs a layer at or
            before its own place.

    Raises:
        InvalidArgument: layers that the model has not, or in another order.
    """
    layers = len(projections(model))
    if not keep or keep[0] != 0 or list(keep) != sorted(set(keep)) or keep[-1] >= layers:
        raise InvalidArgument(
            f"prune_layers: keep must rise from 0 to at most {layers - 1}, got {tuple(keep)}."
        )
    config = deepcopy(model.config)
    config.num_hidden_layers = len(keep)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in keep]
    with torch.random.fork_rng(devices=()):
        pruned = type(model)(config)
    pruned.to(next(model.parameters()).dtype)
    prefix = f"{model.base_model_prefix}.layers."
    place = {f"{prefix}{old}.": f"{prefix}{new}." for new, old in enumerate(keep)}
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not name.startswith(prefix):
            state[name] = value
            continue
        old = prefix + name.removeprefix(prefix).partition(".")[0] + "."
        if old in place:
            state[place[old] + name.removeprefix(old)] = value
    pruned.load_state_dict(state)
    return pruned


@torch.no_grad()
def ridge(
    maps: KVMaps, auxiliary: Any, base: Any, batches: Iterable[Tensor], *, sinks: int = 0
) -> int:
    """Set the maps to those with the least squared error on some text.

    Args:
        maps: overwritten.
        auxiliary: `transformers` model.
        base: likewise.
        batches: token ids, long[B, T] each.
        sinks: first positions of every sequence that need not be predicted.

    Returns:
        how many tokens the maps rest on.

    Raises:
        InvalidArgument: no token.
    """
    layers, inputs, outputs = maps.keys.shape
    like = {"dtype": torch.float64, "device": maps.keys.device}
    squares = torch.zeros(2 * layers, inputs + 1, inputs + 1, **like)  # of keys, then of values
    products = torch.zeros(2 * layers, inputs + 1, outputs, **like)
    seen = 0
    for ids_BT in batches:
        with recorded(auxiliary) as small, recorded(base) as large:
            auxiliary.base_model(input_ids=ids_BT, use_cache=False)
            base.base_model(input_ids=ids_BT, use_cache=False)
        x = torch.cat(maps.inputs(*small.stacked(after=sinks))).float()
        y = torch.cat(large.stacked(after=sinks)).float()
        x = torch.cat([x, x.new_ones(*x.shape[:2], 1)], 2)
        with torch.autocast(x.device.type, enabled=False):  # sums of squares in bfloat16 are noise
            squares += x.mT @ x
            products += x.mT @ y
        seen += x.shape[1]
    if not seen:
        raise InvalidArgument("ridge: needs text of at least one token, got none.")
    scale = squares.diagonal(dim1=1, dim2=2)[:, :-1].mean(1)
    penalty = torch.eye(inputs + 1, **like)
    penalty[-1, -1] = 0.0  # the bias is free
    squares += RIDGE * scale[:, None, None] * penalty
    found = torch.linalg.solve(squares, products).to(maps.keys.dtype)
    for half, weight, bias in (
        (found[:layers], maps.keys, maps.key_bias),
        (found[layers:], maps.values, maps.value_bias),
    ):
        weight.copy_(half[:, :-1])
        bias.copy_(half[:, -1:])
    return seen
