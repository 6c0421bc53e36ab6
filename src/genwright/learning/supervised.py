"""Supervised fine-tuning of a causal language model, by LoRA or in full.

Choose it when there are prompts with known good completions: synthesized, or accepted by a
verifier. The loss is the mean negative log-likelihood (nats) of the completion's tokens.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, Section 4.1:
`h = W x + (alpha / rank) B A x` with W frozen, A Gaussian, B zero at the start; through `peft`.

Ours: adapters on all linear layers of a block, not on the attention alone; frozen weights in
bfloat16 where the processor computes in it; logits only where there is a loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, child_seed, method, require
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example, batch_at, encode_rows
from genwright.learning.causal import (
    load_for_training,
    save_trained,
    token_losses,
    training_device,
)
from genwright.learning.descent import Watch
from genwright.learning.objective import Objective, Read
from genwright.learning.tuning import Tuning, tune


@method(paper="arXiv:2106.09685")
@dataclass(frozen=True, kw_only=True)
class Supervised:
    """Train on rows of `prompt` and `completion`, and return a new `LocalLM`.

    Args:
        folder: where the new model and its checkpoint go.
        steps: optimizer steps.
        batch: rows a step.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        rank: LoRA rank; 0 trains all weights.
        alpha: LoRA scale; the update is multiplied by alpha / rank.
        template: how a prompt becomes the model's input; `{prompt}` stands for it. The new model
            keeps it and drops the old one's system prompt: a trained model needs no instructions.
        max_tokens: rows with more tokens (prompt and completion) are left out, and counted.
        save_every: steps between checkpoints; a killed training resumes from the last one.
        tokens: whose embeddings a LoRA training trains too: those of new tokens, which no adapter
            of a linear layer could teach (`generators.language.added_tokens`).
    """

    folder: str
    steps: int = 100
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: int = 8
    rank: int = 16
    alpha: int = 32
    template: str = "{prompt}\n"
    max_tokens: int = 256
    save_every: int = 25
    tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))  # a task file gives a list
        for name in ("steps", "batch", "max_tokens", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"Supervised: {name} must be 1 or more.")
        if not self.learning_rate > 0 or self.rank < 0:
            raise InvalidArgument("Supervised: learning_rate must be above 0, rank 0 or more.")
        if "{prompt}" not in self.template:
            raise InvalidArgument("Supervised: template must contain {prompt}.")

    def fit(
        self,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> LocalLM:
        """Train from `generator`'s weights; a training that was cut off goes on where it stopped.

        A generator that this class trained before is trained further, its adapter included.

        Raises:
            InvalidArgument: rows that cannot be trained on.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch, transformers or peft is not installed.
        """
        return self.minimize(self, generator, data, seed=seed, watch=watch)

    def encode(
        self, rows: Sequence[Mapping[str, Any]], tokenizer: Any
    ) -> tuple[list[Example], dict[str, int]]:
        """Encode prompts and completions; rows that are too long are left out."""
        examples, left_out = encode_rows(rows, tokenizer, self.template, self.max_tokens)
        return examples, {"rows left out": left_out}

    def loss(self, read: Read, batch: Sequence[Example]) -> Any:
        """Return the mean negative log-likelihood of a completion token."""
        nats_N, _ = read(batch)
        return nats_N.mean()

    def minimize(
        self,
        objective: Objective,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> LocalLM:
        """Train as `fit` does, towards another objective.

        Args:
            objective: a learner; its settings, this one's among them, name the training.
            generator: what to train from.
            data: rows that the objective can encode.
            seed: of the order of rows and the adapter's start.
            watch: told the loss of every step, and rows that were left out.

        Raises:
            InvalidArgument: rows that cannot be trained on.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch, transformers or peft is not installed.
        """
        require("peft", extra="lm", needed_by="learning.supervised")

        def work(tuning: Tuning) -> None:
            self._train(objective, generator, data, seed, tuning)

        rows = [[row.get("prompt"), row.get("completion")] for row in data]
        tune(self, generator, work, rows, seed=seed, watch=watch, told=objective)
        return replace(
            generator, model=str(Path(self.folder)), system="", template=self.template, chat=False
        )

    def _train(
        self,
        objective: Objective,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        seed: int,
        tuning: Tuning,
    ) -> None:
        """Run the steps that are left, and save the weights."""
        import torch

        torch.manual_seed(child_seed(seed, "adapter"))  # peft draws A from the global generator
        model, tokenizer = load_for_training(
            generator.model, rank=self.rank, alpha=self.alpha, tokens=self.tokens
        )
        model.to(training_device()).train()
        examples, left_out = objective.encode(data, tokenizer)
        for reason, count in left_out.items():
            if count:
                tuning.tell(reason, count)
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=0.0)
        read = partial(token_losses, model, pad=tokenizer.eos_token_id)

        def losses(step: int) -> dict[str, Any]:
            return {"loss": objective.loss(read, batch_at(step, examples, self.batch, seed))}

        if tuning.run(losses, weights, optimizer):
            save_trained(model, tokenizer, Path(self.folder))
