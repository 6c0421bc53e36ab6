"""Fitting a KV predictor: a small model and linear maps that stand in for a large model's prefill.

Choose it where the time to the first token of long prompts matters more than the last few
hundredths of a nat. Text as the prompts have it is all it needs.

Horton et al. 2024, "KV Prediction for Improved Time to First Token", arXiv:2410.08391, Section 3
and Appendix. On text, at every position at once, the base attends to predicted keys and values
alone; with the base frozen,

    loss = CE(base | predicted cache) + CE(auxiliary) + sum over layers of
           [mean |K - K_pred| + mean |V - V_pred|],

K and V from the base's own pass, each CE with a z-loss of 1e-4 (logsumexp^2). AdamW with betas
(0.9, 0.95), weight decay 0.1, clipping at 1 and a cosine to a tenth of the peak. In the paper
70,000 steps of 2 million tokens at 1.2e-3. Ours: the maps start from ridge regression (`kv_start`),
which makes a hundred steps worth taking; the first token stays the base's own, and maps take keys
and values together (`sinks=0, cross=False` is the paper's way); defaults for a hundred steps; no
decay on biases and norms, as in the authors' configuration.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.core import InvalidArgument, child_seed, method, require
from genwright.generators.language.embedded import quietly
from genwright.generators.language.local import LocalLM
from genwright.learning.causal import computes_in_bfloat16, load_for_training, training_device
from genwright.learning.descent import Watch
from genwright.learning.kv_losses import joint_losses
from genwright.learning.tuning import Tuning, tune

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.nets.kv_prediction import KVMaps

BETAS = (0.9, 0.95)
DECAY = 0.1


@method(paper="arXiv:2410.08391")
@dataclass(frozen=True, kw_only=True)
class FitKVPredictor:
    """Train on rows of `text`; return the same `LocalLM` with a predictor that reads its prompts.

    Args:
        folder: where the predictor and its checkpoint go. Its subfolder `auxiliary` holds the
            auxiliary model, a language model of its own.
        auxiliary: a smaller model with the same tokenizer, by name or folder (the paper's KVP-C);
            empty cuts one out of the base (KVP-LP).
        layers: of the base, which the one cut out keeps; every third where it is empty. The first
            must be 0.
        steps: optimizer steps.
        batch: sequences a step.
        length: tokens of a sequence. The texts are joined, an end token after each, and cut. The
            paper takes 2,048: prompts longer than this are new to the predictor.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        losses: weights of the base's cross-entropy, the auxiliary model's, and the distance of the
            caches. (0, 1, 0) trains the auxiliary model alone.
        ridge: tokens that the maps are first fitted to in closed form; 0 leaves them the identity
            where sizes agree, and zero where they do not.
        sinks: first tokens of a prompt that the base reads itself.
        cross: predict keys and values each from both.
        save_every: steps between checkpoints; a killed training resumes from the last one.

    Raises:
        InvalidArgument: a number out of its range, or both an auxiliary model and layers.
    """

    folder: str
    auxiliary: str = ""
    layers: tuple[int, ...] = ()
    steps: int = 100
    batch: int = 8
    length: int = 128
    learning_rate: float = 3e-4
    warmup: int = 8
    losses: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ridge: int = 60_000
    sinks: int = 1
    cross: bool = True
    save_every: int = 25

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))  # task files bring lists
        object.__setattr__(self, "losses", tuple(self.losses))
        for name in ("steps", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"FitKVPredictor: {name} must be 1 or more, got {getattr(self, name)}."
                )
        if min(self.sinks, self.ridge) < 0 or self.length < self.sinks + 2:
            raise InvalidArgument(
                "FitKVPredictor: sinks and ridge must be 0 or more, length at least sinks + 2, got "
                f"{self.sinks}, {self.ridge} and {self.length}."
            )
        if not self.learning_rate > 0:
            raise InvalidArgument(
                f"FitKVPredictor: learning_rate must be above 0, got {self.learning_rate}."
            )
        if len(self.losses) != 3 or min(self.losses) < 0 or not any(self.losses):
            raise InvalidArgument(
                "FitKVPredictor: losses must be three weights of 0 or more, not all 0 (base, "
                f"auxiliary, cache), got {self.losses}."
            )
        if self.auxiliary and self.layers:
            raise InvalidArgument(
                "FitKVPredictor: give an auxiliary model or the layers to keep of the base, not "
                "both."
            )

    def fit(
        self,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> LocalLM:
        """Train; a training that was cut off goes on where it stopped.

        Raises:
            InvalidArgument: rows without text, too little of it for one batch, or an auxiliary
                model with another tokenizer.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch or transformers is not installed.
        """
        require("transformers", extra="lm", needed_by="learning.fit_kv_predictor")
        texts = _texts(data)

        def work(tuning: Tuning) -> None:
            self._train(generator, texts, seed, tuning)

        tune(self, generator, work, texts, seed=seed, watch=watch)
        return replace(generator, predictor=str(Path(self.folder)), prefill="predicted")

    def _train(self, generator: LocalLM, texts: Sequence[str], seed: int, tuning: Tuning) -> None:
        """Run the steps that are left, and save everything."""
        import torch
        import transformers

        from genwright.generators.language.kv_predictor import AUXILIARY, save

        device = training_device()
        base, tokenizer = load_for_training(generator.model, rank=0, alpha=1)
        small, maps = self._start(base, tokenizer)
        name, target = generator.model, Path(self.folder)
        mixed = computes_in_bfloat16(device)
        base.requires_grad_(False).eval().to(device, torch.bfloat16 if mixed else torch.float32)
        small.to(device).train()
        maps.to(device)
        windows = _windows(texts, tokenizer, self.length, self.batch)
        if self.ridge and not tuning.begun:
            from genwright.learning.kv_start import ridge

            batches = _head(windows, self.ridge, self.batch)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
                ridge(maps, small, base, (b.to(device) for b in batches), sinks=self.sinks)
        weights = [*small.parameters(), *maps.parameters()]

        def losses(i: int) -> dict[str, Any]:
            ids_BT = _batch(windows, i, self.batch, seed).to(device)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
                parts = joint_losses(small, maps, base, ids_BT, self.losses, sinks=self.sinks)
            loss = sum(w * parts[k] for w, k in zip(self.losses, parts, strict=True) if w)
            return {"loss": loss} | {name: part.item() for name, part in parts.items()}

        if tuning.run(losses, weights, _optimizer(weights, self.learning_rate)):
            with quietly(transformers):
                small.eval().save_pretrained(target / AUXILIARY)
            tokenizer.save_pretrained(target / AUXILIARY)
            words = generator.vocabulary
            save(target, maps, base=base, name=name, vocabulary=words, sinks=self.sinks)

    def _start(self, base: Any, tokenizer: Any) -> "tuple[Any, KVMaps]":
        """Return the auxiliary model and untrained maps."""
        from genwright.learning.kv_start import prune_layers
        from genwright.nets.kv_prediction import KVMaps, nearest_kept, projections, spread

        count = len(projections(base))
        if self.auxiliary:
            small, other = load_for_training(self.auxiliary, rank=0, alpha=1)
            if other.get_vocab() != tokenizer.get_vocab():
                raise InvalidArgument(
                    f"FitKVPredictor: {self.auxiliary} has another tokenizer than the base; take a "
                    "smaller model of its family."
                )
            layer_map = spread(count, len(projections(small)))
        else:
            keep = self.layers or tuple(range(0, count, 3))
            small, layer_map = prune_layers(base, keep), nearest_kept(count, keep)
        sizes = [projections(m)[0][0].out_features for m in (small, base)]
        maps = KVMaps(
            layer_map,
            auxiliary=len(projections(small)),
            inputs=sizes[0],
            outputs=sizes[1],
            cross=self.cross,
        )
        return small, maps


def _optimizer(weights: "Sequence[Tensor]", rate: float) -> Any:
    import torch

    biases = [w for w in weights if w.dim() < 2 or w.shape[-2] == 1]  # and norms
    known = {id(w) for w in biases}
    groups = [
        {"params": [w for w in weights if id(w) not in known], "weight_decay": DECAY},
        {"params": biases, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=BETAS)


def _texts(data: Sequence[Mapping[str, Any]]) -> list[str]:
    for i, row in enumerate(data):
        if not isinstance(row.get("text"), str):
            raise InvalidArgument(f"row {i}: needs the field 'text', got {sorted(row)}.")
    return [row["text"] for row in data]


def _windows(texts: Sequence[str], tokenizer: Any, length: int, batch: int) -> "Tensor":
    """Return the texts, joined and cut: long[windows, length]."""
    import torch

    ids = [
        token
        for text in texts
        for token in [
            *tokenizer(text, add_special_tokens=False)["input_ids"],
            tokenizer.eos_token_id,
        ]
    ]
    if len(ids) < batch * length:
        raise InvalidArgument(
            f"FitKVPredictor: {len(ids)} tokens of text are less than one batch of {batch} times "
            f"{length}; give more text, or lower batch or length."
        )
    count = len(ids) // length
    return torch.tensor(ids[: count * length]).view(count, length)


def _head(windows: "Tensor", tokens: int, batch: int) -> "Iterator[Tensor]":
    """Yield batches of the first windows, until they hold so many tokens or there are no more."""
    count = -(-tokens // windows.shape[1])
    yield from windows[:count].split(batch)


def _batch(windows: "Tensor", step: int, batch: int, seed: int) -> "Tensor":
    """Return the windows of one step, a function of (seed, step) alone."""
    import torch

    epoch, place = divmod(step, len(windows) // batch)
    random = torch.Generator().manual_seed(child_seed(seed, "epoch", epoch))
    order = torch.randperm(len(windows), generator=random)
    return windows[order[place * batch : (place + 1) * batch]]
