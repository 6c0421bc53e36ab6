"""Training a language model to write texts of two classes after their control codes, and to tell.

Choose it to make the guide of a `BayesGuide`: a small model that raises the odds of one class in
another model's draws. It can also be drawn from by itself, with a code as the prompt.

Krause et al. 2020, "GeDi: Generative Discriminator Guided Sequence Generation", arXiv:2009.06367,
Section 3.3. Every text is read twice, after its own code and after the other; the loss is

    lambda (mean NLL of a token after its own code) + (1 - lambda) (cross-entropy of the class),

where the class is a softmax over scale times the mean log-probability of a token. lambda = 1 is
plain class-conditional training, whose classes are told apart less well. Ours: LoRA; the scale is
learned as a logarithm at a rate of its own, since 150 steps at the weights' rate would not move it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, child_seed, method, require
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example, batch_at
from genwright.learning.causal import (
    load_for_training,
    save_trained,
    token_losses,
    training_device,
)
from genwright.learning.descent import Watch
from genwright.learning.tuning import Tuning, tune
from genwright.steering.guidance import SCALE_FILE, gedi_loss

SCALE_RATE = 0.05
"""Learning rate of the logarithm of the scale."""


@method(paper="arXiv:2009.06367")
@dataclass(frozen=True, kw_only=True)
class ClassConditional:
    """Train on rows of `text` and `code`, and return a new `LocalLM`.

    Args:
        folder: where the new model goes, and the scale that was learned.
        codes: the two texts that stand before texts of the two classes.
        weight: lambda, the share of the generative loss in [0, 1]; the paper's is 0.6.
        steps: optimizer steps.
        batch: texts a step, each of which is read twice.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        rank: LoRA rank; 0 trains all weights.
        alpha: LoRA scale.
        max_tokens: of a text; the rest is cut off.
        save_every: steps between checkpoints; a killed training resumes from the last one.

    Raises:
        InvalidArgument: a number out of its range, or codes that are not two different texts.
    """

    folder: str
    codes: Sequence[str]
    weight: float = 0.6
    steps: int = 150
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: int = 8
    rank: int = 8
    alpha: int = 16
    max_tokens: int = 40
    save_every: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", tuple(self.codes))
        if len(set(self.codes)) != 2 or len(self.codes) != 2 or not all(self.codes):
            raise InvalidArgument(
                f"ClassConditional: codes must be two different texts, got {self.codes!r}."
            )
        for name in ("steps", "batch", "max_tokens", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"ClassConditional: {name} must be 1 or more.")
        if not (self.learning_rate > 0 and self.rank >= 0 and 0 <= self.weight <= 1):
            raise InvalidArgument(
                "ClassConditional: learning_rate must be above 0, rank 0 or more and weight in "
                "[0, 1]."
            )

    def fit(
        self,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> LocalLM:
        """Train from `generator`'s weights; a training that was cut off goes on where it stopped.

        Raises:
            InvalidArgument: rows that cannot be trained on.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch, transformers or peft is not installed.
        """
        require("peft", extra="lm", needed_by="learning.class_conditional")

        def work(tuning: Tuning) -> None:
            self._train(generator, data, seed, tuning)

        tune(self, generator, work, data, seed=seed, watch=watch)
        return replace(
            generator,
            model=str(Path(self.folder)),
            system="",
            template="{prompt}",
            chat=False,
            constraints=(),
        )

    def _train(
        self, generator: LocalLM, data: Sequence[Mapping[str, Any]], seed: int, tuning: Tuning
    ) -> None:
        """Run the steps that are left, and save the weights and the scale."""
        import torch

        torch.manual_seed(child_seed(seed, "adapter"))  # peft draws A from the global generator
        model, tokenizer = load_for_training(generator.model, rank=self.rank, alpha=self.alpha)
        device = training_device()
        model.to(device).train()
        codes = [tokenizer(code, add_special_tokens=False)["input_ids"] for code in self.codes]
        texts = encode_texts(data, self.codes, tokenizer, self.max_tokens)
        log_scale = torch.zeros((), device=device, requires_grad=True)
        weights = [p for p in model.parameters() if p.requires_grad]
        scale_group = {"params": [log_scale], "lr": SCALE_RATE, "fixed": True}
        optimizer = torch.optim.AdamW([{"params": weights}, scale_group], weight_decay=0.0)

        def losses(step: int) -> dict[str, Any]:
            batch = batch_at(step, texts, self.batch, seed)
            own, other = _read_twice(model, batch, codes, tokenizer.eos_token_id)
            return {"loss": gedi_loss(own, other, log_scale.exp(), self.weight)}

        if tuning.run(losses, [*weights, log_scale], optimizer):
            target = Path(self.folder)
            save_trained(model, tokenizer, target)
            told = {"scale": log_scale.exp().item(), "codes": list(self.codes)}
            (target / SCALE_FILE).write_text(json.dumps(told))


@dataclass(frozen=True)
class Labelled(Example):
    """A text as token ids (`completion`), and the place of its code among the two."""

    label: int = 0


def encode_texts(
    rows: Sequence[Mapping[str, Any]], codes: Sequence[str], tokenizer: Any, max_tokens: int
) -> list[Labelled]:
    """Encode rows with the fields `text` and `code`; an end token closes a text that was not cut.

    Raises:
        InvalidArgument: no rows, a row without the two fields or with another code, or a code that
            no row has.
    """
    found: list[Labelled] = []
    for i, row in enumerate(rows):
        if not isinstance(row.get("text"), str) or row.get("code") not in codes:
            raise InvalidArgument(
                f"row {i}: a training row needs a 'text' and a 'code' that is one of "
                f"{list(codes)}, got the fields {sorted(row)} and code {row.get('code')!r}."
            )
        ids = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        ids = [*ids, tokenizer.eos_token_id][:max_tokens]
        found.append(Labelled([], ids, list(codes).index(row["code"])))
    if {text.label for text in found} != {0, 1}:
        raise InvalidArgument("ClassConditional: needs texts of both codes to train on.")
    return found


def _read_twice(model: Any, batch: Sequence[Example], codes: Sequence[list[int]], pad: int) -> Any:
    """Return (float[B], float[B]): mean log-probability of a token after its own code and not."""
    import torch

    texts = [text for text in batch if isinstance(text, Labelled)]
    rows = [Example(codes[text.label], text.completion) for text in texts]
    rows += [Example(codes[1 - text.label], text.completion) for text in texts]
    nats_N, row_N = token_losses(model, rows, pad=pad)
    sums = nats_N.new_zeros(len(rows)).index_add(0, row_N, -nats_N)
    means = sums / torch.bincount(row_N, minlength=len(rows))
    return means[: len(texts)], means[len(texts) :]
