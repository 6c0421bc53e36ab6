"""Supervised fine-tuning of a causal language model, by LoRA or in full.

Choose it when there are prompts with known good completions: synthesized, or accepted by a
verifier. The loss is the mean negative log-likelihood (nats) of the completion's tokens.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, Section 4.1:
`h = W x + (alpha / rank) B A x` with W frozen, A Gaussian, B zero at the start; through `peft`.

Ours: adapters on all linear layers of a block, not on the attention alone; frozen weights in
bfloat16 where the processor computes in it; logits only where there is a loss.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import Any

from genwright.core import InvalidArgument, child_seed, describe, method, require
from genwright.generators.language.apart import apart
from genwright.generators.language.embedded import quietly, resolve
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example, batch_at, collate, encode_rows
from genwright.learning.checkpoint import (
    drop_checkpoint,
    read_state,
    save_checkpoint,
    unfinished,
    write_state,
)
from genwright.learning.descent import descend, rate_at
from genwright.learning.model_card import write_card
from genwright.learning.objective import Objective, Read

Watch = Callable[[str, int, float], None]
"""Called with (metric, step, value) as training goes."""


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
        identity = _identity(objective, generator, data, seed)
        target = Path(self.folder)
        trained = replace(
            generator, model=str(target), system="", template=self.template, chat=False
        )
        if read_state(target).get("identity") == identity:
            return trained  # an earlier call finished this very training
        state = unfinished(target, identity)
        losses = apart(
            lambda stop: self._train(objective, generator, data, seed, identity, state, watch, stop)
        )
        write_card(target, objective, generator, rows=len(data), seed=seed, losses=losses)
        write_state(target, {"identity": identity, "losses": losses})
        drop_checkpoint(target)
        return trained

    def _train(
        self,
        objective: Objective,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        seed: int,
        identity: str,
        state: dict[str, Any],
        watch: Watch | None,
        stop: Event,
    ) -> list[float]:
        """Run the steps that are left, save the weights, and return the loss of every step.

        Once `stop` is set, it ends after the step it is in.
        """
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(child_seed(seed, "adapter"))  # peft draws A from the global generator
        model, tokenizer = load_for_training(
            generator.model, rank=self.rank, alpha=self.alpha, tokens=self.tokens
        )
        model.to(device)
        examples, left_out = objective.encode(data, tokenizer)
        for reason, count in left_out.items():
            if watch and count:
                watch(reason, 0, count)
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=0.0)
        losses: list[float] = state.get("losses", [])
        if losses:
            saved = torch.load(Path(self.folder) / "checkpoint" / "state.pt", weights_only=True)
            optimizer.load_state_dict(saved["optimizer"])
            for weight, value in zip(weights, saved["weights"], strict=True):
                weight.data.copy_(value)

        model.train()
        read = partial(token_losses, model, pad=tokenizer.eos_token_id)
        for step in range(len(losses), self.steps):
            batch = batch_at(step, examples, self.batch, seed)
            loss = objective.loss(read, batch)
            rate = rate_at(step, peak=self.learning_rate, warmup=self.warmup, steps=self.steps)
            kept = f"; the last checkpoint is in {self.folder}"
            losses.append(descend(loss, weights, optimizer, step=step, rate=rate, kept=kept))
            if watch:
                watch("loss", step, losses[-1])
            if stop.is_set():
                return losses
            if (step + 1) % self.save_every == 0 and step + 1 < self.steps:
                tensors = {
                    "optimizer": optimizer.state_dict(),
                    "weights": [weight.data for weight in weights],
                }
                save_checkpoint(
                    Path(self.folder), tensors, {"identity": identity, "losses": losses}
                )
        save_trained(model, tokenizer, Path(self.folder))
        return losses


def token_losses(model: Any, batch: Sequence[Example], *, pad: int) -> tuple[Any, Any]:
    """Return the loss of every completion token of a batch, with its gradient.

    Args:
        model: a causal language model.
        batch: B examples.
        pad: token that fills rows up.

    Returns:
        float32[N], nats; int64[N], the example of each token.
    """
    import torch
    import torch.nn.functional as F

    body, head = body_and_head(model)
    device = head.weight.device
    ids_BT, attend_BT, at, targets = (t.to(device) for t in collate(batch, pad))
    mixed = computes_in_bfloat16(device.type)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
        hidden_BTD = body(input_ids=ids_BT, attention_mask=attend_BT).last_hidden_state
        logits_NV = head(hidden_BTD[at[:, 0], at[:, 1]])
    return F.cross_entropy(logits_NV.float(), targets, reduction="none"), at[:, 0]


def load_for_training(
    model: str, *, rank: int, alpha: int, tokens: Sequence[str] = ()
) -> tuple[Any, Any]:
    """Return (model, tokenizer) with the weights to train marked.

    Args:
        model: what `LocalLM` takes. A folder with an adapter is opened with it, and the adapter is
            what is trained on.
        rank: LoRA rank of a new adapter; 0 marks all weights, in float32.
        alpha: LoRA scale of a new adapter.
        tokens: whose embeddings a new adapter trains too.

    Raises:
        InvalidArgument: a token that is none of the model's.
    """
    import peft
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(resolve(model))
    adapter = folder / "adapter_config.json"
    base = folder
    if adapter.exists():
        base = Path(resolve(json.loads(adapter.read_text())["base_model_name_or_path"]))
    # A frozen weight needs no precision beyond what the products are computed in.
    frozen = rank > 0 and computes_in_bfloat16("cuda" if torch.cuda.is_available() else "cpu")
    with quietly(transformers):
        net = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.bfloat16 if frozen else torch.float32
        )
    tokenizer = AutoTokenizer.from_pretrained(base)
    if adapter.exists():
        net = peft.PeftModel.from_pretrained(net, folder, is_trainable=rank > 0)
        net = net if rank > 0 else net.merge_and_unload()
    elif rank > 0:
        config = peft.LoraConfig(
            r=rank,
            lora_alpha=alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
            trainable_token_indices=_ids(tokens, tokenizer) or None,
        )
        net = peft.get_peft_model(net, config)
        net.peft_config["default"].base_model_name_or_path = model
    for weight in net.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return net, tokenizer


def _ids(tokens: Sequence[str], tokenizer: Any) -> list[int]:
    known = tokenizer.get_vocab()
    unknown = [token for token in tokens if token not in known]
    if unknown:
        raise InvalidArgument(f"Supervised: the model has no token {unknown[0]!r}; add it first.")
    return [known[token] for token in tokens]


def body_and_head(model: Any) -> tuple[Any, Any]:
    """Split a causal language model into what makes hidden states and what makes logits."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    return causal.base_model, causal.get_output_embeddings()


def save_trained(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save an adapter (a few megabytes) or all weights, and the tokenizer."""
    if hasattr(model, "peft_config"):  # the embeddings are the base's; or peft asks the hub
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def computes_in_bfloat16(device: str) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32 here."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _identity(
    objective: Objective, generator: LocalLM, data: Sequence[Mapping[str, Any]], seed: int
) -> str:
    """Hash what the result depends on."""
    settings = _without(describe(objective), ("folder", "save_every"))
    rows = [[row.get("prompt"), row.get("completion")] for row in data]
    text = json.dumps([settings, weights_identity(generator.model), rows, seed])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _without(told: Any, names: tuple[str, ...]) -> Any:
    """Leave names out of a nested description."""
    if not isinstance(told, dict):
        return told
    kept = {k: v for k, v in told.items() if k not in names and (k != "tokens" or v)}
    return {k: _without(v, names) for k, v in kept.items()}


def weights_identity(model: str) -> str:
    """Name the weights a model stands for: its training for a folder of ours, else its name."""
    return read_state(Path(model)).get("identity", model)
