"""From logits to tokens: temperature, top-k, top-p, min-p, and a race that one number decides.

Every draw of a token takes one uniform number, which is hashed with each id to an exponentially
distributed time E; the id with the smallest E / weight wins. That is the Gumbel-max rule (Gumbel
1954; Maddison et al. 2014, "A* Sampling", arXiv:1411.0030) in another scale. First blocks of ids
race, by their sums, then the ids of the block that won: two small races instead of one long one.

Ours: a race, where the inverse of the cumulative distribution would do. Logits that are computed in
another batch differ in their last digits. A boundary between two ids of the cumulative distribution
then moves by as much as all weights before it have changed, and there are as many boundaries as
ids; a race changes its winner only if the first two arrive almost together. The same number gives
the same token far more often.

Top-p is nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751); min-p is Nguyen et al. 2024,
arXiv:2407.01082. Filters apply in the order top-k, top-p, min-p, after temperature, each to what
the one before it left.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from genwright.core import InvalidArgument

BLOCK = 256

# Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators", OOPSLA, as int64
_STEP, _MIX_1, _MIX_2 = (
    c - (1 << 64) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)

Mode = Literal["mask", "asap", "exact", "survey"]
"""How draws are held to their constraints; `survey` draws nothing (`walks.py`)."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the tokens of a draw are chosen.

    Args:
        temperature: divides the logits; 0 takes the likeliest token (the lowest id of equals).
        top_p: keep the likeliest tokens that together hold this mass, in (0, 1].
        top_k: keep this many of the likeliest tokens; 0 keeps all.
        min_p: keep tokens at least this fraction as likely as the likeliest, in [0, 1).
        max_new_tokens: the most tokens of a draw, at least 1.
        stop: a draw ends before the first of these that its text comes to hold.
        logprobs: None, or how many likeliest alternatives to report for every token. With it every
            token is scored, forced ones at the end of a draw included, which may take one more
            evaluation of the network.
        mode: how constraints act. `"mask"` forbids tokens as it goes; `"exact"` draws from the
            model conditioned on the constraints; `"asap"` approaches that from draw to draw. The
            last two are about the model's whole distribution over strings with an end, so they
            take a temperature above 0 and none of the filters, stop texts and alternatives.

    Raises:
        InvalidArgument: a value out of its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    mode: Mode = "mask"

    def __post_init__(self) -> None:
        ranges = (
            ("temperature", "0 or more", 0 <= self.temperature < math.inf),
            ("top_p", "above 0 and at most 1", 0 < self.top_p <= 1),
            ("top_k", "0 (off) or more", self.top_k >= 0),
            ("min_p", "at least 0 and below 1", 0 <= self.min_p < 1),
            ("max_new_tokens", "1 or more", self.max_new_tokens >= 1),
            ("logprobs", "None, 0 or more", self.logprobs is None or self.logprobs >= 0),
        )
        for name, allowed, fits in ranges:
            if not fits:
                raise InvalidArgument(f"{name} must be {allowed}, got {getattr(self, name)}.")
        if isinstance(self.stop, str) or any(not text for text in self.stop):
            raise InvalidArgument(f"stop must be a tuple of non-empty texts, got {self.stop!r}.")
        if self.mode not in get_args(Mode):
            allowed = ", ".join(get_args(Mode)[:3])
            raise InvalidArgument(f"mode must be one of {allowed}, got {self.mode!r}.")
        if self.mode != "mask":
            self._check_whole()

    def _check_whole(self) -> None:
        """Refuse what leaves no distribution over whole strings to be conditioned."""
        wanted = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "stop": ()}
        for name, value in wanted.items():
            if getattr(self, name) != value:
                raise InvalidArgument(
                    f"mode {self.mode!r} conditions the whole distribution of the model: {name} "
                    f"must be {value}, got {getattr(self, name)}. Leave it out, or use mode='mask'."
                )
        if self.temperature == 0:
            raise InvalidArgument(
                f"mode {self.mode!r} needs a temperature above 0: at 0 the model has one string, "
                "which is allowed or not. Use mode='mask' for the likeliest allowed token."
            )
        if self.logprobs:
            raise InvalidArgument(
                f"mode {self.mode!r} keeps the allowed tokens only: logprobs must be None or 0, "
                f"got {self.logprobs}."
            )


def choose(logits_BV: Tensor, settings: list[Sampling], uniforms: list[float]) -> list[int]:
    """Choose one token a row.

    Args:
        logits_BV: float32, masked entries at -inf; each row has at least one finite entry.
        settings: one a row.
        uniforms: one number in [0, 1) a row.
    """
    if all(s.temperature == 0 for s in settings):
        return logits_BV.argmax(1).tolist()
    weights = _weights(logits_BV, settings)
    return race(weights, torch.tensor(uniforms, dtype=torch.float64, device=weights.device))


