"""The f-divergences of `rules.FDivergence`: a table of f and of the weight that its gradient takes.

Xu et al. 2025, "One-step Diffusion Models with f-Divergence Distribution Matching" (f-distill),
arXiv:2502.15681: h(r) = r^2 f''(r), with r = p / q of teacher and student.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Divergence:
    """D_f(p || q) = E_q f(p / q).

    Args:
        f: a formula in r that sympy and Python read alike, for the record and the tests.
        h: r^2 f''(r).
    """

    f: str
    h: Callable[[Tensor], Tensor]


DIVERGENCES: dict[str, Divergence] = {
    "rkl": Divergence("-log(r)", torch.ones_like),
    "softened": Divergence("(r + 1) * log(1/2 + 1/(2*r))", lambda r: 1 / (1 + r)),
    "js": Divergence("r*log(r) - (r + 1)*log((r + 1)/2)", lambda r: r / (1 + r)),
    "hellinger": Divergence("1 - sqrt(r)", lambda r: r.sqrt() / 4),
    "kl": Divergence("r*log(r)", lambda r: r),
    "jeffreys": Divergence("(r - 1)*log(r)", lambda r: 1 + r),
}
"""Divergences by name; an entry that is added here is a kind of `FDivergence`."""
