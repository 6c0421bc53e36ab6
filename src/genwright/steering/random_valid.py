"""The control beside a steered result: draws from the constraint alone, without any model.

A constraint can make a score look good by itself (every string it allows may run, or parse, or even
be right). `RandomValid` draws each token uniformly among those the constraint allows, an end token
counting as one of them; what it scores is what the constraint alone gives.

Uniform over the *next token*, not over whole strings: short strings come more often than in a
uniform draw from the language.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from genwright.core import (
    CompiledConstraint,
    Constraint,
    Cost,
    InvalidArgument,
    Sample,
    Samples,
    Vocabulary,
    child_seed,
    method,
    uniform,
)


@method()
@dataclass(frozen=True, kw_only=True)
class RandomValid:
    """Texts made of tokens drawn uniformly among those that a constraint allows.

    Args:
        constraint: what is allowed.
        vocabulary: of the generator that is steered.
        max_tokens: a draw that is not complete by then is cut off; `info["finished"]` says so.

    Raises:
        InvalidArgument: max_tokens below 1.
    """

    constraint: Constraint
    vocabulary: Vocabulary
    max_tokens: int = 256

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InvalidArgument(
                f"RandomValid: max_tokens must be 1 or more, got {self.max_tokens}."
            )

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return n draws; the prompt plays no part. `info` holds `tokens` and `finished`."""
        compiled = self.constraint.compile(self.vocabulary)
        seeds = (child_seed(seed, k) for k in range(first, first + n))
        return Samples[str].of(self._draw(compiled, draw_seed) for draw_seed in seeds)

    def _draw(self, compiled: CompiledConstraint, seed: int) -> Sample[str]:
        began, state = perf_counter(), compiled.start()
        tokens: list[int] = []
        finished = False
        while not finished and len(tokens) < self.max_tokens:
            mask = state.mask().copy()
            mask[sorted(self.vocabulary.eos)] = False
            allowed = np.flatnonzero(mask)
            choice = int(uniform(seed, len(tokens)) * (len(allowed) + state.accepting))
            if choice == len(allowed):  # the end, or a dead end, where nothing is allowed
                finished = state.accepting
                break
            tokens.append(int(allowed[choice]))
            state.advance(tokens[-1])
        return Sample(
            self.vocabulary.decode(tokens).decode(errors="replace"),
            cost=Cost(draws=1, new_tokens=len(tokens), seconds=perf_counter() - began),
            info={"tokens": tokens, "finished": finished},
        )