def _weights(logits_BV: Tensor, settings: list[Sampling]) -> Tensor:
    """Return float32 probabilities after temperature and filters; filtered ones do not sum to 1."""
    temperatures = [s.temperature or 1.0 for s in settings]
    if any(t != 1.0 for t in temperatures):  # in place: new memory costs more than the arithmetic
        weights = logits_BV / torch.tensor(temperatures)[:, None]
        torch.softmax(weights, 1, out=weights)
    else:
        weights = logits_BV.softmax(1)
    greedy = [i for i, s in enumerate(settings) if s.temperature == 0]
    if greedy:
        best = logits_BV[greedy].argmax(1)
        weights[greedy] = 0.0
        weights[greedy, best] = 1.0
    groups: dict[tuple[int, float], list[int]] = {}
    for i, s in enumerate(settings):
        if s.temperature and (s.top_k or s.top_p < 1):
            groups.setdefault((s.top_k, s.top_p), []).append(i)
    for (top_k, top_p), rows in groups.items():
        whole = len(rows) == len(settings)
        kept = _likeliest(weights if whole else weights[rows], top_k, top_p)
        weights = kept if whole else weights.index_copy_(0, torch.tensor(rows), kept)
    if any(s.min_p for s in settings):
        floors = torch.tensor([s.min_p if s.temperature else 0.0 for s in settings])
        floors *= weights.max(1).values
        weights = torch.where(weights < floors[:, None], 0.0, weights)
    return weights


def _likeliest(weights_BV: Tensor, top_k: int, top_p: float) -> Tensor:
    """Return the weights with zeros where top-k and top-p leave out; of equals, lower ids stay.

    Only what can possibly stay is sorted. For top-p that is what weighs at least (1 - p) / V of the
    total: everything lighter weighs less than 1 - p taken together.
    """
    width = weights_BV.shape[1]
    totals = weights_BV.sum(1, dtype=torch.float64)
    if top_k:
        floors = weights_BV.topk(min(top_k, width)).values[:, -1]
    else:
        floors = (totals * (0.5 * (1 - top_p) / width)).float()  # half: room for rounding
    possible = weights_BV >= floors[:, None]
    kept = torch.zeros_like(weights_BV)
    for row, weights in enumerate(weights_BV):
        ids = possible[row].nonzero()[:, 0]
        values, order = weights[ids].sort(descending=True, stable=True)
        values = values[: top_k or None]
        if top_p < 1:
            mass = values.double().cumsum(0)
            total = mass[-1] if top_k else totals[row]
            values = values[: int((mass < top_p * total).sum()) + 1]
        kept[row, ids[order[: len(values)]]] = values
    return kept


def race(weights_BV: Tensor, uniforms_B: Tensor) -> list[int]:
    """Return, row by row, the id that wins the race; its chance is in proportion to its weight.

    Args:
        weights_BV: float32, 0 or more, in each row one above 0.
        uniforms_B: float64 in [0, 1); all 53 bits are used.
    """
    b, v = weights_BV.shape
    if v % BLOCK:
        weights_BV = torch.nn.functional.pad(weights_BV, (0, BLOCK - v % BLOCK))
    blocks = weights_BV.view(b, -1, BLOCK)
    keys = (uniforms_B * 2.0**53).long()[:, None]
    names = torch.arange(blocks.shape[1], device=keys.device)
    block = _first(blocks.sum(2), keys, -1 - names)
    ids = block * BLOCK + torch.arange(BLOCK, device=keys.device)
    inner = blocks.gather(1, block[:, :, None].expand(-1, 1, BLOCK))[:, 0]
    return (block * BLOCK + _first(inner, keys, ids)).flatten().tolist()


def _first(weights: Tensor, keys: Tensor, names: Tensor) -> Tensor:
    """Return [B, 1], the column with the smallest time; columns of weight 0 never arrive."""
    times = -_numbers(keys, names).log() / weights
    return times.argmin(1, keepdim=True)


def _numbers(keys: Tensor, names: Tensor) -> Tensor:
    """Return float64 numbers in (0, 1), one for every key and name: splitmix64 of both."""
    z = keys + (names + 1) * _STEP
    z = (z ^ _shifted(z, 30)) * _MIX_1
    z = (z ^ _shifted(z, 27)) * _MIX_2
    z = z ^ _shifted(z, 31)
    return (_shifted(z, 12).double() + 0.5) * 2.0**-52  # 52 bits: a half more is still exact


def _shifted(z: Tensor, by: int) -> Tensor:
    """Shift to the right, filling with zeros."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def totals(logits_BV: Tensor) -> Tensor:
    """Return logsumexp of every row: the largest logit less the log of its probability.

    Three times as fast on a processor as `torch.logsumexp`, which makes a pass of its own. A row
    without a finite entry gives NaN.
    """
    return logits_BV.amax(1) - logits_BV.softmax(1).amax(1).log()
