"""The laws of shapers: what changes the odds of the next token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import LogitShaper, ShaperState, Vocabulary
from genwright.testing.contracts.sentences import law


@dataclass(frozen=True, kw_only=True)
class ShaperCase:
    """A shaper, and a text that a draw may write.

    Args:
        make: returns the shaper.
        vocabulary: of the model whose draws it shapes.
        prompt: token ids.
        tokens: of the draw, two at least.
    """

    make: Callable[[], LogitShaper]
    vocabulary: Vocabulary
    prompt: Sequence[int]
    tokens: Sequence[int]

    def logits(self, seed: int = 0) -> NDArray[np.float32]:
        """Return some row of logits."""
        rng = np.random.default_rng(seed)
        return rng.normal(0, 2, len(self.vocabulary)).astype(np.float32)

    def start(self) -> ShaperState:
        """Return the state of a draw that has written nothing."""
        return self.make().start(self.vocabulary, self.prompt)


def rows_keep_their_shape_and_stay_numbers(case: ShaperCase) -> None:
    """float32[V], without NaN, and something left to choose."""
    shaped = case.start().shape(case.logits())
    law(
        shaped.shape == (len(case.vocabulary),) and shaped.dtype == np.float32,
        f"shape must return float32[{len(case.vocabulary)}], got {shaped.dtype}{shaped.shape}.",
    )
    law(not np.isnan(shaped).any(), "a shaped row holds NaN.")
    law(bool(np.isfinite(shaped).any()), "a shaped row leaves nothing to choose.")


def the_input_is_left_as_it_was(case: ShaperCase) -> None:
    """The engine scores with it."""
    row = case.logits()
    case.start().shape(row)
    law(np.array_equal(row, case.logits()), "shape wrote to its input.")


def the_odds_are_changed(case: ShaperCase) -> None:
    """A shaper that does nothing keeps every other law."""
    shaped, row = case.start().shape(case.logits()), case.logits()
    law(float(np.ptp(shaped - row)) > 1e-4, "shape left all odds as they were.")


def asking_twice_gives_the_same(case: ShaperCase) -> None:
    """Only `advance` moves a state."""
    state = case.start()
    first = state.shape(case.logits()).copy()
    law(np.allclose(state.shape(case.logits()), first, atol=1e-5), "asking again changed a row.")


def what_was_written_counts_not_when_it_was_asked(case: ShaperCase) -> None:
    """A draw that is asked after every token, and one that is asked at the end, agree."""
    law(len(case.tokens) > 1, "the case must name two tokens at least.")
    asked, silent = case.start(), case.start()
    for token in case.tokens:
        asked.shape(case.logits(1))
        asked.advance(token)
        silent.advance(token)
    rows = [state.shape(case.logits()) for state in (asked, silent)]
    law(np.allclose(*rows, atol=1e-3), "rows depend on when they were asked for.")


def draws_do_not_share_a_state(case: ShaperCase) -> None:
    """Company changes no draw."""
    shaper = case.make()
    alone = shaper.start(case.vocabulary, case.prompt).shape(case.logits()).copy()
    one, other = (shaper.start(case.vocabulary, case.prompt) for _ in range(2))
    for token in case.tokens:
        other.advance(token)
    other.shape(case.logits())
    law(np.allclose(one.shape(case.logits()), alone, atol=1e-3), "one draw moved another.")


LAWS: tuple[Callable[[Any], None], ...] = (
    rows_keep_their_shape_and_stay_numbers,
    the_input_is_left_as_it_was,
    the_odds_are_changed,
    asking_twice_gives_the_same,
    what_was_written_counts_not_when_it_was_asked,
    draws_do_not_share_a_state,
)
