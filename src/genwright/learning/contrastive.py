"""Comment-contrastive training: a program with its comments before the same program without them.

Choose it to fine-tune a small model of code on commented solutions where some steps carry a comment
and some do not: plain training then learns when people leave comments out, this one to write them.
Where every solution has all its comments there is little left to contrast: a program without any
is then unlike all that plain training reads. A step reads every program twice, with and without
comments, so it costs up to two steps of `Supervised`.

Chen et al. 2024, "Comments as Natural Logic Pivots: Improve Code Generation via Comment
Perspective" (MANGO), arXiv:2404.07549. With l_pos and l_neg the mean loss of a token of the
commented and of the stripped program after the same problem, the loss of a row is

    CE(commented) + max(0, margin + l_pos - l_neg),

without its second part where the stripped program has 10 tokens or fewer. Ours: CE is the mean over
the tokens of a batch, as in `Supervised`, with no share of the prompt's; the mean losses take in
the first token, and the end; comments are found by Python's tokenizer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument, method
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example, encode_rows
from genwright.learning.descent import Watch
from genwright.learning.objective import Read
from genwright.learning.supervised import Supervised
from genwright.steering.comments import comments, strip_comments


@dataclass(frozen=True)
class Contrast(Example):
    """A commented program as `completion`, and the same program without comments."""

    stripped: list[int]


@method(paper="arXiv:2404.07549")
@dataclass(frozen=True, kw_only=True)
class CommentContrastive:
    """Train on rows of `prompt` and `completion` (a commented Python program).

    Args:
        training: how: steps, rates, adapter, folder, template. Rows longer than its `max_tokens`
            are left out whole, so that no program is cut and its twin is not.
        margin: nats a token by which the commented program is to be likelier; the paper's is 0.1.
        least: tokens of a stripped program up to which there is no contrast; the paper's is 10.

    Raises:
        InvalidArgument: a number below 0.
    """

    training: Supervised
    margin: float = 0.1
    least: int = 10

    def __post_init__(self) -> None:
        if self.margin < 0 or self.least < 0:
            raise InvalidArgument(
                "CommentContrastive: margin and least must be 0 or more, got "
                f"{self.margin} and {self.least}."
            )

    def fit(
        self,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> LocalLM:
        """Train from `generator`'s weights; see `Supervised.fit`.

        `watch` is told how many rows were left out because they were too long, had no comment, or
        were no Python.

        Raises:
            InvalidArgument: rows that cannot be trained on, or no program with a comment.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch, transformers or peft is not installed.
        """
        return self.training.minimize(self, generator, data, seed=seed, watch=watch)

    def encode(
        self, rows: Sequence[Mapping[str, Any]], tokenizer: Any
    ) -> tuple[list[Contrast], dict[str, int]]:
        """Encode programs with and without their comments."""
        paired, left_out = pairs(rows)
        if not paired:
            raise InvalidArgument(
                f"CommentContrastive: none of {len(rows)} completions is a Python program with a "
                "comment; train on them with Supervised."
            )
        template, longest = self.training.template, self.training.max_tokens
        found: list[Contrast] = []
        for row in paired:
            twins = [row, {**row, "completion": row["stripped"]}]
            whole, _ = encode_rows(twins, tokenizer, template, 10**9)
            if max(example.length for example in whole) <= longest:
                found.append(Contrast(whole[0].prompt, whole[0].completion, whole[1].completion))
        if not found:
            raise InvalidArgument(
                f"nothing to train on: {len(paired)} commented programs, none of at most {longest} "
                "tokens with its prompt."
            )
        return found, left_out | {"rows left out": len(paired) - len(found)}

    def loss(self, read: Read, batch: Sequence[Contrast]) -> Any:
        """Return the loss of a batch: one pass over its programs and their stripped twins."""
        import torch

        stripped = [Example(pair.prompt, pair.stripped) for pair in batch]
        nats_N, row_N = read([*batch, *stripped])
        rows = 2 * len(batch)
        sums = nats_N.new_zeros(rows).index_add(0, row_N, nats_N)
        means = sums / torch.bincount(row_N, minlength=rows)
        l_pos, l_neg = means[: len(batch)], means[len(batch) :]
        lengths = torch.tensor([len(pair.stripped) - 1 for pair in batch], device=means.device)
        hinges = comment_hinge(l_pos, l_neg, lengths, margin=self.margin, least=self.least)
        return nats_N[row_N < len(batch)].mean() + hinges.mean()


def comment_hinge(l_pos: Any, l_neg: Any, lengths: Any, *, margin: float, least: int) -> Any:
    """Return what each row's contrast adds to its loss.

    Args:
        l_pos: mean loss of a token of the commented program, float[B], nats.
        l_neg: the same of the stripped program.
        lengths: tokens of the stripped program, its end not counted, int[B].
        margin: nats a token; from there on a row adds nothing, and has no gradient.
        least: rows with so many tokens or fewer add nothing.

    Returns:
        float[B], 0 or more.
    """
    return (margin + l_pos - l_neg).clamp(min=0) * (lengths > least)


def pairs(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Add `stripped`, the completion without comments, to the rows that have any.

    Returns:
        the rows, and how many were left out, by reason.

    Raises:
        InvalidArgument: a row without the texts `prompt` and `completion`.
    """
    found: list[dict[str, Any]] = []
    left_out = {"rows without comments": 0, "rows that are no Python": 0}
    for i, row in enumerate(rows):
        code = row.get("completion")
        if not isinstance(code, str) or not isinstance(row.get("prompt"), str):
            raise InvalidArgument(
                f"row {i}: a training row needs the texts 'prompt' and 'completion', "
                f"got the fields {sorted(row)}."
            )
        try:
            commented = bool(comments(code))
        except InvalidArgument:
            left_out["rows that are no Python"] += 1
            continue
        if commented:
            found.append({**row, "stripped": strip_comments(code)})
        else:
            left_out["rows without comments"] += 1
    return found, left_out
