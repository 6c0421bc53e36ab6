"""Searching for the shortest prompt that makes a wanted token the likeliest one.

Choose `BackoffSearch` to show what a prompt can do with a model; `RandomSearch` spends the same
evaluations on random prompts, and is what every search should be held against. A search that fails
says "not found", never "unreachable".

Bhargava et al. 2023, arXiv:2310.04444, Section 5.1: no prompt; then greedy back-generation, which
puts before the prompt the one token that helps most; then, for longer prompts, greedy coordinate
gradient (Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language
Models", arXiv:2307.15043, Algorithm 1). Ours: every candidate that reaches the target ends the
search, not only the best of its round; `shortlist` tries only the tokens that the gradient at the
mean embedding favours, since a pass for each of some 50,000 tokens is too much for a processor;
swaps of a round are drawn without replacement.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genwright.assurance.controlled import ControlledModel, wins
from genwright.core import InvalidArgument, child_seed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search came to.

    Args:
        length: of the prompt that reaches the target, or None: not found.
        prompt: that prompt, or the one under which the target was likeliest.
        as_text: whether it still reaches the target once it is written down and encoded anew.
        logprob: of the target after `prompt`, in nats, in the numbers that the search computes in.
        spent: evaluations by length of prompt; a gradient counts for three.
    """

    length: int | None
    prompt: tuple[int, ...]
    as_text: bool
    logprob: float
    spent: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class BackoffSearch:
    """No prompt, then greedy back-generation, then greedy coordinate gradient.

    Args:
        greedy: lengths 1, 2, ... that are built token by token; the paper's are 1, 2, 3.
        gcg: longer lengths to optimise, ascending; the paper's are 4, 6, 8, 10.
        top_k: swaps that the gradient proposes for each position; the paper's is 128.
        batch: of them, how many are tried in an iteration; the paper's is 768.
        iterations: for each length; the paper's is 34.
        shortlist: tokens tried in a greedy step; None tries all, as the paper does.

    Raises:
        InvalidArgument: a number below 1, or lengths out of order.
    """

    greedy: Sequence[int] = (1, 2, 3)
    gcg: Sequence[int] = (4, 6, 8, 10)
    top_k: int = 128
    batch: int = 768
    iterations: int = 34
    shortlist: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "greedy", tuple(self.greedy))
        object.__setattr__(self, "gcg", tuple(self.gcg))
        sizes = (self.top_k, self.batch, self.iterations, self.shortlist or 1)
        if min(sizes) < 1 or self.shortlist == 0:
            raise InvalidArgument(
                "BackoffSearch: top_k, batch, iterations and shortlist must be 1 or more."
            )
        if self.greedy != tuple(range(1, len(self.greedy) + 1)):
            raise InvalidArgument(
                f"BackoffSearch: greedy must be 1, 2, ... without a gap, got {self.greedy}."
            )
        if list(self.gcg) != sorted(set(self.gcg)) or (self.gcg and self.gcg[0] < 1):
            raise InvalidArgument(f"BackoffSearch: gcg must ascend from 1 on, got {self.gcg}.")

    def find(
        self, model: ControlledModel, state: Sequence[int], target: int, *, seed: int
    ) -> Found:
        """Look for a prompt after which, before `state`, `target` is the likeliest next token."""
        trials = _Trials(model, state, target)
        rng = np.random.default_rng(child_seed(seed, "backoff"))
        if trials.try_all(_rows([()])):
            return trials.found()
        prompt: tuple[int, ...] = ()
        for _ in self.greedy:
            options = self._options(trials, prompt)
            if trials.try_all(_rows([(token, *prompt) for token in options])):
                return trials.found()
            prompt = trials.best[len(prompt) + 1][1]
        for length in self.gcg:
            random = rng.choice(model.allowed.tolist(), max(0, length - len(prompt)))
            prompt = (*random.tolist(), *prompt)[-length:]
            if trials.try_all(_rows([prompt])):
                return trials.found()
            for _ in range(self.iterations):
                swaps = self._swaps(trials, prompt, rng)
                if trials.try_all(_rows(swaps)):
                    return trials.found()
                prompt = trials.latest
            prompt = trials.best[length][1]
        return trials.found()

    def _options(self, trials: "_Trials", prompt: tuple[int, ...]) -> list[int]:
        """Return the tokens to try before a prompt, the most promising first."""
        model = trials.model
        if self.shortlist is None or self.shortlist >= len(model.allowed):
            return model.allowed.tolist()
        slope = model.gradient((None, *prompt), trials.state, trials.target)[0]
        order = slope[model.allowed].argsort()
        return model.allowed[order[: self.shortlist]].tolist()

    def _swaps(
        self, trials: "_Trials", prompt: tuple[int, ...], rng: np.random.Generator
    ) -> list[tuple[int, ...]]:
        """Return prompts that differ from this one in one token that the gradient favours."""
        allowed = trials.model.allowed
        slopes = trials.model.gradient(prompt, trials.state, trials.target)[:, allowed]
        top = allowed[slopes.topk(min(self.top_k, len(allowed)), largest=False).indices]
        pairs = [
            (place, token)
            for place, tokens in enumerate(top.tolist())
            for token in tokens
            if token != prompt[place]
        ]
        picked = rng.permutation(len(pairs))[: self.batch]
        return [_swapped(prompt, *pairs[i]) for i in picked]


