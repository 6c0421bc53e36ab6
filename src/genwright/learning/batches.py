"""Prompt and completion rows as token batches, in an order that depends on the seed alone.

Rows of similar length share a batch, so that little is padded: each epoch is shuffled, cut into
windows of a few batches, and each window is sorted by length. Which rows step s trains on is a
function of (seed, s); a resumed training therefore continues with the very rows it would have had.

A batch of rows alike in length may hold rows of one kind alone; and where a loss is a mean over
tokens, a token of its short rows weighs more. Kinds that should weigh the same want rows as long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from genwright.core import InvalidArgument, child_seed

if TYPE_CHECKING:
    import torch

WINDOW = 8  # batches sorted by length together: more pads less, but makes batches more alike


@dataclass(frozen=True)
class Example:
    """One training row as token ids; the loss is on the completion alone."""

    prompt: list[int]
    completion: list[int]

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.completion)


def encode_rows(
    rows: Sequence[Mapping[str, Any]], tokenizer: Any, template: str, max_tokens: int
) -> tuple[list[Example], int]:
    """Encode rows with the fields `prompt` and `completion`; an end token closes each completion.

    Prompt and completion are encoded apart, as they are when the model is sampled from.

    Returns:
        the examples, and how many rows were left out because they are longer than `max_tokens`.

    Raises:
        InvalidArgument: no rows, a row without the two fields, or none short enough.
    """
    examples: list[Example] = []
    for i, row in enumerate(rows):
        if not isinstance(row.get("prompt"), str) or not isinstance(row.get("completion"), str):
            raise InvalidArgument(
                f"row {i}: a training row needs the texts 'prompt' and 'completion', "
                f"got the fields {sorted(row)}."
            )
        text = template.replace("{prompt}", row["prompt"])
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
        examples.append(Example(prompt, [*completion, tokenizer.eos_token_id]))
    kept = [e for e in examples if e.length <= max_tokens]
    if not kept:
        raise InvalidArgument(
            f"nothing to train on: {len(examples)} rows, none of at most {max_tokens} tokens."
        )
    return kept, len(examples) - len(kept)


def batch_at(step: int, examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Return the examples of one step, a function of (seed, step) alone."""
    size = min(size, len(examples))
    per_epoch = len(examples) // size  # a ragged last batch is left to the next shuffle
    epoch, place = divmod(step, per_epoch)
    rng = np.random.default_rng(child_seed(seed, "epoch", epoch))
    order = rng.permutation(len(examples))
    batches: list[list[int]] = []
    for start in range(0, per_epoch * size, size * WINDOW):
        window = order[start : min(start + size * WINDOW, per_epoch * size)]
        by_length = sorted(window.tolist(), key=lambda i: examples[i].length)
        batches += [by_length[i : i + size] for i in range(0, len(by_length), size)]
    mixed = rng.permutation(len(batches))  # or every window would end on its longest rows
    return [examples[i] for i in batches[mixed[place]]]


def collate(
    batch: Sequence[Example], pad: int
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]":
    """Pad a batch on the right.

    Returns:
        `ids_BT` (int64), `attend_BT` (int64, 1 where a token stands), `at` (int64[N, 2]: the row
        and position from which each of the N completion tokens is predicted), `targets` (int64[N]).
    """
    import torch

    longest = max(e.length for e in batch)
    ids_BT = torch.full((len(batch), longest), pad, dtype=torch.long)
    attend_BT = torch.zeros_like(ids_BT)
    at: list[tuple[int, int]] = []
    targets: list[int] = []
    for row, example in enumerate(batch):
        ids_BT[row, : example.length] = torch.tensor(example.prompt + example.completion)
        attend_BT[row, : example.length] = 1
        first = len(example.prompt) - 1
        at += [(row, first + i) for i in range(len(example.completion))]
        targets += example.completion
    return ids_BT, attend_BT, torch.tensor(at), torch.tensor(targets)
