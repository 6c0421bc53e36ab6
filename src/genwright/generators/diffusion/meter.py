"""Counting what networks are asked for, so that methods can be given equal budgets.

One unit is one draw through one network forward; one more if gradients reach its inputs, one more
if they reach its weights; times the network's parameters over those of a reference, the teacher.
Whether gradients flow is seen at the forward pass, which is when it is decided.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Meter:
    """Counts train units and evaluations.

    Args:
        reference: the network whose forward pass of one draw is one unit, or its number of
            parameters.

    Attributes:
        units: train units so far.
        evaluations: draws that went through a network so far, whatever its size.
    """

    def __init__(self, reference: nn.Module | int) -> None:
        self.parameters = reference if isinstance(reference, int) else size_of(reference)
        self.units = 0.0
        self.evaluations = 0

    @contextmanager
    def watching(self, *modules: nn.Module) -> Generator["Meter"]:
        """Count every forward pass of these modules while the block runs."""
        hooks = [module.register_forward_pre_hook(self._hook(module)) for module in modules]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def counted(
        self, denoise: Callable[..., Tensor], parameters: int | None = None
    ) -> Callable[..., Tensor]:
        """Return a denoiser that is no module, an exact one, counted as one.

        Args:
            denoise: whose first argument is x.
            parameters: what it counts as; the reference's by default.
        """

        def call(x: Tensor, *rest: Any) -> Tensor:
            self.add(len(x), _reach([x]), False, parameters)
            return denoise(x, *rest)

        return call

    def add(self, n: int, to_inputs: bool, to_weights: bool, parameters: int | None = None) -> None:
        """Count one forward pass of n draws."""
        share = 1.0 if parameters is None else parameters / self.parameters
        self.units += n * (1 + to_inputs + to_weights) * share
        self.evaluations += n

    def state_dict(self) -> dict[str, float]:
        """Return the counts, as a checkpoint keeps them."""
        return {"units": self.units, "evaluations": self.evaluations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the counts of a checkpoint."""
        self.units, self.evaluations = state["units"], state["evaluations"]

    def _hook(self, module: nn.Module) -> Callable[[nn.Module, Sequence[Any]], None]:
        """Return what counts one forward pass; weights are listed once, as it is called often."""
        weights, size = list(module.parameters()), size_of(module)

        def seen(called: nn.Module, inputs: Sequence[Any]) -> None:
            if called is not module:  # a copy, which took the hook along
                return
            tensors = [i for i in inputs if isinstance(i, Tensor)]
            to_weights = torch.is_grad_enabled() and any(w.requires_grad for w in weights)
            self.add(len(tensors[0]), _reach(tensors), to_weights, size)

        return seen


@contextmanager
def metered(meter: Meter | None, teacher: Any, *networks: nn.Module) -> Generator[Any]:
    """Count the forward passes of a teacher and of networks while the block runs.

    Args:
        meter: what counts; None counts nothing.
        teacher: a denoiser, or None; an exact one counts as the meter's reference.
        networks: modules.

    Yields:
        the teacher to call within the block.
    """
    if meter is None:
        yield teacher
        return
    inner = teacher
    while hasattr(inner, "denoiser"):
        inner = inner.denoiser
    net = getattr(inner, "net", None)
    watched = networks if net is None else (*networks, net)
    with meter.watching(*watched):
        yield teacher if teacher is None or net is not None else meter.counted(teacher)


def size_of(module: nn.Module) -> int:
    """Return how many parameters a module has, trained ones and frozen ones."""
    return sum(p.numel() for p in module.parameters())


def _reach(tensors: Sequence[Tensor]) -> bool:
    """Tell whether gradients reach one of the inputs."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
