"""The loss of a KV predictor, in three parts: Horton et al. 2024, arXiv:2410.08391, Section 3."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.nets.kv_prediction import KVMaps

Z_LOSS = 1e-4


def joint_losses(
    auxiliary: Any,
    maps: "KVMaps",
    base: Any,
    ids_BT: "Tensor",
    weights: Sequence[float],
    *,
    sinks: int = 0,
) -> "dict[str, Tensor]":
    """Return the three parts of the loss; one whose weight is 0 is 0 and costs nothing.

    Args:
        auxiliary: `transformers` model.
        maps: from its keys and values to the base's.
        base: `transformers` model.
        ids_BT: tokens, long[B, T].
        weights: of "base", "auxiliary" and "cache".
        sinks: first positions where the base keeps its own keys and values.
    """
    import torch

    from genwright.nets.kv_prediction import recorded, replaced

    predicts = bool(weights[0] or weights[2])
    with recorded(auxiliary) as small:
        if weights[1]:
            hidden = auxiliary(input_ids=ids_BT, use_cache=False).logits
        else:
            hidden = auxiliary.base_model(input_ids=ids_BT, use_cache=False)
    nothing = torch.zeros((), device=ids_BT.device)
    parts = {"base": nothing, "auxiliary": nothing, "cache": nothing}
    if weights[1]:
        parts["auxiliary"] = _cross_entropy(hidden, ids_BT)
    if not predicts:
        return parts
    keys, values = maps(*small.stacked())
    if weights[0]:
        with replaced(base, keys, values, sinks=sinks):
            parts["base"] = _cross_entropy(base(input_ids=ids_BT, use_cache=False).logits, ids_BT)
    if weights[2]:
        with recorded(base) as own, torch.no_grad():
            base.base_model(input_ids=ids_BT, use_cache=False)
        rows = len(ids_BT)
        predicted = (x.unflatten(1, (rows, -1))[:, :, sinks:].flatten(1, 2) for x in (keys, values))
        pairs = zip(predicted, own.stacked(after=sinks), strict=True)
        distances = [(ours.float() - true).abs().mean((1, 2)).sum() for ours, true in pairs]
        parts["cache"] = distances[0] + distances[1]
    return parts


def _cross_entropy(logits_BTV: "Tensor", ids_BT: "Tensor") -> "Tensor":
    """Return the mean over positions of -log p(next token) + 1e-4 logsumexp^2."""
    logits = logits_BTV[:, :-1].float()
    total = logits.logsumexp(-1)
    chosen = logits.gather(-1, ids_BT[:, 1:, None])[..., 0]
    return (total - chosen + Z_LOSS * total**2).mean()
