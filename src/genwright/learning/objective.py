"""What the training of a language model makes small, apart from how it is trained.

`Supervised` has the loop: order of rows, optimizer, checkpoints, resuming, the card. A learner with
another loss on rows of texts is an `Objective` that hands itself to `Supervised.minimize`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from genwright.learning.batches import Example

Read = Callable[[Sequence[Example]], tuple[Any, Any]]
"""Examples -> loss of each completion token (float32[N], nats), its example's place (int64[N])."""


class Objective(Protocol):
    """How rows become examples, and the loss of a batch of them."""

    def encode(
        self, rows: Sequence[Mapping[str, Any]], tokenizer: Any
    ) -> tuple[Sequence[Any], Mapping[str, int]]:
        """Return the examples to train on, and how many rows were left out, by reason.

        Raises:
            InvalidArgument: rows that cannot be trained on.
        """
        ...

    def loss(self, read: Read, batch: Sequence[Any]) -> Any:
        """Return the loss of a batch of these examples: a scalar with a gradient."""
        ...
