"""A language model as a system that a prompt controls: logits and gradients of many prompts.

The state is a list of tokens that cannot be changed, the control a prompt before it, and the output
the likeliest next token. Bhargava et al. 2023, arXiv:2310.04444, Section 3. Ours: an output counts
only where it is strictly likelier than every other token, asked again in a pass of its own in
float32.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genwright.core import InvalidArgument, Vocabulary, require

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.generators.language.local import LocalLM

BACKWARD = 3
"""Evaluations that a gradient counts for: a pass forward, and one back that takes twice as long."""


@dataclass(eq=False)
class ControlledModel:
    """A causal `transformers` model, its tokenizer, and the tokens that a control may use.

    Args:
        module: what is searched with; its weights are read only.
        exact: the same model in float32, which has the last word.
        vocabulary: of the tokenizer.
        allowed: the ids of controls, in ascending order.
        together: prompts a batch.
        spent: evaluations so far by the length of the prompt, gradients at three each.
    """

    module: Any
    exact: Any
    vocabulary: Vocabulary
    allowed: "Tensor"
    together: int = 64
    spent: Counter[int] = field(default_factory=Counter[int])

    @classmethod
    def of(
        cls,
        model: "LocalLM",
        *,
        allowed: Sequence[int] | None = None,
        together: int = 64,
    ) -> "ControlledModel":
        """Read a local model's weights: to search with in its own dtype, to decide in float32.

        Args:
            model: its template and chat settings have no part: states are token ids.
            allowed: ids of controls; every token that stands for bytes where it is left out, so
                that special tokens are no controls.
            together: prompts a batch.

        Raises:
            InvalidArgument: no id is allowed, or one that the model does not have.
        """
        torch = require("torch", extra="lm", needed_by="assurance.controlled")
        from genwright.generators.language.embedded import resolve
        from genwright.generators.language.loading import best_dtype, read
        from genwright.generators.language.tokens import vocabulary

        where = resolve(model.model)
        exact, tokenizer = read(where, "float32")
        dtype = best_dtype() if model.dtype == "auto" else model.dtype
        module = exact if dtype == "float32" else read(where, dtype)[0]
        words = vocabulary(
            tokenizer,
            exact.get_output_embeddings().weight.shape[0],
            frozenset({tokenizer.eos_token_id}),
            where,
        )
        if allowed is None:
            allowed = [i for i, token in enumerate(words.tokens) if token]
        ids = sorted(set(allowed))
        if not ids or ids[0] < 0 or ids[-1] >= len(words):
            raise InvalidArgument(
                f"ControlledModel: allowed must be ids in 0..{len(words) - 1}, at least one, got "
                f"{len(ids)} of them{f' from {ids[0]} to {ids[-1]}' if ids else ''}."
            )
        for net in (exact, module):
            net.requires_grad_(False)
        return cls(module, exact, words, torch.tensor(ids, device=exact.device), together)

    def logits(self, prompts: "Tensor", state: Sequence[int]) -> "Tensor":
        """Return float32[B, V] logits of the next token after each of [B, k] prompts and a state.

        Raises:
            InvalidArgument: neither a prompt nor a state.
        """
        import torch

        rows = torch.as_tensor(prompts, device=self.allowed.device).long()
        if rows.shape[1] + len(state) < 1:
            raise InvalidArgument("ControlledModel: needs a prompt or a state, got neither.")
        fixed = torch.tensor([list(state)], device=rows.device).long()
        ids = torch.cat([rows, fixed.expand(len(rows), -1)], 1)
        self.spent[rows.shape[1]] += len(rows)
        with torch.no_grad():
            parts = [_last(self.module, part) for part in ids.split(self.together)]
        return torch.cat(parts)

    def gradient(self, prompt: Sequence[int | None], state: Sequence[int], target: int) -> "Tensor":
        """Return float32[k, V]: how -log P(target) changes with each entry of one-hot tokens.

        `None` in the place of a token stands for the mean of all allowed tokens.
        """
        import torch

        table = self.module.get_input_embeddings().weight
        middle = table[self.allowed].mean(0)
        rows = [middle if token is None else table[token] for token in prompt]
        chosen = torch.stack(rows).detach().clone().requires_grad_()
        fixed = table[torch.tensor(list(state), device=table.device).long()].detach()
        found = self.module(
            inputs_embeds=torch.cat([chosen, fixed])[None], logits_to_keep=1, use_cache=False
        ).logits[0, -1]
        loss = -found.float().log_softmax(0)[target]
        (slope,) = torch.autograd.grad(loss, chosen)
        self.spent[len(prompt)] += BACKWARD
        return (slope @ table.T).float()

    def reaches(self, prompt: Sequence[int], state: Sequence[int], target: int) -> bool:
        """Tell whether the target is the likeliest next token, in a fresh pass in float32."""
        import torch

        ids = torch.tensor([[*prompt, *state]], device=self.allowed.device)
        with torch.no_grad():
            return bool(wins(_last(self.exact, ids), target)[0])

    def reaches_as_text(self, prompt: Sequence[int], state: Sequence[int], target: int) -> bool:
        """Tell whether it still does once prompt and state are written down and encoded anew."""
        try:
            text = self.vocabulary.decode([*prompt, *state]).decode()
        except UnicodeDecodeError:
            return False
        again = self.vocabulary.encode(text)
        return bool(again) and self.reaches(again, (), target)


def wins(logits: "Tensor", target: int) -> "Tensor":
    """Return bool[B]: whether the target's logit is above every other's."""
    others = logits.clone()
    others[:, target] = float("-inf")
    return logits[:, target] > others.amax(1)


def _last(module: Callable[..., Any], ids: "Tensor") -> "Tensor":
    return module(input_ids=ids, logits_to_keep=1, use_cache=False).logits[:, -1].float()
