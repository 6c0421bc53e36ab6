"""Counting every network of a distillation, whether it is a module or an exact denoiser."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import nn

from genwright.generators.diffusion.meter import Meter


@contextmanager
def metered(meter: Meter | None, teacher: Any, *networks: nn.Module) -> Generator[Any]:
    """Count the forward passes of a teacher and of networks while the block runs.

    Args:
        meter: what counts; None counts nothing.
        teacher: a denoiser; an exact one counts as the meter's reference.
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
        yield teacher if net is not None else meter.counted(teacher)
