"""A policy and its value on solutions in steps: rows as token ids, and the loss of both together.

Chen et al. 2024, "AlphaMath Almost Zero", arXiv:2405.03553, Section 3.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument
from genwright.learning.batches import Example, collate


@dataclass(frozen=True)
class Solution(Example):
    """One solution as token ids.

    Args:
        prompt: of the question.
        completion: of the steps; the end token closes a right solution.
        right: whether its tokens are learned.
        ends: index within the completion of the last token of each step.
        values: Q of each step.
    """

    right: bool = True
    ends: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


def policy_value_loss(
    body: Any, output: Any, head: Any, batch: Sequence[Example], pad: int, weight: float
) -> Any:
    """Return cross-entropy of right solutions + weight * squared error of the steps' values.

    Args:
        body: makes hidden states.
        output: makes logits of them.
        head: makes values of them.
        batch: solutions; their order is that of the rows.
        pad: token id.
        weight: of the value's loss.
    """
    import torch
    import torch.nn.functional as F

    device = output.weight.device
    solutions = [row for row in batch if isinstance(row, Solution)]
    ids_BT, attend_BT, at, targets = (t.to(device) for t in collate(solutions, pad))
    hidden_BTD = body(input_ids=ids_BT, attention_mask=attend_BT).last_hidden_state
    right = torch.tensor([row.right for row in solutions], device=device)[at[:, 0]]
    loss = hidden_BTD.new_zeros(())
    if right.any():
        at, targets = at[right], targets[right]
        loss = F.cross_entropy(output(hidden_BTD[at[:, 0], at[:, 1]]).float(), targets)
    rows = [(i, len(s.prompt) + end) for i, s in enumerate(solutions) for end in s.ends]
    if rows:
        where = torch.tensor(rows, device=device)
        wanted = torch.tensor([q for s in solutions for q in s.values], device=device)
        values = head(hidden_BTD[where[:, 0], where[:, 1]])
        loss = loss + weight * F.mse_loss(values.float(), wanted)
    return loss


def encode_solution(row: Mapping[str, Any], tokenizer: Any, template: str) -> Solution:
    """Encode a row; the completion is one text, so that tokens are those of a drawn solution.

    Raises:
        InvalidArgument: a field is missing or of another length.
    """
    steps, values = row.get("steps"), row.get("values")
    if not isinstance(row.get("prompt"), str) or not steps or len(values or ()) != len(steps):
        raise InvalidArgument(
            "a solution needs the text 'prompt' and as many 'values' as 'steps', one at least, "
            f"got the fields {sorted(row)}."
        )
    prompt = tokenizer(template.replace("{prompt}", row["prompt"]), add_special_tokens=False)
    found = tokenizer("".join(steps), add_special_tokens=False, return_offsets_mapping=True)
    lasts, end = list[int](), 0
    for step in steps:
        end += len(step)
        lasts.append(max(i for i, (a, _) in enumerate(found["offset_mapping"]) if a < end))
    right = bool(row.get("right"))
    closing = [tokenizer.eos_token_id] if right else []
    return Solution(
        prompt["input_ids"],
        [*found["input_ids"], *closing],
        right,
        tuple(lasts),
        tuple(float(v) for v in values or ()),
    )
