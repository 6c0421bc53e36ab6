"""From logits to tokens: temperature, top-k, top-p, min-p, and inverse-CDF sampling.

Every draw of a token takes one uniform number and reads the inverse of the cumulative distribution
in the order of token ids, so the same number gives the same token however the work is batched.
The cumulative sums are float64 (over sums of blocks of 256 in float32): in float32 the rounding of
10^5 additions would move boundaries between tokens by more than the rounding of the logits does.

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
    weights = _weights(logits_BV, settings)
    return invert(weights, torch.tensor(uniforms, dtype=torch.float64, device=weights.device))


def _weights(logits_BV: Tensor, settings: list[Sampling]) -> Tensor:
    """Return float32 probabilities after temperature and filters; filtered ones do not sum to 1."""
    temperatures = [s.temperature or 1.0 for s in settings]
    if any(t != 1.0 for t in temperatures):
        scaled = logits_BV / torch.tensor(temperatures)[:, None]
    else:
        scaled = logits_BV
    weights = scaled.softmax(1)
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


def invert(weights_BV: Tensor, uniforms_B: Tensor) -> list[int]:
    """Return, row by row, the first id at which the cumulative weight exceeds u times the total.

    Blocks of ids are summed first and only the block that holds the answer is walked.
    """
    b, v = weights_BV.shape
    if v % BLOCK:
        weights_BV = torch.nn.functional.pad(weights_BV, (0, BLOCK - v % BLOCK))
    blocks = weights_BV.view(b, -1, BLOCK)
    edges = blocks.sum(2).cumsum(1, dtype=torch.float64)
    target = uniforms_B[:, None] * edges[:, -1:]
    # strictly above the target: an id of weight zero never is, and u = 0 takes the first above 0
    block = (edges <= target).sum(1, keepdim=True).clamp_(max=edges.shape[1] - 1)
    before = torch.where(block > 0, edges.gather(1, (block - 1).clamp(min=0)), 0.0)
    inner = blocks.gather(1, block[:, :, None].expand(-1, 1, BLOCK))[:, 0].double()
    sums = inner.cumsum(1)
    within = (sums <= target - before).sum(1)
    # rounding can put the target past the block's own sum: then its last possible id is meant
    last = BLOCK - 1 - (inner > 0).flip(1).to(torch.int8).argmax(1)
    ids = block[:, 0] * BLOCK + torch.minimum(within, last)
    return ids.tolist()


def totals(logits_BV: Tensor) -> Tensor:
    """Return logsumexp of every row: the largest logit less the log of its probability.

    Three times as fast on a processor as `torch.logsumexp`, which makes a pass of its own. A row
    without a finite entry gives NaN.
    """
    return logits_BV.amax(1) - logits_BV.softmax(1).amax(1).log()
