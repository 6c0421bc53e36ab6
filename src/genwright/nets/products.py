"""A weight matrix made ready for many products with few rows, as decoding needs them.

`product` chooses the fastest way for the device and the numbers:

- `Dense`: the plain product.
- `Packed`: on a processor, float32 or bfloat16 weights in the order in which oneDNN reads them. The
  results are those of `Dense` up to the order of additions. On one core that multiplies bfloat16 in
  hardware, for the layers of a 135M model: 17 ms became 9 at one row, 48 became 41 at 64; in
  float32, 28 became 20 and 187 became 76.
- `Int8`: 8-bit weights with a scale for each output, and inputs rounded to 8 bits with a scale for
  each row while they come (Dettmers et al. 2022, "LLM.int8()", arXiv:2208.07339, Section 2.1,
  vector-wise quantization; without its separate outlier columns). A scale of its own keeps a row
  from depending on the rows beside it.

Legend: N rows, C inputs, O outputs.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear

from genwright.core import InvalidArgument


class Product(Protocol):
    """x [N, C] -> x W^T [N, O], plus `add` [N, O] where it is given.

    `width` is C, and `bytes` what one product reads of the weights.
    """

    width: int
    bytes: int

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """Multiply."""
        ...


def product(weight: Tensor, *, int8: bool = False) -> Product:
    """Return the weights [O, C] ready to multiply.

    Args:
        weight: on the device, in float32 or bfloat16.
        int8: round them to 8 bits.

    Raises:
        InvalidArgument: `int8` where there is no kernel for it.
    """
    if int8:
        if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            raise InvalidArgument("dtype int8 runs on a processor with oneDNN; use bfloat16 here.")
        return Int8(weight)
    packs = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
    if packs and weight.dtype == torch.bfloat16:
        packs = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return Packed(weight) if packs else Dense(weight)


class Dense:
    """The plain product."""

    def __init__(self, weight: Tensor) -> None:
        self.width, self.bytes = weight.shape[1], weight.nbytes
        self._weight = weight
        self._turned = weight.t()

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """Multiply."""
        return linear(x, self._weight) if add is None else torch.addmm(add, x, self._turned)


class Packed:
    """Weights in oneDNN's own order."""

    def __init__(self, weight: Tensor) -> None:
        self.width, self.bytes = weight.shape[1], weight.nbytes
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """Multiply."""
        if add is None:
            return _pointwise(x, self._weight, None, "none", [], "")
        return _pointwise_binary(x, add, self._weight, None, "add")


class Int8:
    """8-bit weights, and inputs rounded to 8 bits row by row."""

    def __init__(self, weight: Tensor) -> None:
        self.width = weight.shape[1]
        weight = weight.float()
        scale = weight.abs().amax(1).clamp_(min=1e-12) / 127
        whole = (weight / scale[:, None]).round_().to(torch.int8)
        self.bytes = whole.nbytes + scale.nbytes
        self._weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self._scale = scale / 127
        self._zeros = torch.zeros(len(whole), dtype=torch.int32)

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """Multiply; x and the result are float32."""
        largest = x.abs().amax(1, True)
        # a row of zeros gives arbitrary integers here, and zeros again below; oneDNN is fast for
        # unsigned inputs alone, and torch at making signed ones: a flipped bit adds the 128
        whole = (x * (127 / largest)).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(128)
        found = _pointwise_int8(
            whole, 1.0, 128, self._weight, self._scale, self._zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return (
            found.mul_(largest) if add is None else torch.addcmul(add, found, largest.to(x.dtype))
        )


_pointwise = torch.ops.mkldnn._linear_pointwise.default
_pointwise_binary = torch.ops.mkldnn._linear_pointwise.binary
_pointwise_int8 = torch.ops.onednn.qlinear_pointwise.default
