"""A search over hypotheses: what decides which beginnings of a draw live on, round by round.

The engine owns their caches, copies and frees them, and runs the network over all of them in the
step it shares with every other draw (`beams.py`). A `Search` sees the logits of the next token of
all its hypotheses at once, and says which of their continuations are the next hypotheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from genwright.core import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Found:
    """A finished hypothesis.

    Args:
        tokens: ids, without an end token.
        text: what they say.
        logprob: in nats under the model, the end token included where one was written.
        finish: "stop", or "length" where the token limit cut it off.
        complete: whether it may end there.
        info: what else is told of it.
    """

    tokens: Sequence[int]
    text: str
    logprob: float
    finish: str
    complete: bool
    info: dict[str, Any] = field(default_factory=dict[str, Any])


class Front(Protocol):
    """The live hypotheses of one search; at first the empty one."""

    def expand(self, logits_BV: "Tensor", totals_B: "Tensor") -> list[tuple[int, int]]:
        """Choose the next hypotheses.

        Args:
            logits_BV: float32, a row for each of B live hypotheses, in order.
            totals_B: the logsumexp of each row.

        Returns:
            for each next hypothesis (index of the one it continues, token); none ends the search.
        """
        ...

    def found(self) -> Sequence[Found]:
        """Return what the search found so far, best first."""
        ...


class Search(Protocol):
    """Starts fronts."""

    @property
    def width(self) -> int:
        """The most hypotheses that live at once."""
        ...

    def begin(self, vocabulary: Vocabulary, limit: int) -> Front:
        """Return the front of one search, whose hypotheses have at most `limit` tokens."""
        ...