@dataclass(frozen=True)
class RandomSearch:
    """Random prompts: of each length as many as `spent` says, the shortest first.

    Args:
        spent: evaluations by length, such as another search's `Found.spent`.
    """

    spent: Mapping[int, int]

    def find(
        self, model: ControlledModel, state: Sequence[int], target: int, *, seed: int
    ) -> Found:
        """Look for a prompt after which, before `state`, `target` is the likeliest next token."""
        trials = _Trials(model, state, target)
        rng = np.random.default_rng(child_seed(seed, "random"))
        allowed = np.array(model.allowed.tolist())
        for length, count in sorted(self.spent.items()):
            tokens = rng.choice(allowed, (1 if length == 0 else count, length))
            if trials.try_all(_rows(tokens.tolist())):
                break
        return trials.found()


class _Trials:
    """One search's trials: what was tried, what was best, what reached the target."""

    def __init__(self, model: ControlledModel, state: Sequence[int], target: int) -> None:
        if not 0 <= target < len(model.vocabulary):
            raise InvalidArgument(
                f"search: the target must be an id in 0..{len(model.vocabulary) - 1}, got {target}."
            )
        self.model, self.state, self.target = model, tuple(state), target
        self.best: dict[int, tuple[float, tuple[int, ...]]] = {}
        """By length: (logprob of the target, prompt)."""
        self.latest: tuple[int, ...] = ()
        """The best prompt of the last call."""
        self._before = model.spent.copy()
        self._reached: tuple[float, tuple[int, ...]] | None = None

    def try_all(self, prompts: "Tensor") -> bool:
        """Try prompts of one length; return True as soon as one reaches the target."""
        here = (float("-inf"), ())
        for part in prompts.split(self.model.together):
            logits = self.model.logits(part, self.state)
            scores = logits.log_softmax(1)[:, self.target]
            place = int(scores.argmax())
            here = max(here, (float(scores[place]), tuple(part[place].tolist())))
            for i in _places(wins(logits, self.target)):
                prompt = tuple(part[i].tolist())
                if self.model.reaches(prompt, self.state, self.target):
                    self._reached = float(scores[i]), prompt
                    return True
        self.latest = here[1]
        length = prompts.shape[1]
        self.best[length] = max(self.best.get(length, here), here)
        return False

    def found(self) -> Found:
        """Return what the search came to."""
        spent = self.model.spent - self._before
        if self._reached is None:
            logprob, prompt = max(self.best.values())
            return Found(length=None, prompt=prompt, as_text=False, logprob=logprob, spent=spent)
        logprob, prompt = self._reached
        as_text = self.model.reaches_as_text(prompt, self.state, self.target)
        return Found(
            length=len(prompt), prompt=prompt, as_text=as_text, logprob=logprob, spent=spent
        )


def _rows(prompts: Sequence[Sequence[int]]) -> "Tensor":
    import torch

    return torch.tensor([list(p) for p in prompts], dtype=torch.long).view(len(prompts), -1)


def _places(mask: "Tensor") -> Iterator[int]:
    return iter(mask.nonzero()[:, 0].tolist())


def _swapped(prompt: tuple[int, ...], place: int, token: int) -> tuple[int, ...]:
    return (*prompt[:place], token, *prompt[place + 1 :])
