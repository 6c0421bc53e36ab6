"""Linear maps from the keys and values of a small transformer to those of a large one.

Keys are taken before the rotary embedding, straight from the layers' `k_proj`; the large model
rotates them itself (and norms them, where it has a key norm). `recorded` and `replaced` do that for
any `transformers` model whose attention has a `k_proj` and a `v_proj`.

Horton et al. 2024, "KV Prediction for Improved Time to First Token", arXiv:2410.08391, Section 3:
K_l = W_K,l concat_heads(K^A_j(l)) + b_K,l, and likewise V. Ours: keys and values are both predicted
from keys and values together (`cross`), which tell more than either; the first positions may keep
the base's own (`replaced`); the maps of all layers stand in one tensor, as one batched product.

Legend: L layers of the base, A of the auxiliary model; I and O numbers in the keys of one token and
layer there (key heads times head size); N tokens; B sequences of T tokens; K key heads, D head
size.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genwright.core import InvalidArgument


def spread(base: int, auxiliary: int) -> tuple[int, ...]:
    """Return the auxiliary layer for each base layer: evenly, the first ones serving one more.

    28 base layers from 20: the first eight serve two each, the rest one.
    """
    least, more = divmod(base, auxiliary)
    return tuple(j for j in range(auxiliary) for _ in range(least + (j < more)))


def nearest_kept(base: int, kept: Sequence[int]) -> tuple[int, ...]:
    """Return for each base layer the last of the kept layers that does not come after it.

    Args:
        base: layers of the base.
        kept: those of them that the auxiliary model has, in order; the first is 0.
    """
    return tuple(sum(k <= layer for k in kept) - 1 for layer in range(base))


class KVMaps(nn.Module):
    """A linear map for the keys and one for the values of every base layer.

    Args:
        layer_map: for each base layer the auxiliary layer it is predicted from; never falling.
        auxiliary: how many layers there are to predict from.
        inputs: I.
        outputs: O.
        cross: predict from keys and values together; False is the paper's way, each from its own.

    Raises:
        InvalidArgument: a layer that the auxiliary model has not, or a falling map.
    """

    def __init__(
        self,
        layer_map: Sequence[int],
        *,
        auxiliary: int,
        inputs: int,
        outputs: int,
        cross: bool = True,
    ) -> None:
        super().__init__()
        layers = tuple(layer_map)
        if not layers or min(layers) < 0 or max(layers) >= auxiliary:
            raise InvalidArgument(
                f"KVMaps: the layer map must hold numbers from 0 to {auxiliary - 1} (the auxiliary "
                f"model has {auxiliary} layers), one for each base layer, got {layers}."
            )
        if list(layers) != sorted(layers):
            raise InvalidArgument(f"KVMaps: the layer map must never fall, got {layers}.")
        self.layer_map, self.cross = layers, cross
        wide = 2 * inputs if cross else inputs
        self.keys = nn.Parameter(torch.zeros(len(layers), wide, outputs))
        self.key_bias = nn.Parameter(torch.zeros(len(layers), 1, outputs))
        self.values = nn.Parameter(torch.zeros(len(layers), wide, outputs))
        self.value_bias = nn.Parameter(torch.zeros(len(layers), 1, outputs))
        if inputs == outputs:
            with torch.no_grad():
                self.keys[:, :inputs] += torch.eye(inputs)
                self.values[:, -inputs:] += torch.eye(inputs)

    def forward(self, keys_ANI: Tensor, values_ANI: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predicted keys and values, [L, N, O] each."""
        from_keys, from_values = self.inputs(keys_ANI, values_ANI)
        keys = torch.baddbmm(self.key_bias, from_keys, self.keys)
        values = torch.baddbmm(self.value_bias, from_values, self.values)
        return keys, values

    def inputs(self, keys_ANI: Tensor, values_ANI: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each base layer's keys and values are predicted from, [L, N, I or 2 I]."""
        picked = list(self.layer_map)
        if not self.cross:
            return keys_ANI[picked], values_ANI[picked]
        both = torch.cat([keys_ANI, values_ANI], 2)[picked]
        return both, both


def rotate(x: Tensor, positions: Tensor, frequencies: Tensor) -> Tensor:
    """Apply the rotary embedding to keys, or take it off with the positions negated.

    Su et al. 2021, arXiv:2104.09864, in the layout of `transformers`: the halves of a head turn
    together.

    Args:
        x: [..., N, K, D].
        positions: long[N].
        frequencies: float32[D / 2], radians a position.
    """
    angles = positions[:, None].float() * frequencies
    cos, sin = torch.cat([angles, angles], 1).cos(), torch.cat([-angles, angles], 1).sin()
    exact = x.float()
    turned = exact.roll(x.shape[-1] // 2, -1)
    return (exact * cos[:, None]).addcmul_(turned, sin[:, None]).to(x.dtype)


def projections(model: Any) -> list[tuple[nn.Linear, nn.Linear]]:
    """Return (k_proj, v_proj) of every layer.

    Raises:
        InvalidArgument: a model whose attention has no such modules.
    """
    try:
        return [
            (layer.self_attn.k_proj, layer.self_attn.v_proj) for layer in model.base_model.layers
        ]
    except AttributeError:
        raise InvalidArgument(
            f"{type(model).__name__} has no k_proj and v_proj in its attention; KV prediction "
            "needs a model of Llama's shape."
        ) from None


class Recorded:
    """What the projections gave in the last forward pass: a tensor [B, T, I] for each layer."""

    def __init__(self, layers: int) -> None:
        self.keys: list[Any] = [None] * layers
        self.values: list[Any] = [None] * layers

    def stacked(self, *, after: int = 0) -> tuple[Tensor, Tensor]:
        """Return keys and values, [layers, B (T - after), I] each, without the first positions."""
        keys, values = torch.stack(self.keys), torch.stack(self.values)
        return keys[:, :, after:].flatten(1, 2), values[:, :, after:].flatten(1, 2)


@contextmanager
def recorded(model: Any) -> Iterator[Recorded]:
    """Note the keys (before rotation) and values of every forward pass inside the block."""
    pairs = projections(model)
    found = Recorded(len(pairs))

    def note(into: list[Any], layer: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            into[layer] = output

        return hook

    with ExitStack() as stack:
        for layer, (k_proj, v_proj) in enumerate(pairs):
            stack.enter_context(_hooked(k_proj, note(found.keys, layer)))
            stack.enter_context(_hooked(v_proj, note(found.values, layer)))
        yield found


@contextmanager
def replaced(model: Any, keys_LNO: Tensor, values_LNO: Tensor, *, sinks: int = 0) -> Iterator[None]:
    """Put given keys (before rotation) and values in the place of a model's own.

    Args:
        model: whose forward passes inside the block then attend to them at all N = B T positions.
        keys_LNO: gradients reach them.
        values_LNO: likewise.
        sinks: first positions of every sequence that keep the model's own, as it would compute them
            without any replacement, since they attend to nothing else.
    """

    def put(given_NO: Tensor) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            given_BTO = given_NO.view_as(output).to(output.dtype)
            return torch.cat([output[:, :sinks], given_BTO[:, sinks:]], 1) if sinks else given_BTO

        return hook

    with ExitStack() as stack:
        for layer, (k_proj, v_proj) in enumerate(projections(model)):
            stack.enter_context(_hooked(k_proj, put(keys_LNO[layer])))
            stack.enter_context(_hooked(v_proj, put(values_LNO[layer])))
        yield


@contextmanager
def _hooked(module: nn.Module, hook: Any) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
